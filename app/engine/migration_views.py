"""Migrations in the API's shape: a plan that was only asked for, and a command with the state of each of its moves."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import defer

from app.engine.models import Definition, Instance, Migration, Move
from app.engine.planning import Plan, Verdict
from app.kit.database import Json, Tx

PENDING, MOVED, SKIPPED = "pending", "moved", "skipped"
UNDOING, UNDONE, KEPT = "undoing", "undone", "kept"
ALLOWED, REFUSED = "allowed", "refused"


def plan_view(plan: Plan) -> Json:
    """What a dry run answers."""
    moves = [_verdict_view(verdict) for verdict in plan.verdicts]
    return {
        "id": None,
        "object": "migration",
        "status": "planned",
        **_versions_view(plan.source, plan.target),
        "mapping": dict(plan.mapping),
        **plan.totals(),
        "counts": dict(Counter(move["status"] for move in moves)),
        "moves": moves,
        "created_by": None,
        "created_at": None,
        "undone_by": None,
        "undone_at": None,
    }


def migration_view(tx: Tx, migration: Migration) -> Json:
    query = select(Move, Instance.subject).join(Instance, Instance.id == Move.instance_id)
    query = query.where(Move.migration_id == migration.id).order_by(Instance.created_at, Instance.id)
    moves = [_move_view(move, subject) for move, subject in tx.session.execute(query)]
    return {**migration_lines(tx, [migration])[migration.id], **migration.plan, "moves": moves}


def migration_lines(tx: Tx, migrations: Sequence[Migration]) -> dict[str, Json]:
    """Each migration without its moves, by id."""
    counts: dict[str, Counter[str]] = {one.id: Counter() for one in migrations}
    query = select(Move.migration_id, Move.status, func.count()).where(Move.migration_id.in_(counts))
    for migration_id, status, number in tx.session.execute(query.group_by(Move.migration_id, Move.status)):
        counts[migration_id][status] = number
    used = {version for one in migrations for version in (one.from_id, one.to_id)}
    found = select(Definition).options(defer(Definition.content)).where(Definition.id.in_(used))
    versions = {one.id: one for one in tx.session.scalars(found)}
    return {one.id: _line(one, counts[one.id], versions) for one in migrations}


def _line(migration: Migration, counts: Counter[str], versions: Mapping[str, Definition]) -> Json:
    return {
        "id": migration.id,
        "object": "migration",
        "status": _status(migration, counts),
        **_versions_view(versions[migration.from_id], versions[migration.to_id]),
        "mapping": migration.mapping,
        "counts": dict(counts),
        "created_by": migration.created_by,
        "created_at": migration.created_at,
        "undone_by": migration.undone_by,
        "undone_at": migration.undone_at,
    }


def _status(migration: Migration, counts: Counter[str]) -> str:
    if counts[PENDING] or counts[UNDOING]:
        return "running"
    return "done" if migration.undone_at is None else "undone"


def _versions_view(source: Definition, target: Definition) -> Json:
    return {
        "process": source.key,
        "from": source.id,
        "from_version": source.version,
        "to": target.id,
        "to_version": target.version,
    }


def _verdict_view(verdict: Verdict) -> Json:
    waits = [
        {"element": w.element, "node": w.node, "kind": w.kind, "due_at": w.due_at, "message": w.message or None}
        for w in verdict.waits
    ]
    return {
        "instance": verdict.instance_id,
        "subject": verdict.subject,
        "status": REFUSED if verdict.refusals else ALLOWED,
        "reasons": [refusal.view() for refusal in verdict.refusals],
        "waits": waits,
        "at": None,
    }


def _move_view(move: Move, subject: str) -> Json:
    return {
        "instance": move.instance_id,
        "subject": subject,
        "status": move.status,
        "reasons": move.reasons["reasons"],
        "waits": [],
        "at": move.at,
    }
