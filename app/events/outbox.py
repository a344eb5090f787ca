"""The outbox: events are rows written in the transaction of the change, told to others afterwards."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import text

from app.events.models import Event
from app.kit.database import Json, Tx
from app.kit.direct import ANY_OF_IDS
from app.kit.ids import new_id
from app.kit.trace import mark

CHANNEL = "sluice_events"
#: How far the events of the objects in :ids have come; none of those that have no event yet.
LAST = f"SELECT object_id, max(sequence) FROM events WHERE object_id = {ANY_OF_IDS} GROUP BY object_id"  # noqa: S608 - put together from constants
_LAST = text(LAST)


@dataclass
class _Counted:
    """The last sequence of each object this transaction has looked up; the object's lock keeps it true.

    `expected` are those it may yet ask for.
    """

    last: dict[str, int] = field(default_factory=dict)
    expected: set[str] = field(default_factory=set)


def emit(tx: Tx, merchant_id: str, type_: str, object_id: str, data: Json, actor: str) -> str:
    """Record that `type_` (e.g. `payment.succeeded`) happened to `object_id`; `data` is the object as the API shows it.

    The caller holds the object's row lock, which is what makes `sequence` gapless and ordered. The row is written with
    the transaction's others; its id is returned.
    """
    counted = tx.own(_Counted).last
    if object_id not in counted:
        _count(tx, object_id)
    counted[object_id] += 1
    event_id = new_id("evt")
    event = {
        "id": event_id,
        "merchant_id": merchant_id,
        "type": type_,
        "object_id": object_id,
        "sequence": counted[object_id],
        "data": data,
        "actor": actor,
        "trace": mark(),
        "created_at": tx.now(),
    }
    tx.gather(Event, event)
    tx.notify(CHANNEL)
    return event_id


def expect(tx: Tx, object_ids: Iterable[str]) -> None:
    """The caller holds the locks of these objects: the first event of one looks up how far all have come."""
    tx.own(_Counted).expected.update(object_ids)


def _count(tx: Tx, object_id: str) -> None:
    counted = tx.own(_Counted)
    missing = {object_id, *counted.expected} - counted.last.keys()
    counted.last.update((one, 0) for one in missing)
    with tx.session.no_autoflush:
        counted.last.update(tx.rows(_LAST, {"ids": list(missing)}))


def begin(tx: Tx, object_id: str, last: int = 0) -> None:
    """How far an object's events have come that this transaction makes, or whose lock it holds, is known."""
    tx.own(_Counted).last.setdefault(object_id, last)
