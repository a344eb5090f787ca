"""Events and the audit log, newest first, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from app.access.actor import Actor
from app.console.read.people import Names, names_of
from app.events.models import AuditEntry, Event
from app.kit.database import Tx
from app.kit.paging import Page, fetch

PAGE = 100


@dataclass(frozen=True, slots=True)
class AuditPage:
    """`next` is the cursor of older entries, None on the last page."""

    rows: Sequence[AuditEntry]
    next: int | None


def events(tx: Tx, actor: Actor, object_id: str, after: str | None) -> Page[Event]:
    query = select(Event).where(Event.merchant_id == actor.merchant_id)
    if object_id:
        query = query.where(Event.object_id == object_id)
    return fetch(tx, query, Event.id, PAGE, after)


def audit(tx: Tx, actor: Actor, object_id: str, after: int | None) -> AuditPage:
    query = select(AuditEntry).where(AuditEntry.merchant_id == actor.merchant_id)
    if object_id:
        query = query.where(AuditEntry.object_id == object_id)
    if after:
        query = query.where(AuditEntry.id < after)
    rows = tx.session.scalars(query.order_by(AuditEntry.id.desc()).limit(PAGE + 1)).all()
    more = len(rows) > PAGE
    return AuditPage(rows[:PAGE], rows[PAGE - 1].id if more else None)


def names(tx: Tx, rows: Sequence[Event] | Sequence[AuditEntry]) -> Names:
    return names_of(tx, {row.actor for row in rows})
