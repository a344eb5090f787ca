"""Refunds: reserved within what is left under the payment's lock, approved above a limit by somebody else."""

from pydantic import Field
from sqlalchemy import func, or_, select

from app.access.actor import Actor, Role, system
from app.access.api_keys import people_behind
from app.engine import inbox, people
from app.engine.models import Task
from app.errors import Conflict, FourEyes
from app.events import audit
from app.events.outbox import emit
from app.kit.database import Json, Tx
from app.kit.ids import new_id
from app.kit.money import Money
from app.ledger.postings import Book
from app.operations import Result
from app.payments.models import Attempt, Payment
from app.payments.outcomes import UNRESOLVED
from app.payments.queries import lock_payment, payment_view, refundable
from app.payments.reviewing import APPROVE, approval_limit
from app.payments.service import OutcomeOpen
from app.payments.states import IllegalTransition
from app.refunds.commands import CreateRefund
from app.refunds.models import Refund
from app.refunds.queries import lock_refund, refund_view
from app.refunds.states import GRAPH, RefundStatus, move

PROCESS = "refund"


class RefundExceedsCaptured(Conflict):
    code = "refund_exceeds_captured"
    title = "More was asked back than is left of what was captured"


class RefundCheck(Result):
    """What the flow needs to decide on: `needs_approval` by somebody other than `requested_by`."""

    amount: int = Field(title="Amount", description="Minor units")
    currency: str = Field(title="Currency", description="ISO 4217 code")
    needs_approval: bool = Field(title="Needs approval", description="By somebody other than who asked")
    requested_by: str = Field(title="Requested by", description="User or key who asked for it")
    asked_by: list[str] = Field(title="Asked by", description="That user, or who made the key; they may not approve")


def create_refund(tx: Tx, actor: Actor, command: CreateRefund) -> Refund:
    """Reserve the amount, start the flow, tell everybody; RefundExceedsCaptured when less is left."""
    actor.require(Role.INTEGRATOR, Role.OPERATOR, Role.REVIEWER)
    payment = lock_payment(tx, actor.merchant_id, command.payment)
    left = refundable(payment)
    amount = left if command.amount is None else command.amount
    if not 0 < amount <= left:
        raise RefundExceedsCaptured(
            f"{amount} {payment.currency} cannot be refunded; {left} is left of {payment.amount_captured} captured",
            extra={"amount_refundable": left, "payment": payment.id},
        )
    limit = approval_limit(tx, payment.merchant_id, "refund_approval_limit", payment.currency)
    needs_approval = limit is not None and _unapproved(tx, payment.id) + amount > limit
    refund = Refund(
        id=new_id("ref"),
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        amount=amount,
        currency=payment.currency,
        status=RefundStatus.REQUIRES_APPROVAL if needs_approval else RefundStatus.PENDING,
        reason=command.reason,
        requested_by=actor.id,
        created_at=tx.now(),
        updated_at=tx.now(),
    )
    payment.amount_refunding += amount
    payment.updated_at = tx.now()
    tx.session.add(refund)
    tx.session.flush()
    book_of(tx, payment).refund_requested(refund.id, Money(amount, payment.currency))
    variables: Json = {"refund": refund.id, "payment": payment.id, "amount": amount, "currency": payment.currency}
    refund.instance_id = inbox.start_instance(tx, actor, PROCESS, refund.id, variables).id
    tx.session.flush()
    audit.record(tx, actor, "refund.created", refund.id, {**variables, "reason": command.reason})
    emit(tx, refund.merchant_id, "refund.created", refund.id, refund_view(refund), actor.id)
    tell_payment(tx, payment, actor)
    return refund


def _unapproved(tx: Tx, payment_id: str) -> int:
    """What was refunded of the payment, or is being refunded, without anybody's approval: parts count together."""
    without = (Refund.payment_id == payment_id, Refund.approved_by.is_(None))
    gone = Refund.status.in_((RefundStatus.PENDING, RefundStatus.SUCCEEDED))
    return int(tx.session.scalar(select(func.sum(Refund.amount)).where(*without, gone)) or 0)


def check(tx: Tx, merchant_id: str, refund_id: str) -> RefundCheck:
    _, refund = lock_refund(tx, merchant_id, refund_id)
    return RefundCheck(
        amount=refund.amount,
        currency=refund.currency,
        needs_approval=refund.status == RefundStatus.REQUIRES_APPROVAL,
        requested_by=refund.requested_by,
        asked_by=people_behind(tx, [refund.requested_by]),
    )


def approve(tx: Tx, merchant_id: str, refund_id: str, by: str) -> Refund:
    """Let the refund go out; FourEyes when `by` asked for it, or did not decide `approve` in a task about it.

    Who made the key that asked has asked. Approving twice is approving once.
    """
    _, refund = lock_refund(tx, merchant_id, refund_id)
    if refund.approved_by == by:
        return refund
    GRAPH.check(refund.status, RefundStatus.PENDING)
    if not by or by in (refund.requested_by, *people_behind(tx, [refund.requested_by])):
        raise FourEyes("The refund must be approved by somebody other than who asked for it or made the key that did")
    decided = people.decisions(tx, Task.merchant_id == merchant_id, Task.subject == refund.id)
    if by not in decided or decided[by].decision != APPROVE:
        raise FourEyes(f"{by} has not decided “{APPROVE}” in a task about this refund")
    refund.approved_by = by
    move(tx, refund, RefundStatus.PENDING, "", system(merchant_id))
    return refund


def transition(tx: Tx, merchant_id: str, refund_id: str, to: str, reason: str) -> Refund:
    """Take the edge a diagram names. A refund that ends without effect frees what it had reserved.

    `succeeded` comes from the gateway alone, and `pending` from `approve`; nothing ends while its outcome is open.
    """
    payment, refund = lock_refund(tx, merchant_id, refund_id)
    if refund.status == to:
        return refund
    GRAPH.check(refund.status, to)
    if to not in (RefundStatus.FAILED, RefundStatus.CANCELED):
        raise IllegalTransition(f"A refund becomes {to} by approval or by the gateway's word, not by a transition")
    attempt = unresolved_attempt(tx, refund.id)
    if attempt is not None:
        raise OutcomeOpen(
            f"The refund cannot become {to}: its outcome at {attempt.gateway} is {attempt.outcome or 'under way'}",
            extra={"attempt": attempt.id},
        )
    end_without_effect(tx, payment, refund, to, reason)
    return refund


def flow_ended(tx: Tx, subject: str) -> None:
    """A flow about `subject` has ended. A refund left half-way by its own ends too, once nothing of it is open."""
    found = tx.session.get(Refund, subject) if subject.startswith("ref_") else None
    if found is None:
        return
    payment, refund = lock_refund(tx, found.merchant_id, found.id)
    over = inbox.has_ended(tx, refund.instance_id)
    if refund.status in GRAPH.terminal or not over or unresolved_attempt(tx, refund.id) is not None:
        return
    end_without_effect(tx, payment, refund, RefundStatus.CANCELED, "flow_ended")


def end_without_effect(tx: Tx, payment: Payment, refund: Refund, to: str, reason: str) -> None:
    payment.amount_refunding -= refund.amount
    payment.updated_at = tx.now()
    book_of(tx, payment).refund_dropped(refund.id, Money(refund.amount, refund.currency))
    move(tx, refund, to, reason, system(refund.merchant_id))
    tell_payment(tx, payment, system(refund.merchant_id))


def unresolved_attempt(tx: Tx, refund_id: str) -> Attempt | None:
    """An attempt of this refund whose effect is not known."""
    return tx.session.scalar(
        select(Attempt)
        .where(Attempt.refund_id == refund_id, or_(Attempt.state == "begun", Attempt.outcome.in_(UNRESOLVED)))
        .limit(1)
    )


def book_of(tx: Tx, payment: Payment) -> Book:
    return Book(tx, payment.merchant_id, payment.id, payment.gateway)


def tell_payment(tx: Tx, payment: Payment, actor: Actor) -> None:
    """The payment's amounts changed."""
    tx.session.flush()
    emit(tx, payment.merchant_id, "payment.updated", payment.id, payment_view(tx, payment), actor.id)
