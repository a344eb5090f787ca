"""Where Steps become rows: claiming due instances under a lease, and saving what the runner said.

Every statement that changes an instance asks for the lease and the fence it was claimed with; a worker that lost
either writes nothing and drops what it has in memory.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, text, update

from app.engine import due, inbox, incidents
from app.engine.models import InboxItem, Incident, Instance, JournalRow, Task, WaitRow
from app.engine.step import InstanceStatus, Item, ItemKind, JournalEntry, Step, Thrown, WaitKind
from app.errors import Conflict
from app.kit.database import Json, Tx
from app.kit.ids import derived_id

#: A dead worker's instances go on within 10 seconds: this, and the second until somebody looks.
LEASE = timedelta(seconds=9)


class LeaseLost(Conflict):
    code = "lease_lost"
    title = "Another worker advances this instance now"


@dataclass(frozen=True, slots=True)
class Claim:
    """An instance as it was claimed: everything the runner needs, and the fence that later saves must match."""

    id: str
    merchant_id: str
    process: str
    subject: str
    status: InstanceStatus
    pins: Json
    variables: Json
    state: bytes | None
    journal_seq: int
    fence: int
    failures: int
    trace: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """An inbox row and the item in it. `trace` is on whose behalf it came."""

    row_id: int
    item: Item
    trace: str


# What arrives for an instance that has ended has nobody to take it.
_DISCARD = text("""
DELETE FROM inbox WHERE id IN (
    SELECT inbox.id FROM inbox JOIN instances i ON i.id = inbox.instance_id
    WHERE i.ended_at IS NOT NULL
    FOR UPDATE OF inbox SKIP LOCKED
)
RETURNING kind, payload
""")


def claim(tx: Tx, owner: str, limit: int, except_for: Collection[str] = (), *, fair: bool = False) -> list[str]:
    """Lease up to `limit` instances that have something due: a timer, an inbox item, or a dead worker's lease.

    The oldest first; `fair` lets merchants take turns instead, each with its oldest first. That costs more, so it is
    for when more is due than one claim takes.
    """
    now = tx.now()
    unheard = [row.payload["message"] for row in tx.execute(_DISCARD) if row.kind == ItemKind.MESSAGE]
    inbox.give_back(tx, unheard)
    rows = tx.execute(
        due.FAIR if fair else due.OLDEST,
        {
            "except_for": list(except_for),
            "now": now,
            "until": now + LEASE,
            "owner": owner,
            "limit": limit,
            "parked": inbox.PARK_AFTER,
        },
    )
    return [row[0] for row in rows]


def renew(tx: Tx, owner: str, instance_ids: Sequence[str]) -> None:
    tx.execute(
        update(Instance)
        .where(Instance.id.in_(instance_ids), Instance.lease_owner == owner)
        .values(lease_until=tx.now() + LEASE)
    )


_CLAIM_COLUMNS = (
    Instance.id,
    Instance.merchant_id,
    Instance.process,
    Instance.subject,
    Instance.status,
    Instance.pins,
    Instance.variables,
    Instance.state,
    Instance.journal_seq,
    Instance.fence,
    Instance.failures,
    Instance.trace,
)


def load(tx: Tx, owner: str, instance_id: str) -> Claim:
    """The claimed instance; LeaseLost when it is somebody else's by now, or has ended."""
    found = _read(tx, Instance.id == instance_id, Instance.lease_owner == owner, Instance.ended_at.is_(None))
    if found is None:
        raise LeaseLost(f"The lease of {instance_id} is gone")
    return found


def peek(tx: Tx, instance_id: str) -> Claim:
    """The instance whoever holds it, for looking only."""
    found = _read(tx, Instance.id == instance_id)
    assert found is not None
    return found


def _read(tx: Tx, *conditions: ColumnElement[bool]) -> Claim | None:
    row = tx.session.execute(select(*_CLAIM_COLUMNS).where(*conditions)).one_or_none()
    return Claim(**{**row._asdict(), "status": InstanceStatus(row.status)}) if row is not None else None


def arrivals(tx: Tx, instance_id: str) -> list[Arrival]:
    rows = tx.session.execute(
        select(InboxItem.id, InboxItem.kind, InboxItem.node, InboxItem.payload, InboxItem.actor, InboxItem.trace)
        .where(InboxItem.instance_id == instance_id)
        .order_by(InboxItem.id)
    )
    return [Arrival(row[0], Item(ItemKind(row[1]), row[2], row[3], row[4]), row[5]) for row in rows]


def calls_open(tx: Tx, instance_id: str) -> frozenset[str]:
    """The nodes whose calls were written ahead and not answered as of the last save."""
    query = select(WaitRow.node).where(WaitRow.instance_id == instance_id, WaitRow.kind == WaitKind.CALL)
    return frozenset(tx.session.scalars(query))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One instance after its step: what to write. `keep_lease` while calls are under way, so nobody else steps in."""

    claim: Claim
    step: Step
    state: bytes | None
    taken: Sequence[int]
    keep_lease: bool


def save(tx: Tx, owner: str, outcome: Outcome) -> Claim:
    """Write one step; the claim to use for the next one. LeaseLost when the fence or the lease does not match."""
    claim_, step = outcome.claim, outcome.step
    now = tx.now()
    ended = step.status.ended
    statement = (
        update(Instance)
        .where(Instance.id == claim_.id, Instance.fence == claim_.fence, Instance.lease_owner == owner)
        .values(
            status=step.status,
            state=None if ended else outcome.state,
            variables=dict(step.variables) if ended else claim_.variables,
            journal_seq=claim_.journal_seq + len(step.journal),
            due_at=None if ended else step.due_at,
            lease_owner=owner if outcome.keep_lease and not ended else None,
            lease_until=now + LEASE if outcome.keep_lease and not ended else None,
            fence=claim_.fence + 1,
            failures=0,
            last_error=None,
            updated_at=now,
            ended_at=now if ended else None,
        )
    )
    if tx.changed(statement) != 1:
        raise LeaseLost(f"The lease of {claim_.id} is gone")
    if outcome.taken:
        tx.execute(delete(InboxItem).where(InboxItem.id.in_(outcome.taken)))
    _write_journal(tx, claim_, step.journal, now)
    _write_tasks(tx, claim_, step, now)
    _write_incidents(tx, claim_, step, now)
    _write_waits(tx, claim_, step, now)
    if ended:
        incidents.settle_parked(tx, claim_.id)
    inbox.give_back(tx, [item.payload["message"] for item in step.stale if item.kind is ItemKind.MESSAGE])
    for thrown in step.thrown:
        _throw(tx, claim_, thrown)
    return replace(
        claim_,
        status=step.status,
        state=outcome.state,
        journal_seq=claim_.journal_seq + len(step.journal),
        fence=claim_.fence + 1,
        failures=0,
    )


def fail(tx: Tx, owner: str, instance_id: str, error: str, retry_in: timedelta) -> int:
    """Give a failed instance back for another try after `retry_in`; how often it has failed in a row."""
    statement = (
        update(Instance)
        .where(Instance.id == instance_id, Instance.lease_owner == owner)
        .values(
            failures=Instance.failures + 1,
            last_error=error[:2000],
            lease_owner=None,
            lease_until=tx.now() + retry_in,
            updated_at=tx.now(),
        )
        .returning(Instance.failures)
    )
    return tx.session.scalar(statement) or 0


def park(tx: Tx, instance_id: str, error: str) -> None:
    """Take an instance that fails every time out of the loop and show it to people, so that others go on."""
    instance = tx.session.get_one(Instance, instance_id, with_for_update=True)
    instance.status = InstanceStatus.INCIDENT
    instance.failures = max(instance.failures, inbox.PARK_AFTER)  # so that no message sets it going
    instance.due_at = instance.lease_owner = instance.lease_until = None
    incidents.report(
        tx, instance.merchant_id, instance_id, instance.subject, instance.process, incidents.PARKED, error[:2000]
    )


def _write_journal(tx: Tx, claim_: Claim, journal: Sequence[JournalEntry], now: datetime) -> None:
    if not journal:
        return
    rows = [
        {
            "instance_id": claim_.id,
            "seq": claim_.journal_seq + number,
            "at": now,
            "kind": entry.kind,
            "element": entry.element,
            "node": entry.node,
            "process": entry.process,
            "scope": entry.scope,
            "actor": entry.actor,
            "facts": dict(entry.facts),
        }
        for number, entry in enumerate(journal, start=1)
    ]
    tx.execute(insert(JournalRow), rows)


def _write_waits(tx: Tx, claim_: Claim, step: Step, now: datetime) -> None:
    """Make the rows equal to the step's waits. A subscription that opens takes what was kept for it."""
    rows = tx.session.execute(
        select(WaitRow.id, WaitRow.node, WaitRow.kind, WaitRow.due_at, WaitRow.message, WaitRow.correlation).where(
            WaitRow.instance_id == claim_.id
        )
    )
    known: Mapping[tuple[Any, ...], int] = {tuple(row[1:]): row[0] for row in rows}
    wanted = {
        (wait.node, wait.kind.value, wait.due_at, wait.message, wait.correlation): wait
        for wait in ([] if step.status.ended else step.waits)
    }
    gone = {key: row_id for key, row_id in known.items() if key not in wanted}
    opened = [wait for key, wait in wanted.items() if key not in known]
    subscriptions = sorted({(wait.message, wait.correlation) for wait in opened if wait.kind is WaitKind.MESSAGE})
    closed = {(message, correlation) for _, kind, _, message, correlation in gone if kind == WaitKind.MESSAGE}
    # Before any row is touched: publishers take the lock first and the wait's row second, too.
    for name, correlation in sorted(closed.union(subscriptions)):
        inbox.lock_subscription(tx, claim_.merchant_id, name, correlation)
    if gone:
        tx.execute(delete(WaitRow).where(WaitRow.id.in_(gone.values())))
    if not opened:
        return
    fields = ("node", "element", "kind", "due_at", "message", "correlation")
    tx.execute(
        insert(WaitRow),
        [
            {field: getattr(wait, field) for field in fields}
            | {"instance_id": claim_.id, "merchant_id": claim_.merchant_id, "created_at": now}
            for wait in opened
        ],
    )
    for name, correlation in subscriptions:
        inbox.deliver(tx, claim_.merchant_id, name, correlation)


def _write_tasks(tx: Tx, claim_: Claim, step: Step, now: datetime) -> None:
    rows = tx.session.execute(select(Task.node, Task.status).where(Task.instance_id == claim_.id))
    known = {row[0]: row[1] for row in rows}
    wanted = {} if step.status.ended else {task.node: task for task in step.tasks}
    gone = [node for node, status in known.items() if status in ("open", "claimed") and node not in wanted]
    if gone:
        tx.execute(
            update(Task)
            .where(Task.instance_id == claim_.id, Task.node.in_(gone), Task.status.in_(("open", "claimed")))
            .values(status="canceled", completed_at=now)
        )
    opened = [task for node, task in wanted.items() if node not in known]
    if not opened:
        return
    tx.execute(
        insert(Task),
        [
            {
                "id": derived_id("tsk", claim_.id, task.node),
                "merchant_id": claim_.merchant_id,
                "instance_id": claim_.id,
                "process": claim_.process,
                "element": task.element,
                "node": task.node,
                "name": task.name,
                "subject": claim_.subject,
                "status": "open",
                "candidate_groups": list(task.candidate_groups) or ["reviewer"],
                "excluded": list(task.excluded),
                "assignee": task.assignee or None,
                "form_id": claim_.pins["forms"][task.form],
                "facts": dict(task.facts),
                "priority": task.priority,
                "due_at": task.due_at,
                "created_at": now,
            }
            for task in opened
        ],
    )


def _write_incidents(tx: Tx, claim_: Claim, step: Step, now: datetime) -> None:
    rows = tx.session.execute(
        select(Incident.id, Incident.node).where(
            Incident.instance_id == claim_.id, Incident.status == "open", Incident.source == "engine"
        )
    )
    known = {row[1]: row[0] for row in rows}
    wanted = {} if step.status.ended else {incident.node: incident for incident in step.incidents}
    gone = [row_id for node, row_id in known.items() if node not in wanted]
    if gone:
        actor = next((entry.actor for entry in step.journal if entry.actor), "system")
        tx.execute(
            update(Incident).where(Incident.id.in_(gone)).values(status="resolved", resolved_at=now, resolved_by=actor)
        )
    opened = [incident for node, incident in wanted.items() if node not in known]
    for incident in opened:
        tx.session.add(
            Incident(
                id=derived_id("inc", claim_.id, incident.node, claim_.fence),
                merchant_id=claim_.merchant_id,
                instance_id=claim_.id,
                subject=claim_.subject,
                node=incident.node,
                element=incident.element,
                source="engine",
                kind=incident.kind,
                message=incident.message,
                details=dict(incident.details),
                status="open",
                created_at=now,
            )
        )
    if opened:
        tx.session.flush()


def _throw(tx: Tx, claim_: Claim, thrown: Thrown) -> None:
    inbox.publish_message(
        tx,
        claim_.merchant_id,
        thrown.message,
        thrown.correlation,
        dict(thrown.variables),
        dedupe=f"{claim_.id}:{thrown.node}",
        ttl=timedelta(seconds=thrown.ttl_seconds),
    )
