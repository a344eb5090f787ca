"""Where Steps become rows: many instances in one statement for each table.

An instance whose fence or lease does not match changes nothing; the caller undoes the transaction and goes on without
it, for what its operations wrote in the meantime must not stay either.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text, tuple_, update

from app.engine import inbox
from app.engine.archive import page_line
from app.engine.models import Incident, JournalPage, Task, WaitRow
from app.engine.step import ItemKind, Step, Thrown, Wait, WaitKind
from app.engine.store import LEASE, Claim, LeaseLost, Rows, WaitKey, rows_of
from app.kit.bulk import as_json, insert_rows
from app.kit.database import Json, Tx
from app.kit.ids import derived_id

#: A lease that lasts at least this long is not made longer by a save, so that the indexes need not hear of it.
LONG_ENOUGH = timedelta(seconds=5)
#: States are filled up with blanks to a multiple of this. PostgreSQL logs a new version of a row in the same page from
#: the first byte that differs, and a length stands before everything: while it is the same, what a state begins with,
#: the variables that were there before, is not written again.
STRIDE = 128


@dataclass(frozen=True, slots=True)
class Outcome:
    """One instance after its step: what to write. `keep_lease` while calls are under way, so nobody else steps in."""

    claim: Claim
    step: Step
    state: bytes | None
    taken: Sequence[int]
    keep_lease: bool

    @property
    def ended(self) -> bool:
        return self.step.status.ended


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between the rows there are and those a step asks for."""

    outcome: Outcome
    before: Rows
    after: Rows
    opened: Sequence[Wait]


_UPDATE = text("""
UPDATE instances SET
    status = new.status,
    state = convert_to(new.state, 'UTF8'),
    variables = coalesce(new.variables, instances.variables),
    journal_seq = new.journal_seq,
    due_at = new.due_at,
    calls = new.calls,
    lease_owner = CASE WHEN new.keep THEN instances.lease_owner END,
    lease_until = CASE WHEN new.keep THEN
        CASE WHEN instances.lease_until < :soon THEN :until ELSE instances.lease_until END
    END,
    fence = instances.fence + 1,
    failures = CASE WHEN new.keep THEN instances.failures ELSE 0 END,
    deaths = CASE WHEN new.keep THEN instances.deaths ELSE 0 END,
    last_error = NULL,
    updated_at = :now,
    ended_at = CASE WHEN new.ended THEN CAST(:now AS timestamptz) END
FROM json_to_recordset(CAST(:rows AS json)) AS new(
    id text, fence bigint, status text, state text, variables jsonb, journal_seq integer, due_at timestamptz,
    calls jsonb, keep boolean, ended boolean
)
WHERE instances.id = new.id AND instances.fence = new.fence AND instances.lease_owner = :owner
RETURNING instances.id
""")


_TAKEN = text("DELETE FROM inbox WHERE id = ANY(:ids)")
_OVER = text("""
DELETE FROM waits USING json_to_recordset(CAST(:rows AS json)) AS gone(instance_id text, node text, kind text)
WHERE waits.instance_id = gone.instance_id AND waits.node = gone.node AND waits.kind = gone.kind
""")


def save(tx: Tx, owner: str, outcome: Outcome) -> Claim:
    """Write one step; the claim to use for the next one. LeaseLost when the fence or the lease does not match."""
    return save_many(tx, owner, [outcome])[0]


def save_many(tx: Tx, owner: str, outcomes: Sequence[Outcome]) -> list[Claim]:
    """Write the steps; the claims to use for the next ones. LeaseLost names those that do not match any more."""
    now = tx.now()
    _write_instances(tx, owner, outcomes, now)
    taken = [row_id for outcome in outcomes for row_id in outcome.taken]
    if taken:
        tx.apart(_TAKEN, {"ids": taken})
    _write_pages(tx, outcomes, now)
    unread = [outcome.claim.id for outcome in outcomes if outcome.claim.rows is None]
    read = rows_of(tx, unread) if unread else {}
    changes = [_change(outcome, outcome.claim.rows or read.get(outcome.claim.id, Rows())) for outcome in outcomes]
    _write_tasks(tx, changes, now)
    _write_incidents(tx, changes, now)
    _write_waits(tx, changes, now)
    for outcome in outcomes:
        stale = [item for item in outcome.step.stale if item.kind is ItemKind.MESSAGE]
        inbox.give_back(tx, [item.payload["message"] for item in stale])
        for thrown in outcome.step.thrown:
            _throw(tx, outcome.claim, thrown)
    return [_next(change) for change in changes]


def _next(change: Change) -> Claim:
    claim, step = change.outcome.claim, change.outcome.step
    return replace(
        claim,
        status=step.status,
        state=change.outcome.state,
        journal_seq=claim.journal_seq + len(step.journal),
        fence=claim.fence + 1,
        # What fails may be what a call answers, so that asking for it once more is no success yet.
        failures=claim.failures if change.outcome.keep_lease else 0,
        deaths=claim.deaths if change.outcome.keep_lease else 0,
        rows=change.after if change.after.sure else None,
    )


def _write_instances(tx: Tx, owner: str, outcomes: Iterable[Outcome], now: datetime) -> None:
    rows = {outcome.claim.id: _instance(outcome) for outcome in outcomes}
    # In the order of their ids, as everybody locks many of them.
    ordered = [rows[one] for one in sorted(rows)]
    saved = tx.apart(
        _UPDATE,
        {
            "rows": as_json(ordered),
            "owner": owner,
            "now": now,
            "soon": now + LONG_ENOUGH,
            "until": now + LEASE,
        },
    )
    lost = rows.keys() - {row.id for row in saved}
    if lost:
        raise LeaseLost(lost)


def _instance(outcome: Outcome) -> Json:
    claim, step = outcome.claim, outcome.step
    return {
        "id": claim.id,
        "fence": claim.fence,
        "status": step.status,
        "state": None if outcome.ended or outcome.state is None else _filled_up(outcome.state),
        "variables": dict(step.variables) if outcome.ended else None,
        "journal_seq": claim.journal_seq + len(step.journal),
        "due_at": None if outcome.ended else step.due_at,
        "calls": {} if outcome.ended else {w.node: w.element for w in step.waits if w.kind is WaitKind.CALL},
        "keep": outcome.keep_lease and not outcome.ended,
        "ended": outcome.ended,
    }


def _filled_up(state: bytes) -> str:
    return state.ljust(-(-len(state) // STRIDE) * STRIDE).decode()


def _write_pages(tx: Tx, outcomes: Iterable[Outcome], now: datetime) -> None:
    for outcome in outcomes:
        lines = [page_line(entry) for entry in outcome.step.journal]
        if lines:
            seq = outcome.claim.journal_seq + len(lines)
            tx.gather(JournalPage, {"instance_id": outcome.claim.id, "seq": seq, "at": now, "lines": lines})


def _change(outcome: Outcome, before: Rows) -> Change:
    if outcome.ended:
        return Change(outcome, before, Rows(tasks=before.tasks), ())
    step = outcome.step
    wanted: dict[WaitKey, Wait] = {
        (wait.node, wait.kind.value, wait.due_at, wait.message, wait.correlation): wait
        for wait in step.waits
        if wait.kind is not WaitKind.CALL
    }
    tasks = frozenset(task.node for task in step.tasks)
    after = Rows(
        waits=frozenset(wanted),
        tasks=before.tasks | tasks,
        open_tasks=tasks,
        incidents=frozenset(incident.node for incident in step.incidents),
    )
    return Change(outcome, before, after, [wait for key, wait in wanted.items() if key not in before.waits])


def _write_waits(tx: Tx, changes: Iterable[Change], now: datetime) -> None:
    """Make the rows equal to the steps' waits. A subscription that opens takes what was kept for it."""
    gone = [(change.outcome.claim, wait) for change in changes for wait in change.before.waits - change.after.waits]
    opened = [(change.outcome.claim, wait) for change in changes for wait in change.opened]
    subscriptions = sorted(
        {(claim.merchant_id, wait.message, wait.correlation) for claim, wait in opened if wait.kind is WaitKind.MESSAGE}
    )
    closed = {(claim.merchant_id, *wait[3:]) for claim, wait in gone if wait[1] == WaitKind.MESSAGE}
    # Before any row is touched: publishers take the lock first and the wait's row second, too.
    for address in sorted(closed.union(subscriptions)):
        inbox.lock_subscription(tx, *address)
    if gone:
        keys = [{"instance_id": claim.id, "node": wait[0], "kind": wait[1]} for claim, wait in gone]
        tx.rows(_OVER, {"rows": as_json(keys)})
    if not opened:
        return
    fields = ("node", "element", "kind", "due_at", "message", "correlation")
    rows = [
        {field: getattr(wait, field) for field in fields}
        | {"instance_id": claim.id, "merchant_id": claim.merchant_id, "created_at": now}
        for claim, wait in opened
    ]
    insert_rows(tx, WaitRow, rows)
    for address in subscriptions:
        inbox.deliver(tx, *address)


def _write_tasks(tx: Tx, changes: Iterable[Change], now: datetime) -> None:
    gone = [(c.outcome.claim.id, node) for c in changes for node in c.before.open_tasks - c.after.open_tasks]
    if gone:
        tx.execute(
            update(Task)
            .where(tuple_(Task.instance_id, Task.node).in_(gone), Task.status.in_(("open", "claimed")))
            .values(status="canceled", completed_at=now)
        )
    opened = [
        _task(change.outcome.claim, task, now)
        for change in changes
        if not change.outcome.ended
        for task in change.outcome.step.tasks
        if task.node not in change.before.tasks
    ]
    insert_rows(tx, Task, opened)


def _task(claim: Claim, task: Any, now: datetime) -> Json:
    return {
        "id": derived_id("tsk", claim.id, task.node),
        "merchant_id": claim.merchant_id,
        "instance_id": claim.id,
        "process": claim.process,
        "element": task.element,
        "node": task.node,
        "name": task.name,
        "subject": claim.subject,
        "status": "open",
        "candidate_groups": list(task.candidate_groups),
        "excluded": list(task.excluded),
        "form_id": claim.pins["forms"][task.form],
        "facts": dict(task.facts),
        "priority": task.priority,
        "due_at": task.due_at,
        "created_at": now,
    }


def _write_incidents(tx: Tx, changes: Iterable[Change], now: datetime) -> None:
    for change in changes:
        claim, step = change.outcome.claim, change.outcome.step
        gone = change.before.incidents - change.after.incidents
        if gone:
            actor = next((entry.actor for entry in step.journal if entry.actor), "system")
            mine = (Incident.instance_id == claim.id, Incident.status == "open", Incident.source == "engine")
            resolved = update(Incident).where(*mine, Incident.node.in_(gone))
            tx.execute(resolved.values(status="resolved", resolved_at=now, resolved_by=actor))
        if change.outcome.ended:
            continue
        for incident in step.incidents:
            if incident.node in change.before.incidents:
                continue
            tx.session.add(
                Incident(
                    id=derived_id("inc", claim.id, incident.node, claim.fence),
                    merchant_id=claim.merchant_id,
                    instance_id=claim.id,
                    subject=claim.subject,
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


def _throw(tx: Tx, claim: Claim, thrown: Thrown) -> None:
    inbox.publish_message(
        tx,
        claim.merchant_id,
        thrown.message,
        thrown.correlation,
        dict(thrown.variables),
        dedupe=f"{claim.id}:{thrown.node}",
        ttl=timedelta(seconds=thrown.ttl_seconds),
    )
