"""Reading events and their deliveries, in the API's shape; a webhook's body is the same view of the same event."""

from sqlalchemy import select

from app.access.actor import Actor
from app.errors import NotFound
from app.events.models import Delivery, Event
from app.kit.clock import rfc3339
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch


class EventNotFound(NotFound):
    code = "event_not_found"
    title = "There is no such event"


class DeliveryNotFound(NotFound):
    code = "delivery_not_found"
    title = "There is no such delivery"


def events(
    tx: Tx,
    actor: Actor,
    *,
    type_: str | None = None,
    object_id: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Page[Event]:
    """One page, newest first."""
    query = select(Event).where(Event.merchant_id == actor.merchant_id)
    if type_:
        query = query.where(Event.type == type_)
    if object_id:
        query = query.where(Event.object_id == object_id)
    return fetch(tx, query, Event.id, limit, after)


def find_event(tx: Tx, merchant_id: str, event_id: str) -> Event:
    event = tx.session.get(Event, event_id)
    if event is None or event.merchant_id != merchant_id:
        raise EventNotFound(f"There is no event {event_id!r}")
    return event


def event_view(event: Event) -> Json:
    return {
        "id": event.id,
        "object": "event",
        "type": event.type,
        "object_id": event.object_id,
        "sequence": event.sequence,
        "timestamp": rfc3339(event.created_at),
        "data": event.data,
    }


def deliveries(
    tx: Tx, endpoint_id: str, *, status: str | None = None, limit: int = 50, after: str | None = None
) -> Page[Delivery]:
    """What was sent to one endpoint, newest first."""
    query = select(Delivery).where(Delivery.endpoint_id == endpoint_id)
    if status:
        query = query.where(Delivery.status == status)
    return fetch(tx, query, Delivery.id, limit, after)


def find_delivery(tx: Tx, merchant_id: str, delivery_id: str) -> Delivery:
    delivery = tx.session.get(Delivery, delivery_id)
    if delivery is None or delivery.merchant_id != merchant_id:
        raise DeliveryNotFound(f"There is no delivery {delivery_id!r}")
    return delivery


def delivery_view(delivery: Delivery) -> Json:
    """A delivery with the log of its latest tries."""
    return {
        "id": delivery.id,
        "object": "delivery",
        "event": delivery.event_id,
        "endpoint": delivery.endpoint_id,
        "status": delivery.status,
        "tries": delivery.tries,
        "next_try_at": rfc3339(delivery.due_at) if delivery.due_at else None,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "log": delivery.log["tries"],
        "created_at": rfc3339(delivery.created_at),
        "delivered_at": rfc3339(delivery.delivered_at) if delivery.delivered_at else None,
    }
