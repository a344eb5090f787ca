"""Reading instances: their waits, incidents and the path they took, in the API's shape."""

from collections.abc import Iterable

from sqlalchemy import select

from app.access.actor import Actor
from app.engine import archive
from app.engine.models import Incident, Instance, JournalRow, Task, WaitRow
from app.engine.people import form_of
from app.engine.step import JournalKind, WaitKind
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch, narrowed

_LEAVES = {JournalKind.LEFT, JournalKind.CANCELED}


def instances(
    tx: Tx,
    actor: Actor,
    *,
    status: str | None = None,
    process: str | None = None,
    subject: str | None = None,
    definition: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Page[Instance]:
    query = select(Instance).where(Instance.merchant_id == actor.merchant_id)
    wanted = {
        Instance.status: status,
        Instance.process: process,
        Instance.subject: subject,
        Instance.definition_id: definition,
    }
    return fetch(tx, narrowed(query, wanted), Instance.id, limit, after)


def instance_view(tx: Tx, instance: Instance) -> Json:
    """The instance as the API shows it, but for its incidents, which have moves that the engine does not know."""
    return {
        "id": instance.id,
        "object": "instance",
        "status": instance.status,
        "process": instance.process,
        "version": instance.version,
        "definition": instance.definition_id,
        "subject": instance.subject,
        "waits": waits(tx, instance.id),
        "path": path(journal(tx, instance.id)),
        "created_at": instance.created_at,
        "updated_at": instance.updated_at,
        "ended_at": instance.ended_at,
    }


def waits(tx: Tx, instance_id: str) -> list[Json]:
    """Everything the instance waits for, with the task where a person is waited for."""
    tasks = {
        row.node: row.id
        for row in tx.session.scalars(
            select(Task).where(Task.instance_id == instance_id, Task.status.in_(("open", "claimed")))
        )
    }
    rows = open_waits(tx, instance_id)
    return [
        {
            "element": row.element,
            "node": row.node,
            "kind": row.kind,
            "due_at": row.due_at,
            "task": tasks.get(row.node) if row.kind == WaitKind.TASK else None,
            "message": row.message or None,
        }
        for row in rows
    ]


def open_waits(tx: Tx, instance_id: str) -> list[WaitRow]:
    """Rows, and the calls under way, which have none, as if they had."""
    rows = list(tx.session.scalars(select(WaitRow).where(WaitRow.instance_id == instance_id).order_by(WaitRow.id)))
    instance = tx.session.get_one(Instance, instance_id)
    calls = [
        WaitRow(
            instance_id=instance_id,
            merchant_id=instance.merchant_id,
            node=node,
            element=element,
            kind=WaitKind.CALL,
            message="",
            correlation="",
            created_at=instance.updated_at,
        )
        for node, element in instance.calls.items()
    ]
    return rows + calls


def incidents(tx: Tx, instance_id: str) -> list[Incident]:
    query = select(Incident).where(Incident.instance_id == instance_id).order_by(Incident.created_at, Incident.id)
    return list(tx.session.scalars(query))


def incident_view(row: Incident) -> Json:
    return {
        "id": row.id,
        "element": row.element,
        "kind": row.kind,
        "message": row.message,
        "status": row.status,
        "created_at": row.created_at,
        "resolved_at": row.resolved_at,
        "resolved_by": row.resolved_by,
    }


def journal(tx: Tx, instance_id: str) -> list[JournalRow]:
    return archive.lines(tx, [instance_id])


def path(rows: Iterable[JournalRow]) -> list[Json]:
    """Elements and sequence flows in the order they were entered; `left_at` is None while a token rests there.

    `wrote` are the variables that the element wrote, `large` the bytes of those whose values are too long to be kept.
    """
    entries: list[Json] = []
    open_by_node: dict[str, Json] = {}
    for row in rows:
        where = {"element": row.element, "process": row.process, "scope": row.scope}
        if row.kind == JournalKind.TAKEN:
            entries.append({**where, "kind": "flow", "entered_at": row.at, "left_at": row.at})
        elif row.kind == JournalKind.ENTERED:
            entry: Json = {
                **where,
                "kind": str(row.facts.get("kind", "element")),
                "entered_at": row.at,
                "left_at": None,
            }
            entries.append(entry)
            open_by_node[row.node] = entry
        elif row.kind in _LEAVES and row.node in open_by_node:
            entry = open_by_node.pop(row.node)
            entry["left_at"] = row.at
            entry |= {name: row.facts[name] for name in ("wrote", "large") if name in row.facts}
            if row.kind == JournalKind.CANCELED:
                entry["canceled"] = True
    return entries


def task_view(tx: Tx, task: Task) -> Json:
    form = form_of(tx, task)
    return {
        "id": task.id,
        "object": "task",
        "status": task.status,
        "process": task.process,
        "element": task.element,
        "name": task.name,
        "instance": task.instance_id,
        "payment": task.facts.get("payment") or (task.subject if task.subject.startswith("pay_") else None),
        "subject": task.subject,
        "candidate_groups": task.candidate_groups,
        "excluded": task.excluded,
        "assignee": task.assignee,
        "claim_until": task.claim_until,
        "due_at": task.due_at,
        "priority": task.priority,
        "form": form.id,
        "facts": task.facts,
        "decisions": [decision.value for decision in form.decisions],
        "reasons": [reason.value for reason in form.reasons],
        "decision": task.decision,
        "reason": task.reason,
        "note": task.note,
        "data": task.data,
        "completed_by": task.completed_by,
        "created_at": task.created_at,
        "completed_at": task.completed_at,
    }
