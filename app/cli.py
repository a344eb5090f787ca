"""`sluice ...`: the commands."""

import signal
import sys
from pathlib import Path
from typing import Any

import click
import orjson
from pydantic import SecretStr
from sqlalchemy import select

from app import migrate
from app.access.actor import system
from app.access.models import Merchant
from app.bootstrap import Wired, create_worker, wire
from app.engine import definitions, shipped
from app.engine.lint import Finding, Known, Severity, Upload, lint
from app.errors import AppError
from app.kit.http import HttpClient, NoAnswer
from app.kit.keys import KeyFile, new_master_key
from app.operations import registry
from app.payments import reconcile
from app.settings import Settings
from app.stack import Stack, database_process


@click.group()
def cli() -> None:
    """Sluice, a payment orchestrator whose flows are BPMN diagrams."""


@cli.command()
def up() -> None:
    """Start everything on this machine in the foreground."""
    Stack(Settings()).run()


@cli.command()
def worker() -> None:
    """Advance instances until SIGTERM, then finish what is under way."""
    running = create_worker(wire(Settings()))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.stop())
    running.run()


@cli.command(name="migrate")
def migrate_() -> None:
    """Bring the database to the newest schema."""
    migrate.upgrade(database_process(Settings()))


@cli.command(name="lint")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def lint_(files: tuple[Path, ...]) -> None:
    """Check diagrams, decision tables and forms as the deployment gate does; folders are searched."""
    findings = lint(_uploads(files), Known(registry))
    _print(findings)
    sys.exit(any(finding.severity is Severity.ERROR for finding in findings))


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--merchant", required=True, help="whose definitions they become")
@click.option("--publish", is_flag=True, help="let new instances take them at once")
def deploy(files: tuple[Path, ...], merchant: str, publish: bool) -> None:
    """Deploy diagrams, decision tables and forms as one unit."""
    with _wired().database.begin() as tx:
        if tx.session.get(Merchant, merchant) is None:
            known = ", ".join(tx.session.scalars(select(Merchant.id).order_by(Merchant.id)))
            raise click.UsageError(f"There is no merchant {merchant}; known are: {known}")
        for one in definitions.deploy(tx, system(merchant), _uploads(files), publish=publish):
            click.echo(f"{one.kind:<5} {one.key:<30} version {one.version:<4} {one.status}")


@cli.command(name="verify-ledger")
@click.option("--books", multiple=True, metavar="GATEWAY=PLACE", help="a gateway's own books: a JSON file or its URL")
def verify_ledger(books: tuple[str, ...]) -> None:
    """Check that the ledger balances, agrees with the payments and, to the cent, with gateways' own books."""
    with _wired().database.begin() as tx:
        problems = reconcile.verify_ledger(tx)
        for given in books:
            gateway, _, place = given.partition("=")
            problems += [str(found) for found in reconcile.verify_books(tx, gateway, _charges(place))]
    for problem in problems:
        click.echo(problem)
    click.echo(f"{len(problems)} problems")
    sys.exit(bool(problems))


def _charges(place: str) -> list[dict[str, Any]]:
    if not place.startswith(("http://", "https://")):
        return list(orjson.loads(Path(place).read_bytes())["charges"])
    answer = HttpClient(connect_seconds=5, total_seconds=60, max_bytes=1 << 28).exchange("GET", place, {})
    if isinstance(answer, NoAnswer) or answer.status != 200:
        raise click.UsageError(f"{place} gave no books")
    return list(orjson.loads(answer.body)["charges"])


def _uploads(files: tuple[Path, ...]) -> list[Upload]:
    found: list[Upload] = []
    for path in files:
        found += shipped.uploads(path) if path.is_dir() else [Upload(path.name, path.read_bytes())]
    return found


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        click.echo(f"{finding.severity.upper():<8} {finding.code:<28} {finding.element}: {finding.message}")
        click.echo(f"{'':<8} {finding.remedy}")
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    click.echo(f"{errors} errors, {len(findings) - errors} warnings")


def _wired() -> Wired:
    """Wired to the database of a running `sluice up`, or to DATABASE_URL."""
    settings = Settings()
    update: dict[str, object] = {"database_url": database_process(settings)}
    if not settings.master_key.get_secret_value():
        update["master_key"] = SecretStr(KeyFile(settings.var / "keys.json").get("master_key", new_master_key))
    return wire(settings.model_copy(update=update))


def main() -> None:
    try:
        cli()
    except AppError as error:
        click.echo(f"{error.title}: {error.detail}" if error.detail != error.title else error.detail, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
