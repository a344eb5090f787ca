"""`sluice verify-ledger` and `sluice verify-gateway`: do the books agree? Both change nothing."""

import sys

import click
from sqlalchemy import select

from app import books
from app.access.models import Merchant
from app.books import Comparison
from app.commands.running import database
from app.commands.tables import table
from app.errors import AppError, NotFound
from app.kit.database import Database
from app.ledger.service import balances
from app.payments.reconcile import verify_ledger as ledger_problems
from app.settings import Settings


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
def verify_gateway(name: str) -> None:
    """Compare our books with a gateway's own, or with all gateways'; exit with 1 when they differ.

    It also exits with 1 when none of them shows its books, so that nobody takes that for agreement.
    Amounts are minor units. What is not decided yet is told and does not count: it may differ until it is.
    """
    settings = Settings()
    known = books.addresses(settings)
    if name and name not in known:
        raise NotFound(f"There is no gateway {name!r}; known are: {', '.join(known) or 'none'}")
    with database(settings) as opened:
        chosen = {name: known[name]} if name else known
        differences = show_books(opened, chosen)
    unseen = [gateway for gateway, url in chosen.items() if not url]
    if len(unseen) == len(chosen):
        raise NothingToCompare(f"Nothing was compared; configured are: {', '.join(chosen) or 'no gateways'}")
    _end(differences, f"The books agree; not compared: {', '.join(unseen)}." if unseen else "The books agree.")


def show_books(opened: Database, gateways: dict[str, str]) -> list[str]:
    """Print both books of each gateway side by side; the differences, each a sentence."""
    differences: list[str] = []
    for name, url in gateways.items():
        if not url:
            click.echo(f"{name}: this gateway has no books to read; its settlement file is what to compare with.\n")
            continue
        charges = books.read(name, url)
        with opened.begin() as tx:
            comparison = books.compare(tx, name, charges)
        click.echo(_side_by_side(comparison) + "\n")
        for difference in comparison.undecided:
            click.echo(f"{name}: {difference}; its outcome is not known yet")
        differences += [f"{name}: {difference}" for difference in comparison.differences]
    return differences


def _side_by_side(comparison: Comparison) -> str:
    head = (comparison.gateway, "", "ours", "theirs", "")
    rows = [
        (total.currency, total.what, total.ours, total.theirs, "" if total.ours == total.theirs else "differs")
        for total in comparison.totals
        if total.ours or total.theirs
    ]
    return table(head, rows)


def _end(problems: list[str], good: str) -> None:
    for problem in problems:
        click.echo(problem)
    click.echo(f"{len(problems)} problems." if problems else good)
    sys.exit(bool(problems))
