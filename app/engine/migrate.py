"""Carrying out migrations: one command, one Move per instance, each in a transaction of its own, and the way back.

An instance is moved only while no worker holds it, nothing has arrived for it and no call is under way, and only if it
stands where it stood when the command was given. What a move changed is kept until the instance goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update

from app.access.actor import Actor, Role
from app.engine import archive, inbox, saving, store
from app.engine.migration_views import KEPT, MOVED, PENDING, SKIPPED, UNDOING, UNDONE, plan_view
from app.engine.models import Incident, Instance, Migration, Move, Task, WaitRow
from app.engine.moving import undoing
from app.engine.moving_rules import Refusal
from app.engine.pins import load_bundle
from app.engine.planning import (
    Candidate,
    Command,
    Judged,
    candidates,
    form_differences,
    judge,
    plan,
    route,
    unsettled,
)
from app.engine.runner import Run
from app.engine.step import JournalEntry, JournalKind, Step, WaitKind
from app.errors import AppError, Conflict, InvalidInput, NotFound
from app.events import audit
from app.kit.database import Json, Tx
from app.kit.ids import new_id
from app.kit.paging import Page, fetch, narrowed
from app.operations import Registry, registry

#: When a move that is under way, or found its instance busy, is looked at again.
CHANNEL = "sluice_moves"
AGAIN = timedelta(seconds=1)
UNDER_WAY = timedelta(seconds=30)
_MOVED_ON = Refusal("moved_on", "", "It has gone on since the command was given; plan again")


class AlreadyUndone(Conflict):
    code = "already_undone"
    title = "The migration was undone before"


@dataclass(frozen=True, slots=True)
class Job:
    """One move that is due."""

    migration_id: str
    instance_id: str


def start(tx: Tx, actor: Actor, command: Command, operations: Registry = registry) -> Migration:
    """Write the command down with the moves that are allowed and those that are not; workers carry it out."""
    planned = plan(tx, actor, command, operations)
    if not planned.allowed:
        raise InvalidInput(
            "There is no instance that can be moved; ask for a dry run to see why", extra={"plan": plan_view(planned)}
        )
    now = tx.now()
    migration = Migration(
        id=new_id("mig"),
        merchant_id=actor.merchant_id,
        process=planned.source.key,
        from_id=planned.source.id,
        to_id=planned.target.id,
        mapping=dict(planned.mapping),
        plan=planned.totals(),
        created_by=actor.id,
        created_at=now,
    )
    tx.session.add(migration)
    tx.session.flush()
    for verdict in planned.verdicts:
        refused = [refusal.view() for refusal in verdict.refusals]
        tx.session.add(
            Move(
                migration_id=migration.id,
                instance_id=verdict.instance_id,
                status=SKIPPED if refused else PENDING,
                reasons={"reasons": refused},
                fence=verdict.fence,
                due_at=None if refused else now,
            )
        )
    tx.session.flush()
    facts = {"process": migration.process, "from": planned.source.version, "to": planned.target.version}
    audit.record(tx, actor, "migration.started", migration.id, {**facts, "instances": len(planned.allowed)})
    tx.notify(CHANNEL)
    return migration


def undo(tx: Tx, actor: Actor, migration_id: str) -> Migration:
    """Take every moved instance back that has not gone on since; what was not moved yet will not be."""
    actor.require(Role.OPERATOR, Role.ANALYST)
    migration = find(tx, actor.merchant_id, migration_id, lock=True)
    if migration.undone_at is not None:
        raise AlreadyUndone(f"{migration.undone_by} undid it at {migration.undone_at.isoformat()}")
    migration.undone_by, migration.undone_at = actor.id, tx.now()
    mine = Move.migration_id == migration.id
    withdrawn = {"reasons": [Refusal("withdrawn", "", "The migration was undone before its turn came").view()]}
    tx.execute(update(Move).where(mine, Move.status == PENDING).values(status=SKIPPED, reasons=withdrawn, due_at=None))
    tx.execute(update(Move).where(mine, Move.status == MOVED).values(status=UNDOING, due_at=tx.now()))
    tx.session.flush()
    audit.record(tx, actor, "migration.undone", migration.id, {"process": migration.process})
    tx.notify(CHANNEL)
    return migration


def listed(
    tx: Tx, merchant_id: str, *, process: str | None = None, limit: int = 50, after: str | None = None
) -> Page[Migration]:
    """A merchant's commands, the newest first."""
    query = narrowed(select(Migration).where(Migration.merchant_id == merchant_id), {Migration.process: process})
    return fetch(tx, query, Migration.id, limit, after)


def find(tx: Tx, merchant_id: str, migration_id: str, *, lock: bool = False) -> Migration:
    migration = tx.session.get(Migration, migration_id, with_for_update=lock or None)
    if migration is None or migration.merchant_id != merchant_id:
        raise NotFound(f"There is no migration {migration_id}")
    return migration


def take(tx: Tx, limit: int, migration_id: str | None = None) -> list[Job]:
    """Moves that are due; should whoever took them die, they become due again."""
    due = select(Move).where(Move.due_at <= tx.now())
    if migration_id is not None:
        due = due.where(Move.migration_id == migration_id)
    oldest = due.order_by(Move.due_at, Move.migration_id, Move.instance_id).limit(limit)
    found = tx.session.scalars(oldest.with_for_update(skip_locked=True)).all()
    # What is taken together is carried out at the same time; of one instance the older move goes first.
    moves = list({one.instance_id: one for one in reversed(found)}.values())[::-1]
    for one in moves:
        one.due_at = tx.now() + UNDER_WAY
    tx.session.flush()
    return [Job(one.migration_id, one.instance_id) for one in moves]


def carry_out(tx: Tx, job: Job, operations: Registry = registry) -> None:
    """Move one instance, or take it back. What forbids it is written down as its reasons."""
    found = tx.session.get(Move, (job.migration_id, job.instance_id), with_for_update=True, populate_existing=True)
    if found is None or found.status not in (PENDING, UNDOING):
        return
    migration = tx.session.get_one(Migration, job.migration_id)
    candidate = _lock(tx, job.instance_id)
    refusal = unsettled(candidate)
    if refusal is not None and refusal.code == "busy":
        found.due_at = tx.now() + AGAIN
        return
    found.due_at, found.at = None, tx.now()
    if candidate.instance.fence != found.fence:
        _settle(found, [refusal if refusal is not None and refusal.code == "ended" else _MOVED_ON])
    elif found.status == PENDING:
        _settle(found, _move(tx, migration, found, candidate, operations))
    else:
        _settle(found, [refusal] if refusal is not None else _take_back(tx, migration, found, candidate))


def _settle(found: Move, refusals: Sequence[Refusal]) -> None:
    forth = found.status == PENDING
    if refusals:
        found.status = SKIPPED if forth else KEPT
        found.reasons = {"reasons": [refusal.view() for refusal in refusals]}
    else:
        found.status = MOVED if forth else UNDONE
    if found.status != MOVED:
        found.state = None  # `before` stays with one that is kept: it tells later moves where it has been
    if found.status == UNDONE:
        found.before = None


def _lock(tx: Tx, instance_id: str) -> Candidate:
    """The instance, with every row locked through which somebody could reach it by its old names meanwhile.

    Messages first: who delivers one holds its subscription and then takes the wait.
    """
    tx.session.execute(select(Instance.id).where(Instance.id == instance_id).with_for_update(key_share=True))
    waits = select(WaitRow.merchant_id, WaitRow.message, WaitRow.correlation).where(WaitRow.instance_id == instance_id)
    for row in sorted(tx.session.execute(waits.where(WaitRow.kind == WaitKind.MESSAGE))):
        inbox.lock_subscription(tx, *row)
    for model in (Task, Incident):
        open_ = select(model.id).where(model.instance_id == instance_id, model.status.in_(("open", "claimed")))
        tx.session.execute(open_.order_by(model.id).with_for_update())
    (candidate,) = candidates(tx, [instance_id])
    return candidate


def _move(tx: Tx, migration: Migration, found: Move, candidate: Candidate, operations: Registry) -> Sequence[Refusal]:
    ids = (migration.from_id, migration.to_id)
    way = route(tx, migration.merchant_id, *ids, migration.mapping, operations)
    judged = judge(tx, candidate, way, migration.created_by)
    if not isinstance(judged, Judged):
        return judged
    instance, nodes = candidate.instance, judged.moved.nodes
    before = {
        "definition_id": instance.definition_id,
        "version": instance.version,
        "pins": instance.pins,
        "since": {node: at.isoformat() for node, at in candidate.since.items()},
        "nodes": dict(nodes),
        "journal_seq": instance.journal_seq,
    }
    found.before, found.state, found.fence = before, instance.state, instance.fence + 1
    state = judged.moved.run.dump()
    on = _Version(judged.pins, way.target.id, way.target.version)
    if instance.process != migration.process:  # a called process moves, the instance itself is of another one
        on = replace(on, definition_id=instance.definition_id, version=instance.version)
    _write(tx, instance.id, on, nodes, judged.moved.step, state)
    facts = {"migration": migration.id, "from": way.source.version, "to": way.target.version}
    audit.record(tx, _by(migration, migration.created_by), "instance.migrated", instance.id, facts)
    return ()


def _take_back(tx: Tx, migration: Migration, found: Move, candidate: Candidate) -> Sequence[Refusal]:
    before, instance = found.before, candidate.instance
    assert before is not None
    assert found.state is not None
    try:
        run = Run.load(load_bundle(tx, before["pins"]), found.state)
    except AppError as error:
        return [Refusal(error.code, "", error.detail)]
    nodes = {new: old for old, new in before["nodes"].items()}
    step = run.look()
    differences = list(form_differences(tx, candidate, step, nodes, before["pins"]))
    if differences:
        return differences
    journal = _journal_of_undo(tx, migration, instance.id, before)
    on = _Version(before["pins"], before["definition_id"], before["version"])
    _write(tx, instance.id, on, nodes, replace(step, journal=tuple(journal)), found.state)
    for node, at in before["since"].items():
        began = update(WaitRow).where(WaitRow.instance_id == instance.id, WaitRow.node == node)
        tx.execute(began.where(WaitRow.kind == WaitKind.TIMER).values(created_at=datetime.fromisoformat(at)))
    audit.record(
        tx,
        _by(migration, str(migration.undone_by)),
        "instance.migration_undone",
        instance.id,
        {"migration": migration.id},
    )
    return ()


def _journal_of_undo(tx: Tx, migration: Migration, instance_id: str, before: Json) -> list[JournalEntry]:
    """Nothing was journalled since the move, or the instance would have gone on."""
    rows = [row for row in archive.lines(tx, [instance_id]) if row.seq > before["journal_seq"]]
    written = [
        JournalEntry(JournalKind(row.kind), row.element, row.node, row.process, row.scope, row.actor, row.facts)
        for row in rows
    ]
    move = written[0]
    facts: Json = {"from": move.facts["to"], "to": move.facts["from"], "undone": True}
    if "nodes" in move.facts:
        facts["nodes"] = {new: old for old, new in move.facts["nodes"].items()}
    return [move._replace(actor=str(migration.undone_by), facts=facts), *undoing(written[1:])]


def _by(migration: Migration, actor_id: str) -> Actor:
    return Actor(actor_id, actor_id, migration.merchant_id)


@dataclass(frozen=True, slots=True)
class _Version:
    """What an instance row says about its version."""

    pins: Json
    definition_id: str
    version: int


def _write(tx: Tx, instance_id: str, on: _Version, nodes: Mapping[str, str], step: Step, state: bytes) -> None:
    """Make the rows say what the step says, with the rows of what only changed its name or time kept."""
    owner = f"migrate:{instance_id}"
    lease = update(Instance).where(Instance.id == instance_id, Instance.lease_until.is_(None))
    lease = lease.values(lease_owner=owner, pins=on.pins, definition_id=on.definition_id, version=on.version)
    assert tx.changed(lease) == 1
    for old, new in nodes.items():
        if old != new:
            _rename(tx, instance_id, old, new)
    mine = WaitRow.instance_id == instance_id
    for wait in step.waits:
        if wait.due_at is not None:  # the row keeps when the wait began
            row = update(WaitRow).where(mine, WaitRow.node == wait.node, WaitRow.kind == wait.kind)
            tx.execute(row.values(due_at=wait.due_at))
    for task in step.tasks:
        row = update(Task).where(Task.instance_id == instance_id, Task.node == task.node)
        tx.execute(row.values(name=task.name, form_id=on.pins["forms"][task.form]))
    saving.save(tx, owner, saving.Outcome(store.peek(tx, instance_id), step, state, (), keep_lease=False))
    tx.notify(inbox.CHANNEL)


def _rename(tx: Tx, instance_id: str, old: str, new: str) -> None:
    element = new.rpartition("/")[2].partition("#")[0]
    for model in (WaitRow, Task, Incident):
        rows = update(model).where(model.instance_id == instance_id, model.node == old)
        tx.execute(rows.values(node=new, element=element))
