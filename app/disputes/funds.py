"""The money of disputes, booked once per stage: what a gateway takes, gives back, or keeps; its fees as they grow."""

from app.access.actor import Actor
from app.disputes.models import Dispute
from app.disputes.states import DisputeStatus, Stage, check_move, tell
from app.events.outbox import emit
from app.kit.database import Tx
from app.kit.money import Money
from app.ledger.postings import Book
from app.payments.models import Payment
from app.payments.queries import payment_view


def move(
    tx: Tx, payment: Payment, dispute: Dispute, stage: str, status: str, actor: Actor, *, fee: int | None = None
) -> None:
    """Go to (stage, status), book what that means, and tell everybody; the caller holds the payment's lock.

    `fee` is the gateway's fee so far, in minor units; without it, what it was.
    """
    check_move(dispute, stage, status)
    stays = (dispute.stage, dispute.status) == (stage, status)
    was_lost = DisputeStatus(dispute.status).loses_funds
    dispute.stage = stage
    dispute.status = status
    book_funds(tx, payment, dispute, dispute.fee if fee is None else fee, actor, was_lost=was_lost)
    tell(tx, dispute, "dispute.updated" if stays else f"dispute.{status}", actor)


def book_funds(tx: Tx, payment: Payment, dispute: Dispute, fee: int, actor: Actor, *, was_lost: bool = False) -> None:
    """Make the books agree with the dispute's stage and status; `fee` is the gateway's fee so far, in minor units.

    `was_lost` says that the amount had been given up before this change.
    """
    stage, status = Stage(dispute.stage), DisputeStatus(dispute.status)
    book = Book(tx, payment.merchant_id, payment.id, dispute.gateway)
    before = payment.amount_disputed
    if fee > dispute.fee:
        book.dispute_fee(dispute.id, Money(fee - dispute.fee, dispute.currency), Money(fee, dispute.currency))
        dispute.fee = fee
    if was_lost and not status.loses_funds and dispute.withdrawn:
        book.dispute_reopened(dispute.id, stage, Money(dispute.withdrawn, dispute.currency))
    # A payment's amounts are all in its currency; what a gateway takes in another is an incident.
    ours = dispute.currency == payment.currency
    if ours and stage.withholds and not status.returns_funds and not dispute.withdrawn:
        book.dispute_withdrawn(dispute.id, stage, Money(dispute.amount, dispute.currency))
        dispute.withdrawn = dispute.amount
        payment.amount_disputed += dispute.amount
    if status.returns_funds and dispute.withdrawn:
        book.dispute_won(dispute.id, stage, Money(dispute.withdrawn, dispute.currency))
        payment.amount_disputed -= dispute.withdrawn
        dispute.withdrawn = 0
    if status.loses_funds and dispute.withdrawn:
        # The amount stays withdrawn and disputed: it is gone, and cannot be refunded as well.
        book.dispute_lost(dispute.id, stage, Money(dispute.withdrawn, dispute.currency))
    tx.session.flush()
    if payment.amount_disputed != before:
        payment.updated_at = tx.now()
        tx.session.flush()
        emit(tx, payment.merchant_id, "payment.updated", payment.id, payment_view(tx, payment), actor.id)
