"""Migrations: move running instances to another version of their process, look first, and take it back."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.access.actor import Role
from app.api.route import Answer, Body, Call, Listing, Resource, View
from app.engine import migrate
from app.engine.migrate import AlreadyUndone
from app.engine.migration_views import migration_lines, migration_view, plan_view
from app.engine.planning import INSTANCE_LIMIT, Command, plan
from app.errors import Conflict, NotFound
from app.kit.database import Json

READERS = tuple(Role)
MOVERS = (Role.OPERATOR, Role.ANALYST)
Id = Annotated[str, Field(min_length=1, max_length=200)]

resource = Resource("Migrations", "Running flows keep their version until somebody moves them to another one.")


class ReasonView(View):
    """Why an instance stays on its version. `element` is empty where it is about the whole instance."""

    code: str
    element: str
    message: str


class PlannedWait(View):
    element: str
    node: str
    kind: Literal["timer", "message", "task", "call"]
    due_at: datetime | None
    message: str | None


class MoveView(View):
    """One instance. `waits` tells in a dry run what it would wait for, with the due times of its timers."""

    instance: str
    subject: str
    status: Literal["allowed", "refused", "pending", "moved", "skipped", "undoing", "undone", "kept"]
    reasons: list[ReasonView]
    waits: list[PlannedWait]
    at: datetime | None


class MigrationLine(View):
    """A migration without its moves."""

    id: str | None = Field(description="Null in the answer to a dry run")
    object: Literal["migration"]
    status: Literal["planned", "running", "done", "undone"]
    process: str
    from_: str = Field(alias="from", description="The version they ran on")
    from_version: int
    to: str
    to_version: int
    mapping: dict[str, str]
    counts: dict[str, int] = Field(description="How many moves are in each status")
    created_by: str | None
    created_at: datetime | None
    undone_by: str | None
    undone_at: datetime | None


class MigrationView(MigrationLine):
    """`before` and `after` count the waits per element, over the instances that are allowed to move."""

    before: dict[str, int]
    after: dict[str, int]
    left_out: int = Field(description=f"A command moves at most {INSTANCE_LIMIT:,}; give it again for the rest")
    moves: list[MoveView]


class ListMigrations(Listing):
    process: str | None = Field(None, max_length=200)


class MigrateInstances(Body):
    """Without `instances` and `waiting_at`: every instance on this version. A dry run writes nothing."""

    from_: Id = Field(alias="from", description="The version they run on")
    to: Id = Field(description="Another published or retired version of the same process")
    mapping: dict[Id, Id] = Field(
        default_factory=dict, max_length=400, description="Element id to element id, for elements that were renamed"
    )
    instances: list[Id] = Field(default_factory=list, max_length=INSTANCE_LIMIT)
    waiting_at: list[Id] = Field(
        default_factory=list, max_length=400, description="Only those that wait at one of these"
    )
    dry_run: bool = Field(default=True, description="Only say what would happen; false moves them")


@resource.route(
    "POST",
    "/v1/migrations",
    summary="Move instances to another version",
    body=MigrateInstances,
    example={"from": "def_old", "to": "def_new", "mapping": {"review": "check"}, "dry_run": True},
    response=MigrationView,
    status=202,
    also=(200,),
    roles=MOVERS,
    errors=(Conflict, NotFound),
)
def migrate_instances(call: Call, body: MigrateInstances) -> Answer:
    """Answers 200 with the plan, or 202 when workers carry it out. Whoever cannot be moved stays, with the reasons."""
    command = Command(body.from_, body.to, body.mapping, tuple(body.instances), tuple(body.waiting_at))
    if body.dry_run:
        return Answer(plan_view(plan(call.tx, call.actor, command)), status=200)
    return Answer(migration_view(call.tx, migrate.start(call.tx, call.actor, command)))


@resource.route(
    "GET",
    "/v1/migrations",
    summary="List migrations",
    query=ListMigrations,
    response=MigrationLine,
    listed=True,
    roles=READERS,
)
def list_migrations(call: Call, query: ListMigrations) -> Json:
    """The newest first, each with what an undo needs: its id."""
    page = migrate.listed(call.tx, call.actor.merchant_id, process=query.process, limit=query.limit, after=query.after)
    lines = migration_lines(call.tx, page.rows)
    return page.view(lambda one: lines[one.id])


@resource.route("GET", "/v1/migrations/{migration}", summary="Get a migration", response=MigrationView, roles=READERS)
def get_migration(call: Call, migration: str) -> Json:
    """How far it is: what was moved, what was skipped and why."""
    return migration_view(call.tx, migrate.find(call.tx, call.actor.merchant_id, migration))


@resource.route(
    "POST",
    "/v1/migrations/{migration}/undo",
    summary="Undo a migration",
    response=MigrationView,
    status=202,
    roles=MOVERS,
    errors=(AlreadyUndone,),
)
def undo_migration(call: Call, migration: str) -> Json:
    """Takes every instance back that has not gone on since; the others are kept, with the reason."""
    return migration_view(call.tx, migrate.undo(call.tx, call.actor, migration))
