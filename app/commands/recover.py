"""`sluice recover`, `restored` and `release-sending`: finding out what gateways did, and who says that it may go on."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import click
from sqlalchemy import func, select

from app import books, installation
from app.bootstrap import Wired
from app.commands.checks import tell_progress
from app.commands.running import database, wired
from app.commands.tables import table
from app.engine import inbox
from app.engine.models import Incident
from app.installation import Hold, Sending
from app.kit.database import Database
from app.payments import recheck, restored
from app.payments.gateway_books import BooksUnreadable, compare, shows_books
from app.payments.recheck import Answer, Question
from app.settings import Settings

AT_A_TIME = 8
SLICE = 500


@click.command()
@click.option("--hours", default=24, show_default=True, help="After a restore: how far back known attempts are asked.")
def recover(hours: int) -> None:
    """Ask gateways now what became of every open attempt; exit with 1 when something remains for people.

    After a restore it also asks about recent attempts that are resolved and compares with the books of every gateway
    that shows them. Each difference becomes an incident. It never sends anything but questions.
    """
    with wired(books.with_sandboxes(Settings())) as running:
        with running.database.begin() as tx:
            held = Sending().held(tx)
            recent = timedelta(hours=hours) if held else timedelta()
            asked = recheck.open_attempts(tx, recent)
        problems = list(_ask_all(running, asked))
        if held:
            problems += _compare(running)
        _tell(running.database, problems)
        with running.database.begin() as tx:
            remains = bool(problems or recheck.still_open(tx))
    sys.exit(remains)


@click.command("restored")
@click.option("--reason", default="An operator said that this database was restored", show_default=True)
def mark_restored(reason: str) -> None:
    """Say that this database was restored, when it cannot know: nothing is sent until it is released."""
    with database(Settings()) as opened:
        with opened.begin() as tx:
            Sending().held(tx)
            installation.hold(tx, reason)
        click.echo("Nothing is sent from now on. Next: sluice recover, then sluice release-sending.")


@click.command("release-sending")
@click.option("--by", required=True, help="Who has looked at what `sluice recover` found.")
@click.option("--note", default="", help="What was found and decided.")
@click.option(
    "--compared", multiple=True, help="A gateway whose own pages were compared, as its books were not shown or not all."
)
def release_sending(by: str, note: str, compared: tuple[str, ...]) -> None:
    """Let a restored database send again. What people have to decide stays open as incidents."""
    with database(Settings()) as opened:
        with opened.begin() as tx:
            Sending().held(tx)
        with opened.begin() as tx:
            released = installation.release(tx, by, note, frozenset(compared))
            tx.notify(inbox.CHANNEL)
        click.echo(f"Sending is released; it was held since {released.opened_at:%Y-%m-%d %H:%M} UTC.")


def _ask_all(running: Wired, attempt_ids: list[str]) -> Iterator[str]:
    """Ask about each and print what is known now; a sentence for each that could not be asked about."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for start in range(0, len(attempt_ids), SLICE):
            with running.database.begin() as tx:
                slice_ = attempt_ids[start : start + SLICE]
                questions = [recheck.question(tx, running.gateways, attempt_id) for attempt_id in slice_]
            answers = zip(questions, pool.map(Question.ask, questions), strict=True)
            for number, (asked, answer) in enumerate(answers, start + 1):
                change = _take_in(running, asked, answer)
                place = f"[{number}/{len(attempt_ids)}] {asked.attempt_id} {asked.operation} at {asked.gateway}"
                click.echo(f"{place}: {change}")
                if isinstance(answer, str):
                    yield f"{asked.attempt_id}: {answer}"


def _take_in(running: Wired, asked: Question, answer: Answer) -> str:
    if isinstance(answer, str):
        return answer
    with running.database.begin() as tx:
        after = recheck.take_in(tx, running.gateways, asked, answer)
    return after if after == asked.before else f"{asked.before} -> {after}"


def _compare(running: Wired) -> list[str]:
    """Both books after a restore: incidents for what we do not know, and the findings kept with the hold."""
    told: list[str] = []
    unseen: dict[str, str] = {}
    for gateway in running.gateways:
        days = books.days(running.settings, gateway.name)
        try:
            compared = compare(running.database, gateway, days, tell_progress) if shows_books(gateway) else None
        except BooksUnreadable as error:
            click.echo(error.detail)
            compared = None
        if compared is None:
            unseen[gateway.name] = f"{gateway.name} shows no books here; compare its own pages or files"
            continue
        with running.database.begin() as tx:
            told += restored.report(tx, gateway.name, compared.found)
        if days is not None:
            # What was done since the backup to an older charge has not been looked at by anybody.
            unseen[gateway.name] = f"{gateway.name} was compared for {days} days; look at older charges on its pages"
    with running.database.begin() as tx:
        hold: Hold | None = installation.open_hold(tx)
        if hold is not None:
            installation.recovered(tx, hold, {"differences": told, "unseen": list(unseen)})
    return told + list(unseen.values())


def _tell(opened: Database, problems: list[str]) -> None:
    with opened.begin() as tx:
        left = [(one.id, one.operation, one.gateway, one.outcome or one.state) for one in recheck.still_open(tx)]
        incidents = tx.session.scalar(select(func.count()).where(Incident.status == "open")) or 0
        hold = installation.open_hold(tx)
    for problem in problems:
        click.echo(problem)
    if left:
        click.echo("\nStill open; timers go on asking, and at last two people decide:\n")
        click.echo(table(("attempt", "operation", "gateway", "stands at"), left))
    click.echo(f"\n{len(left)} attempts open, {incidents} incidents for people.")
    if hold is not None:
        click.echo(f"Nothing is sent: {hold.reason}. When all is looked at: sluice release-sending --by NAME")
