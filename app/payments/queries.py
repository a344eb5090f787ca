"""Reading payments: the shape the API and every event show, lists, and the story of one payment."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, or_, select

from app.access.actor import Actor
from app.engine.models import Instance
from app.errors import NotFound
from app.events.models import Event
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch
from app.ledger.models import Account, Entry, Posting
from app.payments.models import Attempt, Payment


class PaymentNotFound(NotFound):
    code = "payment_not_found"
    title = "There is no such payment"


def moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, as every view shows times."""
    return at.isoformat().replace("+00:00", "Z") if at is not None else None


def find_payment(tx: Tx, merchant_id: str, payment_id: str) -> Payment:
    payment = tx.session.get(Payment, payment_id)
    if payment is None or payment.merchant_id != merchant_id:
        raise PaymentNotFound(f"There is no payment {payment_id!r}")
    return payment


def lock_payment(tx: Tx, merchant_id: str, payment_id: str) -> Payment:
    """The payment under its row lock, read anew: the one lock for API, webhooks, timers, people and repair."""
    payment = tx.session.scalar(
        select(Payment)
        .where(Payment.id == payment_id, Payment.merchant_id == merchant_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if payment is None:
        raise PaymentNotFound(f"There is no payment {payment_id!r}")
    return payment


def attempts_of(tx: Tx, payment_id: str) -> list[Attempt]:
    """Every attempt of the payment, oldest first."""
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
        "instance": _instance(tx, payment.instance_id),
        "attempts": [attempt_view(attempt) for attempt in attempts_of(tx, payment.id)],
        "created_at": moment(payment.created_at),
        "updated_at": moment(payment.updated_at),
    }


def _instance(tx: Tx, instance_id: str | None) -> Json | None:
    instance = tx.session.get(Instance, instance_id) if instance_id else None
    return {"id": instance.id, "process": instance.process, "version": instance.version} if instance else None


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


def similar_payments(tx: Tx, payment: Payment, limit: int = 10) -> list[Payment]:
    """Others with the same payment method or the same customer, newest first: what a reviewer compares with."""
    same = [Payment.method_fingerprint == payment.method_fingerprint]
    if payment.customer.get("id"):
        same.append(Payment.customer["id"].astext == payment.customer["id"])
    return list(
        tx.session.scalars(
            select(Payment)
            .where(Payment.merchant_id == payment.merchant_id, Payment.id != payment.id, or_(*same))
            .order_by(Payment.created_at.desc())
            .limit(limit)
        )
    )


def unknown_attempts(tx: Tx, merchant_id: str) -> list[Attempt]:
    """Every attempt whose outcome is unknown, oldest first."""
    return list(
        tx.session.scalars(
            select(Attempt)
            .where(Attempt.merchant_id == merchant_id, Attempt.outcome == "unknown")
            .order_by(Attempt.created_at)
        )
    )


def timeline(tx: Tx, payment: Payment, related: Sequence[str] = ()) -> list[Json]:
    """What happened, oldest first: events of the payment and of `related` objects, attempts, and ledger postings.

    Each line: `at`, `kind` (event, attempt, posting), `type`, `id`, `actor` and what to show of it in `facts`.
    """
    return sorted(
        [*_events(tx, [payment.id, *related]), *_attempts(tx, payment.id), *_postings(tx, payment.id)],
        key=lambda line: str(line["at"]),
    )


def _events(tx: Tx, object_ids: Sequence[str]) -> list[Json]:
    events = tx.session.scalars(
        select(Event).where(Event.object_id.in_(object_ids)).order_by(Event.created_at, Event.sequence)
    )
    shown = ("status", "status_reason", "amount", "currency", "stage")
    return [
        {
            "at": moment(event.created_at),
            "kind": "event",
            "type": event.type,
            "id": event.object_id,
            "actor": event.actor,
            "facts": {name: event.data[name] for name in shown if event.data.get(name) is not None},
        }
        for event in events
    ]


def _attempts(tx: Tx, payment_id: str) -> list[Json]:
    return [
        {
            "at": moment(attempt.finished_at or attempt.begun_at or attempt.created_at),
            "kind": "attempt",
            "type": f"{attempt.operation}.{attempt.outcome or attempt.state}",
            "id": attempt.id,
            "actor": "system",
            "facts": attempt_view(attempt),
        }
        for attempt in attempts_of(tx, payment_id)
    ]


def _postings(tx: Tx, payment_id: str) -> list[Json]:
    rows = tx.session.execute(
        select(Posting.id, Posting.kind, Posting.created_at, func.sum(func.abs(Entry.amount)) / 2, Entry.currency)
        .join(Entry, Entry.posting_id == Posting.id)
        .join(Account, Account.id == Entry.account_id)
        .where(Posting.subject == payment_id)
        .group_by(Posting.id, Posting.kind, Posting.created_at, Entry.currency)
        .order_by(Posting.created_at)
    )
    return [
        {
            "at": moment(created_at),
            "kind": "posting",
            "type": kind,
            "id": posting_id,
            "actor": "system",
            "facts": {"amount": int(amount), "currency": currency},
        }
        for posting_id, kind, created_at, amount, currency in rows
    ]
