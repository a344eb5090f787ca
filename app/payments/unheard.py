"""Requests about money that no flow ever came to hear: told to people, and what they had reserved is free again."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Text, cast, select

from app.access.actor import system
from app.engine import incidents
from app.engine.models import Incident, Message
from app.events.outbox import emit
from app.kit.database import Json, Tx
from app.payments.capturing import drop_request
from app.payments.models import Attempt, Payment
from app.payments.queries import lock_payment, payment_view
from app.payments.states import is_terminal

CAPTURE: Final = "capture.requested"
CANCEL: Final = "cancel.requested"
KIND: Final = "request_unheard"
_AT_ONCE: Final = 100


def tell_unheard(tx: Tx) -> None:
    """An incident for each request that ran out; called now and then by the worker."""
    for message in _unheard(tx):
        payment = lock_payment(tx, message.merchant_id, message.correlation)
        if message.name == CAPTURE:
            _capture(tx, payment, message)
        elif not is_terminal(payment.status):
            _report(tx, payment, message, f"The payment is {payment.status}; cancel it again or cancel its flow")


def _unheard(tx: Tx) -> Sequence[Message]:
    """Those that ran out and may still matter, each until an incident tells it."""
    told = select(Incident.id).where(
        Incident.merchant_id == Message.merchant_id,
        Incident.kind == KIND,
        Incident.details["message"].astext == cast(Message.id, Text),
    )
    waiting = select(Attempt.id).where(Attempt.id == Message.variables["attempt"].astext, Attempt.state == "created")
    open_still = select(Payment.id).where(
        Payment.id == Message.correlation, Payment.status.not_in(("succeeded", "canceled", "failed", "expired"))
    )
    matters = ((Message.name == CAPTURE) & waiting.exists()) | ((Message.name == CANCEL) & open_still.exists())
    query = select(Message).where(
        Message.name.in_((CAPTURE, CANCEL)),
        Message.delivered_to.is_(None),
        Message.expires_at <= tx.now(),
        matters,
        ~told.exists(),
    )
    return tx.session.scalars(query.order_by(Message.id).limit(_AT_ONCE)).all()


def _capture(tx: Tx, payment: Payment, message: Message) -> None:
    attempt = tx.session.get_one(Attempt, message.variables["attempt"], populate_existing=True)
    if attempt.state != "created":
        return
    asked = f"{attempt.amount} {attempt.currency}"
    drop_request(tx, payment, attempt, "No flow heard the request before it ran out")
    _report(tx, payment, message, f"Nothing was captured, and {asked} is capturable again; ask for it again or cancel")
    emit(
        tx,
        payment.merchant_id,
        "payment.updated",
        payment.id,
        payment_view(tx, payment),
        system(payment.merchant_id).id,
    )


def _report(tx: Tx, payment: Payment, message: Message, remedy: str) -> None:
    assert payment.instance_id is not None, "only a payment with a flow is sent messages"
    what = "A capture" if message.name == CAPTURE else "A cancel"
    details: Json = {"message": message.id, "asked_by": message.actor, "asked_at": message.created_at.isoformat()}
    incidents.report(
        tx,
        payment.merchant_id,
        payment.instance_id,
        payment.id,
        f"{message.name}#{message.id}",
        KIND,
        f"{what} was asked for on {message.created_at:%Y-%m-%d} and no flow came to hear it. {remedy}",
        details,
    )
