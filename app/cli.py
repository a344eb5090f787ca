"""`sluice ...`: the commands."""

import signal
import sys

import click

from app import migrate
from app.bootstrap import create_worker, wire
from app.commands.checks import verify_gateway, verify_ledger
from app.commands.demo import send_a_day
from app.commands.flows import deploy, lint_files, write_templates
from app.commands.running import database
from app.errors import AppError
from app.gateways import scaffold
from app.settings import ROOT, Settings
from app.stack import Stack


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


@cli.command("migrate")
def migrate_schema() -> None:
    """Bring the database to the newest schema."""
    with database(Settings()) as opened:
        migrate.upgrade(opened.url)


for command in (deploy, lint_files, send_a_day, verify_gateway, verify_ledger, write_templates):
    cli.add_command(command)


@cli.command(name="new-gateway")
@click.argument("name")
def new_gateway(name: str) -> None:
    """Write the adapter of a new gateway and the tests it owes; docs/gateways.md tells how to go on."""
    for path in scaffold.write(name, ROOT):
        click.echo(path.relative_to(ROOT))


def main() -> None:
    try:
        cli()
    except AppError as error:
        click.echo(f"{error.title}: {error.detail}" if error.detail != error.title else error.detail, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
