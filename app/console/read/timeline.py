"""What happened to a payment and everything that hangs on it, in one line of time.

The journals of its instances say what the flow did, its events say what the world was told; both are append-only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.console.read.diagram import element_names
from app.console.words import Look, moment_look
from app.engine.models import Instance, JournalRow
from app.engine.step import JournalKind
from app.events.models import Event
from app.kit.database import Json, Tx

#: Lines of the journal that tell a person something; entering and leaving elements is what the path shows.
_TOLD = (
    JournalKind.STARTED,
    JournalKind.ERROR,
    JournalKind.MESSAGE,
    JournalKind.TIMER,
    JournalKind.DECISION,
    JournalKind.TASK,
    JournalKind.INCIDENT,
    JournalKind.REPAIRED,
    JournalKind.STALE,
    JournalKind.ENDED,
)


@dataclass(frozen=True, slots=True)
class Moment:
    """`source` is `flow` or `event`; `kind` is the journal's or the event's word; `where` names the element."""

    at: datetime
    source: str
    kind: str
    where: str
    actor: str
    facts: Json

    @property
    def look(self) -> Look:
        return moment_look(self.kind)


@dataclass(frozen=True, slots=True)
class Step:
    """One element of the path. `state` is done, now, failed or interrupted."""

    element: str
    name: str
    state: str
    entered_at: datetime
    left_at: datetime | None


def timeline(tx: Tx, subjects: Sequence[str]) -> list[Moment]:
    """Newest first."""
    instances = tx.session.scalars(select(Instance).where(Instance.subject.in_(subjects))).all()
    names = element_names_of(tx, instances)
    rows = tx.session.scalars(
        select(JournalRow).where(JournalRow.instance_id.in_([row.id for row in instances]), JournalRow.kind.in_(_TOLD))
    )
    moments = [
        Moment(row.at, "flow", row.kind, names.get(row.element, row.element), row.actor, row.facts) for row in rows
    ]
    events = tx.session.scalars(select(Event).where(Event.object_id.in_(subjects)))
    moments += [Moment(row.created_at, "event", row.type, "", row.actor, row.data) for row in events]
    return sorted(moments, key=lambda moment: moment.at, reverse=True)


def steps(tx: Tx, instance: Instance) -> list[Step]:
    """The path of an instance in words: every element it entered, in order, without the flows between them."""
    rows = tx.session.scalars(
        select(JournalRow).where(JournalRow.instance_id == instance.id).order_by(JournalRow.seq)
    ).all()
    names = element_names_of(tx, [instance])
    failed = {row.node for row in rows if row.kind == JournalKind.INCIDENT}
    failed -= {row.node for row in rows if row.kind == JournalKind.REPAIRED}
    left = {row.node: row for row in rows if row.kind in (JournalKind.LEFT, JournalKind.CANCELED)}
    return [
        Step(row.element, names.get(row.element, row.element), _state(row, left, failed), row.at, _end(row, left))
        for row in rows
        if row.kind == JournalKind.ENTERED
    ]


def element_names_of(tx: Tx, instances: Sequence[Instance]) -> dict[str, str]:
    ids = {row.definition_id for row in instances} | {str(each) for row in instances for each in _pinned(row.pins)}
    return element_names(tx, sorted(ids))


def _pinned(pins: Json) -> list[str]:
    """Definition ids among an instance's pins, however they are grouped."""
    found = []
    for value in pins.values():
        found += _pinned(value) if isinstance(value, dict) else [str(value)]
    return found


def _state(row: JournalRow, left: dict[str, JournalRow], failed: set[str]) -> str:
    if row.node in failed:
        return "failed"
    if row.node not in left:
        return "now"
    return "interrupted" if left[row.node].kind == JournalKind.CANCELED else "done"


def _end(row: JournalRow, left: dict[str, JournalRow]) -> datetime | None:
    return left[row.node].at if row.node in left else None
