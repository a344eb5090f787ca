"""`sluice ...`: the commands."""

import os
import signal
import threading
from typing import Any

import click

from app import migrate
from app.bootstrap import NotConfigured, create_worker, wire
from app.commands.checks import verify_gateway, verify_ledger
from app.commands.demo import send_a_day
from app.commands.flows import deploy, lint_files, scenarios, write_templates
from app.commands.merchants import new_merchant
from app.commands.migrations import migrate_instances
from app.commands.recover import mark_restored, recover, release_sending
from app.commands.running import database
from app.commands.webhooks import inbound_webhooks
from app.errors import AppError
from app.gateways import scaffold
from app.jobs import metrics
from app.settings import ROOT, Settings
from app.stack import Stack, web_command


class Commands(click.Group):
    """Expected failures end a command with their sentence, not with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AppError as error:
            told = error.detail if error.detail == error.title else f"{error.title}: {error.detail}"
            raise click.ClickException(told) from error


@click.group(cls=Commands)
def cli() -> None:
    """Sluice, a payment orchestrator whose flows are BPMN diagrams."""


@cli.command()
def up() -> None:
    """Start everything on this machine in the foreground."""
    Stack(Settings()).run()


@cli.command()
def serve() -> None:
    """Answer the API and the console at SLUICE_HOST and PORT until SIGTERM; start any number of them."""
    settings = Settings()
    if not settings.database_url:
        raise NotConfigured("DATABASE_URL is not set; `sluice up` starts an embedded PostgreSQL and serves by itself")
    command = web_command(settings)
    os.chdir(ROOT)
    # The web takes this process over, so whoever watches it watches the web itself.
    os.execv(command[0], command)  # noqa: S606 - our own command, no shell


@cli.command()
def worker() -> None:
    """Advance instances until SIGTERM, then finish what is under way. With REDIS_URL it is an RQ worker."""
    settings = Settings()
    wired = wire(settings)
    running = create_worker(wired)
    for number in (signal.SIGINT, signal.SIGTERM):
        # On a thread: the interrupted code may hold the very lock that an event needs to be set.
        signal.signal(number, lambda *_: threading.Thread(target=running.stop).start())
    if settings.worker_metrics_port:
        metrics.serve(wired.metrics, settings.host, settings.worker_metrics_port)
    if not running.run():
        # Python would wait for threads that are still calling; what they are about is on disk.
        os._exit(1)


@cli.command("migrate")
def migrate_schema() -> None:
    """Bring the database to the newest schema."""
    with database(Settings()) as opened:
        migrate.upgrade(opened.url)


COMMANDS = (
    deploy,
    inbound_webhooks,
    lint_files,
    migrate_instances,
    mark_restored,
    new_merchant,
    recover,
    release_sending,
    scenarios,
    send_a_day,
    verify_gateway,
    verify_ledger,
    write_templates,
)
for command in COMMANDS:
    cli.add_command(command)


@cli.command(name="new-gateway")
@click.argument("name")
def new_gateway(name: str) -> None:
    """Write the adapter of a new gateway and the tests it owes; docs/gateways.md tells how to go on."""
    for path in scaffold.write(name, ROOT):
        click.echo(path.relative_to(ROOT))


def main() -> None:
    cli()


if __name__ == "__main__":
    main()
