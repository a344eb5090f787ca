"""Claiming due instances under a lease, and reading what their next step needs, for many at once.

Every statement that changes an instance asks for the lease and the fence it was claimed with; a worker that lost
either writes nothing and drops what it has in memory. What a step did is written by `saving.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import text, update

from app.engine import due, inbox, incidents
from app.engine.models import Instance
from app.engine.step import InstanceStatus, Item, ItemKind, WaitKind
from app.errors import Conflict
from app.kit.database import Json, Tx
from app.kit.direct import ANY_OF_IDS

#: A dead worker's instances go on within 10 seconds: this, the second until somebody looks, and the turn itself.
LEASE = timedelta(seconds=8)


class LeaseLost(Conflict):
    """`instances` are the ids of those whose lease is gone."""

    code = "lease_lost"
    title = "Another worker advances this instance now"

    def __init__(self, instances: Collection[str]) -> None:
        super().__init__(f"The lease of {', '.join(sorted(instances))} is gone")
        self.instances = frozenset(instances)


#: A wait as a row: node, kind, due_at, message, correlation.
WaitKey = tuple[str, str, datetime | None, str, str]


@dataclass(frozen=True, slots=True)
class Rows:
    """What the tables say about an instance beside its own row: its waits, and the nodes of its tasks and incidents.

    `tasks` are all that ever were, `open_tasks` those that were open when last seen, `incidents` the engine's own.
    """

    waits: frozenset[WaitKey] = frozenset()
    tasks: frozenset[str] = frozenset()
    open_tasks: frozenset[str] = frozenset()
    incidents: frozenset[str] = frozenset()

    @property
    def sure(self) -> bool:
        """Whether nobody else can have changed them: a message uses up the wait it is for."""
        return not any(wait[1] == WaitKind.MESSAGE for wait in self.waits)


NOTHING: Final = Rows()


@dataclass(frozen=True, slots=True)
class Claim:
    """An instance as it was claimed: everything the runner needs, and the fence that later saves must match.

    `calls` are those under way as of the last save, node to element. `rows` is None where they have to be read.
    `taken_over` says that another worker's lease on it had run out.
    """

    id: str
    merchant_id: str
    process: str
    version: int
    subject: str
    status: InstanceStatus
    pins: Json
    variables: Json
    state: bytes | None
    journal_seq: int
    fence: int
    failures: int
    deaths: int
    trace: str
    calls: Json
    rows: Rows | None = None
    taken_over: bool = False


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


def claim(tx: Tx, owner: str, limit: int, except_for: Collection[str] = (), *, fair: bool = False) -> list[Claim]:
    """Lease up to `limit` instances that have something due: a timer, an inbox item, or a dead worker's lease.

    The oldest first; `fair` lets merchants take turns instead, each with its oldest first. That costs more, so it is
    for when more is due than one claim takes.
    """
    now = tx.now()
    unheard = [row.payload["message"] for row in tx.rows(_DISCARD) if row.kind == ItemKind.MESSAGE]
    inbox.give_back(tx, unheard)
    rows = tx.rows(
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
    # Which of those that are due comes first within a turn must not hang on the plan that PostgreSQL chose.
    return sorted((_claim(row) for row in rows), key=lambda one: one.id)


# What is being saved at this moment needs no renewal, and waiting for it could be for each other.
_RENEW = text("""
UPDATE instances SET lease_until = :until FROM (
    SELECT id FROM instances WHERE id = ANY(:ids) AND lease_owner = :owner FOR NO KEY UPDATE SKIP LOCKED
) mine WHERE instances.id = mine.id
""")


def renew(tx: Tx, owner: str, instance_ids: Sequence[str]) -> None:
    tx.rows(_RENEW, {"until": tx.now() + LEASE, "ids": list(instance_ids), "owner": owner})


_READ = f"SELECT {', '.join(due.COLUMNS)} FROM instances WHERE"  # noqa: S608 - put together from constants
_MINE = text(f"{_READ} id = ANY(:ids) AND lease_owner = :owner AND ended_at IS NULL")
_PEEK = text(f"{_READ} id = :id")


def load(tx: Tx, owner: str, instance_id: str) -> Claim:
    """The claimed instance; LeaseLost when it is somebody else's by now, or has ended."""
    found = load_many(tx, owner, [instance_id])
    if not found:
        raise LeaseLost([instance_id])
    return found[0]


def load_many(tx: Tx, owner: str, instance_ids: Collection[str]) -> list[Claim]:
    """Those of the instances that are still `owner`'s and have not ended."""
    return [_claim(row) for row in tx.rows(_MINE, {"ids": list(instance_ids), "owner": owner})]


def peek(tx: Tx, instance_id: str) -> Claim:
    """The instance whoever holds it, for looking only."""
    return _claim(tx.row(_PEEK, {"id": instance_id}))


def _claim(row: Any) -> Claim:
    values = {**row._asdict(), "status": InstanceStatus(row.status)}
    # Nothing can have been written about an instance that has not taken its first step.
    return Claim(**values, rows=NOTHING if row.state is None and not row.journal_seq else None)


def arrivals(tx: Tx, instance_ids: Sequence[str]) -> dict[str, list[Arrival]]:
    """What lies in the inboxes, oldest first."""
    found: dict[str, list[Arrival]] = {}
    rows = tx.rows(_ARRIVALS, {"ids": list(instance_ids)})
    for row in rows:
        item = Item(ItemKind(row.kind), row.node, row.payload, row.actor)
        found.setdefault(row.instance_id, []).append(Arrival(row.id, item, row.trace))
    return found


_ARRIVALS = text(f"""
SELECT instance_id, id, kind, node, payload, actor, trace FROM inbox WHERE instance_id = {ANY_OF_IDS} ORDER BY id
""")  # noqa: S608 - put together from constants


_ROWS = text("""
SELECT instance_id, 'wait' AS what, node, kind, due_at, message, correlation FROM waits WHERE instance_id = ANY(:ids)
UNION ALL
SELECT instance_id, 'task', node, status, NULL, '', '' FROM tasks WHERE instance_id = ANY(:ids)
UNION ALL
SELECT instance_id, 'incident', node, '', NULL, '', '' FROM incidents
WHERE instance_id = ANY(:ids) AND status = 'open' AND source = 'engine'
""")


def rows_of(tx: Tx, instance_ids: Collection[str]) -> Mapping[str, Rows]:
    """What the tables say about each of the instances."""
    waits: dict[str, set[WaitKey]] = {one: set() for one in instance_ids}
    tasks: dict[str, dict[str, str]] = {one: {} for one in instance_ids}
    stopped: dict[str, set[str]] = {one: set() for one in instance_ids}
    for one, what, node, kind, due_at, message, correlation in tx.rows(_ROWS, {"ids": list(instance_ids)}):
        if what == "wait":
            waits[one].add((node, kind, due_at, message, correlation))
        elif what == "task":
            tasks[one][node] = kind
        else:
            stopped[one].add(node)
    return {
        one: Rows(
            frozenset(waits[one]),
            frozenset(tasks[one]),
            frozenset(node for node, status in tasks[one].items() if status in ("open", "claimed")),
            frozenset(stopped[one]),
        )
        for one in instance_ids
    }


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


def give_back(tx: Tx, owner: str, instance_ids: Collection[str]) -> None:
    """Let go of what was claimed and not begun; it is due at once."""
    mine = (Instance.id.in_(instance_ids), Instance.lease_owner == owner)
    tx.execute(update(Instance).where(*mine).values(lease_owner=None, lease_until=None, due_at=tx.now()))


def park(tx: Tx, instance_id: str, error: str) -> None:
    """Take an instance that fails every time out of the loop and show it to people, so that others go on."""
    instance = tx.session.get_one(Instance, instance_id, with_for_update=True)
    instance.status = InstanceStatus.INCIDENT
    instance.failures = max(instance.failures, inbox.PARK_AFTER)  # so that no message sets it going
    instance.due_at = instance.lease_owner = instance.lease_until = None
    incidents.report(
        tx, instance.merchant_id, instance_id, instance.subject, instance.process, incidents.PARKED, error[:2000]
    )
