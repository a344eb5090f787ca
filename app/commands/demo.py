"""`sluice demo`: a day of shopping through the HTTP API, and the books at its end."""

import sys
from collections import Counter

import click

from app import books, demo
from app.commands.checks import show_books
from app.commands.running import database
from app.commands.tables import table
from app.settings import Settings
from app.traffic.day import Outcome, send, settle
from app.traffic.orders import Order, orders
from app.traffic.shop import Shop, Tally, place

SETTLE_SECONDS = 90


@click.command("demo")
@click.option("--payments", default=150, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--rate", default=4.0, show_default=True, type=click.FloatRange(0.1, 1000), help="new payments a second")
@click.option("--seed", default=1, show_default=True, help="another day; the same one again only replays")
def send_a_day(payments: int, rate: float, seed: int) -> None:
    """Send a varied day of traffic to a running `sluice up`, and compare the books at its end.

    What it sends depends on the seed alone. If it or the stack is killed, run it again: it goes on where it stopped,
    and nothing happens twice.
    """
    settings = Settings()
    shop = Shop(place(demo.running(settings.var / "demo.json")))
    shop.must_answer()
    planned = orders(seed, payments)
    with click.progressbar(length=len(planned), label=f"Sending {payments} payments", show_pos=True) as bar:
        wrong = send(shop, planned, rate, lambda: bar.update(1))
    click.echo("Waiting for what is still under way ...")
    found = settle(shop, planned, SETTLE_SECONDS)
    _report(planned, found, shop.tally)
    shop.close()
    with database(settings) as opened:
        problems, _ = show_books(opened, books.with_sandboxes(settings))
    wrong += problems
    for sentence in wrong:
        click.echo(sentence)
    click.echo(f"{len(wrong)} problems." if wrong else "The books agree.")
    sys.exit(bool(wrong))


def _report(planned: list[Order], found: Outcome, tally: Tally) -> None:
    sent = Counter(order.story.name for order in planned)
    rows = [(story, count, _statuses(found.payments.get(story, Counter()))) for story, count in sorted(sent.items())]
    click.echo("\n" + table(("what was sent", "payments", "their status now"), rows))
    click.echo(f"\nRefunds:   {_statuses(found.refunds) or 'none'}")
    click.echo(f"Disputes:  {_statuses(found.disputes) or 'none'}")
    click.echo(f"Waiting:   {found.tasks} tasks for people, {found.incidents} incidents")
    click.echo(f"Requests:  {tally.sent} POSTs, {tally.replayed} replayed, {tally.repeated} sent again\n")


def _statuses(statuses: Counter[str]) -> str:
    return ", ".join(f"{count} {status}" for status, count in statuses.most_common())
