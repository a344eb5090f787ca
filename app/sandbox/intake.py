"""The way every POST goes: its key, the fault that may befall it, the effect, the stored answer - one transaction."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from app.sandbox.company import Company, Received
from app.sandbox.desk import Desk
from app.sandbox.faults import Fault
from app.sandbox.methods import Reply
from app.sandbox.records import Charge, StoredAnswer
from app.sandbox.refusals import KeyReused


@dataclass(frozen=True, slots=True)
class Order:
    """One POST. `charge` is the charge it is about, for a new one empty; then `payment_method` is in `body`."""

    verb: str
    key: str
    path: str
    body: dict[str, Any]
    charge: str = ""

    @property
    def fingerprint(self) -> str:
        content = orjson.dumps([self.path, self.body], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Effect:
    """What the rules did: the answer, and the charge and object it is about."""

    status: int
    body: dict[str, Any]
    charge: str
    object: str


@dataclass(frozen=True, slots=True)
class Served:
    """What to send. Without `effect` nothing happened and the fault says what the caller sees."""

    status: int
    body: dict[str, Any]
    replayed: bool
    fault: Fault | None


def serve(company: Company, order: Order, work: Callable[[Desk, Reply], Effect]) -> Served:
    """Carry the order out once: same key and body get the stored answer, another body is refused."""
    with company.transaction() as desk:
        method = _payment_method(desk, order)
        planned = company.faults.take(order.verb, method)
        stored = desk.books.answer(order.key)
        if stored is not None:
            served = _replay(order, stored, planned)
        else:
            served = _first_time(desk, order, method, planned, work)
    fault = served.fault.sight.value if served.fault else ""
    company.visitors.note(Received(order.verb, order.key, order.path, fault, served.replayed))
    return served


def _replay(order: Order, stored: StoredAnswer, planned: Fault | None) -> Served:
    if stored.fingerprint != order.fingerprint:
        raise KeyReused(f"The key {order.key!r} belongs to another request; use a new key for a new operation")
    return Served(stored.status, stored.body, replayed=True, fault=planned)


def _first_time(
    desk: Desk, order: Order, method: str, planned: Fault | None, work: Callable[[Desk, Reply], Effect]
) -> Served:
    reply = desk.behaviour(method).reply(order.verb) if method else Reply()
    fault = planned or reply.fault
    if fault is not None and not fault.effect:
        return Served(503, {}, replayed=False, fault=fault)
    effect = work(desk, reply)
    desk.books.keep_answer(
        StoredAnswer(
            key=order.key,
            verb=order.verb,
            fingerprint=order.fingerprint,
            status=effect.status,
            body=effect.body,
            charge=effect.charge,
            object=effect.object,
        )
    )
    return Served(effect.status, effect.body, replayed=False, fault=fault)


def _payment_method(desk: Desk, order: Order) -> str:
    if not order.charge:
        return str(order.body.get("payment_method", ""))
    charge = desk.books.find(Charge, order.charge)
    return charge.payment_method if charge else ""
