"""What happened to a payment and everything that hangs on it, in one line of time.

The journals of its instances say what the flow did, its events say what the world was told; both are append-only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.console.read.flow import names_in
from app.console.words import Look, moment_look
from app.engine import archive
from app.engine.models import Instance
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
    """`source` is `flow` or `event`; `kind` is the journal's or the event's word; `where` names the element; `order`
    tells moments of the same time apart."""

    at: datetime
    source: str
    kind: str
    where: str
    actor: str
    facts: Json
    order: int

    @property
    def look(self) -> Look:
        return moment_look(self.kind)


def timeline(tx: Tx, subjects: Sequence[str]) -> list[Moment]:
    """Newest first."""
    instances = tx.session.scalars(select(Instance).where(Instance.subject.in_(subjects))).all()
    rows = archive.lines(tx, [row.id for row in instances])
    names = names_in(tx, instances, rows)
    moments = [
        Moment(
            at=row.at,
            source="flow",
            kind=row.kind,
            where=names[row.instance_id].of(row.process, row.element),
            actor=row.actor,
            facts=row.facts,
            order=row.seq,
        )
        for row in rows
        if row.kind in _TOLD
    ]
    events = tx.session.scalars(select(Event).where(Event.object_id.in_(subjects)))
    moments += [Moment(row.created_at, "event", row.type, "", row.actor, row.data, row.sequence) for row in events]
    return sorted(moments, key=lambda moment: (moment.at, moment.order), reverse=True)
