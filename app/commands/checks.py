"""`sluice verify-ledger` and `sluice verify-gateway`: do the books agree? Both change nothing."""

import sys
from contextlib import closing
from typing import Final

import click
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from app import books
from app.access.models import Merchant
from app.bootstrap import create_gateways
from app.commands.running import database
from app.commands.tables import table
from app.errors import AppError, NotFound
from app.kit.database import Database
from app.ledger.service import balances
from app.payments.gateway_books import EVER, BooksUnreadable, Comparison, compare, shows_books
from app.payments.reconcile import verify_ledger as ledger_problems
from app.settings import Settings

TOLD_EVERY: Final = 1000


class NothingToCompare(AppError):
    code = "no_books_to_compare"
    title = "No gateway here shows its books"
    status = 409


@click.command("verify-ledger")
def verify_ledger() -> None:
    """Print every account's balance and whatever is wrong with the ledger; exit with 1 when something is.

    Amounts are minor units, positive when debits prevail; pending ones are authorized and not captured.
    """
    with database(Settings()) as opened, opened.begin() as tx:
        merchants = tx.session.scalars(select(Merchant.id).order_by(Merchant.id)).all()
        rows = [(one, balance) for one in merchants for balance in balances(tx, one)]
        problems = ledger_problems(tx)
    shown = [(one, b.currency, b.account, b.layer, b.amount) for one, b in rows]
    click.echo(table(("merchant", "currency", "account", "layer", "balance"), sorted(shown)))
    _end(problems, "The ledger balances.")


@click.command("verify-gateway")
@click.argument("name", default="")
@click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    help=f"Charges of this many days, with all that was done to them since; else {books.DAYS}, and a sandbox's all.",
)
def verify_gateway(name: str, days: int | None) -> None:
    """Compare our books with a gateway's own, or with all gateways'; exit with 1 when they differ.

    It also exits with 1 when books cannot be read to their end, and when no gateway shows any, so that nobody takes
    that for agreement. Amounts are minor units. What may go away by itself is told and does not count: what is not
    decided yet, and what was done while the books were read.
    """
    settings = books.with_sandboxes(Settings())
    known = [gateway.name for gateway in settings.gateways]
    if name and name not in known:
        raise NotFound(f"There is no gateway {name!r}; known are: {', '.join(known) or 'none'}")
    chosen = [gateway for gateway in settings.gateways if name in ("", gateway.name)]
    with database(settings) as opened:
        problems, unseen = show_books(opened, settings.model_copy(update={"gateways": chosen}), days)
    if len(unseen) == len(chosen):
        raise NothingToCompare(f"Nothing was compared; configured are: {', '.join(unseen) or 'no gateways'}")
    _end(problems, f"The books agree; not compared: {', '.join(unseen)}." if unseen else "The books agree.")


def show_books(opened: Database, settings: Settings, days: int | None = None) -> tuple[list[str], list[str]]:
    """Print both books of each gateway side by side; a sentence for each problem, and who shows no books."""
    problems: list[str] = []
    unseen: list[str] = []
    with closing(create_gateways(settings, CollectorRegistry())) as gateways:
        for gateway in gateways:
            if not shows_books(gateway):
                click.echo(f"{gateway.name}: this gateway has no books to read; compare its settlement file.\n")
                unseen.append(gateway.name)
                continue
            try:
                compared = compare(opened, gateway, days or books.days(settings, gateway.name), tell_progress)
            except BooksUnreadable as error:
                problems.append(f"{error.title}: {error.detail}")
                continue
            _show(compared)
            problems += [f"{gateway.name}: {difference}" for difference in compared.differences]
    return problems, unseen


def tell_progress(comparison: Comparison) -> None:
    """To people who wait; whoever keeps the output has none of it."""
    if comparison.read % TOLD_EVERY == 0:
        click.echo(f"{comparison.gateway}: {comparison.read:,} charges read ...", err=True)


def _show(comparison: Comparison) -> None:
    if comparison.since > EVER:
        click.echo(f"Charges since {comparison.since:%Y-%m-%d %H:%M} UTC, with all that was done to them:\n")
    click.echo(_side_by_side(comparison) + "\n")
    if comparison.foreign:
        click.echo(f"{comparison.gateway}: {comparison.foreign:,} charges carry no key of ours and are not compared")
    for difference in comparison.passing:
        click.echo(f"{comparison.gateway}: {difference}; {difference.may_go}")


def _side_by_side(comparison: Comparison) -> str:
    head = (comparison.gateway, "", "ours", "theirs", "")
    rows = [
        (total.currency, total.what, total.ours, total.theirs, "" if total.ours == total.theirs else "differs")
        for total in comparison.totals()
        if total.ours or total.theirs
    ]
    return table(head, rows)


def _end(problems: list[str], good: str) -> None:
    for problem in problems:
        click.echo(problem)
    click.echo(f"{len(problems)} problems." if problems else good)
    sys.exit(bool(problems))
