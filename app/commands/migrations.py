"""`sluice migrate-instances`: moves running instances to another version, after showing what would happen."""

import click

from app.access.actor import Actor, host_user
from app.commands.running import wired
from app.commands.tables import table
from app.engine import migrate
from app.engine.migration_views import migration_view, plan_view
from app.engine.models import Definition, Migration
from app.engine.planning import Command, plan
from app.errors import NotFound
from app.kit.database import Database, Json
from app.settings import Settings

BATCH = 50


@click.command("migrate-instances")
@click.argument("source", metavar="FROM", required=False)
@click.argument("target", metavar="TO", required=False)
@click.option("--map", "mapping", multiple=True, metavar="OLD=NEW", help="an element that was renamed")
@click.option("--instance", "instances", multiple=True, help="only this one; may be given again")
@click.option("--waiting-at", multiple=True, metavar="ELEMENT", help="only those that wait there")
@click.option("--apply", is_flag=True, help="move them; without it only the plan is shown")
@click.option("--undo", metavar="MIGRATION", help="take back what a migration moved")
def migrate_instances(
    source: str | None,
    target: str | None,
    mapping: tuple[str, ...],
    instances: tuple[str, ...],
    waiting_at: tuple[str, ...],
    apply: bool,
    undo: str | None,
) -> None:
    """Move running instances from one definition to another of the same process."""
    with wired(Settings()) as sluice:
        if undo is not None:
            with sluice.database.begin() as tx:
                actor = _owner(tx.session.get(Migration, undo), undo)
                migration_id = migrate.undo(tx, actor, undo).id
            _show(_carried_out(sluice.database, migration_id))
            return
        if source is None or target is None:
            raise click.UsageError("Give the definition they run on and the one to move them to, or --undo")
        command = Command(source, target, _renamed(mapping), instances, waiting_at)
        with sluice.database.begin() as tx:
            actor = _owner(tx.session.get(Definition, source), source)
            shown = migrate.start(tx, actor, command).id if apply else plan_view(plan(tx, actor, command))
        _show(_carried_out(sluice.database, shown) if isinstance(shown, str) else shown)


def _owner(row: Definition | Migration | None, row_id: str) -> Actor:
    if row is None:
        raise NotFound(f"There is no {row_id}")
    return host_user(row.merchant_id)


def _renamed(mapping: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in mapping]
    for old, _, new in pairs:
        if not old or not new:
            raise click.UsageError("Write --map OLD=NEW with the ids of two elements")
    return {old: new for old, _, new in pairs}


def _carried_out(database: Database, migration_id: str) -> Json:
    """Take part in the work until nothing is due; workers that run beside us do their share."""
    while True:
        with database.begin() as tx:
            jobs = migrate.take(tx, BATCH, migration_id)
        for job in jobs:
            with database.begin() as tx:
                migrate.carry_out(tx, job)
        if not jobs:
            with database.begin() as tx:
                migration = tx.session.get_one(Migration, migration_id)
                return migration_view(tx, migration)


def _show(view: Json) -> None:
    name = view["id"] or "plan"
    click.echo(f"{name}: {view['process']} version {view['from_version']} -> {view['to_version']}, {view['status']}")
    click.echo(", ".join(f"{number} {status}" for status, number in sorted(view["counts"].items())) or "no instance")
    if view["left_out"]:
        click.echo(f"{view['left_out']} more are left for the next command")
    elements = sorted({*view["before"], *view["after"]})
    if elements:
        rows = [[one, view["before"].get(one, 0), view["after"].get(one, 0)] for one in elements]
        click.echo(table(["waits at", "before", "after"], rows))
    for move in view["moves"]:
        for reason in move["reasons"]:
            click.echo(f"{move['instance']} {move['status']}: {reason['message']} ({reason['code']})")
        for wait in move["waits"]:
            if wait["due_at"] is not None:
                click.echo(f"{move['instance']} {wait['node']} is due at {wait['due_at'].isoformat()}")
