"""The outbox: events are rows written in the transaction of the change, told to others afterwards."""

from sqlalchemy import func, select

from app.events.models import Event
from app.kit.database import Json, Tx
from app.kit.ids import new_id

CHANNEL = "sluice_events"


def emit(tx: Tx, merchant_id: str, type_: str, object_id: str, data: Json, actor: str) -> Event:
    """Record that `type_` (e.g. `payment.succeeded`) happened to `object_id`; `data` is the object as the API shows it.

    The caller holds the object's row lock, which is what makes `sequence` gapless and ordered.
    """
    last = tx.session.scalar(select(func.max(Event.sequence)).where(Event.object_id == object_id))
    event = Event(
        id=new_id("evt"),
        merchant_id=merchant_id,
        type=type_,
        object_id=object_id,
        sequence=(last or 0) + 1,
        data=data,
        actor=actor,
        created_at=tx.now(),
    )
    tx.session.add(event)
    tx.session.flush()
    tx.notify(CHANNEL)
    return event
