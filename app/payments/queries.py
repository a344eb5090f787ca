"""Reading payments: the shape the API and every event show, and lists."""

from datetime import datetime
from typing import Protocol, TypeVar

from sqlalchemy import Select, or_, select

from app.access.actor import Actor
from app.access.owned import find_owned
from app.engine.references import reference
from app.errors import NotFound
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch
from app.payments import held
from app.payments.held import Held
from app.payments.models import Attempt, Payment


class PaymentNotFound(NotFound):
    code = "payment_not_found"
    title = "There is no such payment"


def moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, as every view shows times."""
    return at.isoformat().replace("+00:00", "Z") if at is not None else None


def find_payment(tx: Tx, merchant_id: str, payment_id: str) -> Payment:
    return find_owned(tx, Payment, merchant_id, payment_id, PaymentNotFound)


def lock_payment(tx: Tx, merchant_id: str, payment_id: str) -> Payment:
    """The payment under its row lock, read anew: the one lock for API, webhooks, timers, people and repair.

    Asked for again in the same transaction, it is the same object.
    """
    if not held.holds(tx, payment_id):
        held.take_up(tx, [payment_id])
    payment = tx.own(Held).payments.get(payment_id)
    if payment is None or payment.merchant_id != merchant_id:
        raise PaymentNotFound(f"There is no payment {payment_id!r}")
    return payment


def refundable(payment: Payment) -> int:
    """What can still be given back, in minor units: not what is on its way back, was returned, or is disputed."""
    spent = payment.amount_refunding + payment.amount_refunded + payment.amount_disputed
    return max(0, payment.amount_captured - spent)


class Part(Protocol):
    """Something that has happened to a payment and is changed under its lock: a refund, a dispute."""

    @property
    def id(self) -> str: ...
    @property
    def merchant_id(self) -> str: ...
    @property
    def payment_id(self) -> str: ...


P = TypeVar("P", bound=Part)


def lock_with_payment(tx: Tx, part: P) -> tuple[Payment, P]:
    """The part, read anew under the lock of its payment."""
    payment = lock_payment(tx, part.merchant_id, part.payment_id)
    return payment, tx.session.get_one(type(part), part.id, populate_existing=True)


def attempts_of(tx: Tx, payment_id: str) -> list[Attempt]:
    """Every attempt of the payment, oldest first."""
    if held.holds(tx, payment_id):
        return list(held.attempts(tx, payment_id).values())
    return list(
        tx.session.scalars(
            select(Attempt).where(Attempt.payment_id == payment_id).order_by(Attempt.created_at, Attempt.id)
        )
    )


def attempt_view(attempt: Attempt) -> Json:
    return {
        "id": attempt.id,
        "operation": attempt.operation,
        "gateway": attempt.gateway,
        "state": attempt.state,
        "outcome": attempt.outcome,
        "amount": attempt.amount,
        "currency": attempt.currency,
        "gateway_reference": attempt.gateway_reference or None,
        "decline_code": attempt.decline_code or None,
        "message": attempt.message or None,
        "evidence": attempt.evidence,
        "created_at": moment(attempt.created_at),
        "finished_at": moment(attempt.finished_at),
    }


def payment_view(tx: Tx, payment: Payment) -> Json:
    """The payment as the API shows it, with its instance and all its attempts."""
    return {
        "id": payment.id,
        "object": "payment",
        "status": payment.status,
        "status_reason": payment.status_reason or None,
        "amount": payment.amount,
        "amount_capturable": payment.amount_capturable,
        "amount_capturing": payment.amount_capturing,
        "amount_captured": payment.amount_captured,
        "amount_refunding": payment.amount_refunding,
        "amount_refunded": payment.amount_refunded,
        "amount_disputed": payment.amount_disputed,
        "currency": payment.currency,
        "payment_method": payment.payment_method or None,
        "capture_method": payment.capture_method,
        "reference": payment.reference,
        "customer": payment.customer,
        "metadata": payment.metadata_,
        "return_url": payment.return_url or None,
        "next_action": payment.next_action,
        "gateway": payment.gateway or None,
        "authorization_expires_at": moment(payment.authorization_expires_at),
        "risk": payment.risk,
        "instance": reference(tx, payment.instance_id),
        "attempts": [attempt_view(attempt) for attempt in attempts_of(tx, payment.id)],
        "created_at": moment(payment.created_at),
        "updated_at": moment(payment.updated_at),
    }


def payments(
    tx: Tx, actor: Actor, *, status: str | None = None, search: str = "", limit: int = 50, after: str | None = None
) -> Page[Payment]:
    """One page, newest first. `search` is a payment's id, its reference, a customer's id or e-mail, or a charge."""
    query: Select[Payment] = select(Payment).where(Payment.merchant_id == actor.merchant_id)
    if status:
        query = query.where(Payment.status == status)
    if search:
        customer = or_(Payment.customer["id"].astext == search, Payment.customer["email"].astext == search)
        query = query.where(
            or_(Payment.id == search, Payment.reference == search, Payment.gateway_reference == search, customer)
        )
    return fetch(tx, query, Payment.id, limit, after)
