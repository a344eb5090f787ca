"""Reading disputes."""

from collections.abc import Collection

from sqlalchemy import select

from app.access.actor import Actor
from app.access.owned import find_owned
from app.disputes.models import Dispute
from app.errors import NotFound
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch, narrowed
from app.payments.models import Payment
from app.payments.queries import lock_with_payment, moment


class DisputeNotFound(NotFound):
    code = "dispute_not_found"
    title = "There is no such dispute"


def find_dispute(tx: Tx, merchant_id: str, dispute_id: str) -> Dispute:
    return find_owned(tx, Dispute, merchant_id, dispute_id, DisputeNotFound)


def payments_of(tx: Tx, dispute_ids: Collection[str]) -> list[str]:
    """The payments that the disputes are about."""
    if not dispute_ids:
        return []
    return list(tx.session.scalars(select(Dispute.payment_id).where(Dispute.id.in_(dispute_ids))))


def lock_dispute(tx: Tx, merchant_id: str, dispute_id: str) -> tuple[Payment, Dispute]:
    """The dispute, read anew under the lock of its payment."""
    return lock_with_payment(tx, find_dispute(tx, merchant_id, dispute_id))


def dispute_view(dispute: Dispute) -> Json:
    """The dispute as the API shows it; `withdrawn` is what the gateway took and has not given back."""
    return {
        "id": dispute.id,
        "object": "dispute",
        "payment": dispute.payment_id,
        "instance": dispute.instance_id,
        "gateway": dispute.gateway,
        "gateway_reference": dispute.gateway_reference,
        "stage": dispute.stage,
        "status": dispute.status,
        "amount": dispute.amount,
        "fee": dispute.fee,
        "withdrawn": dispute.withdrawn,
        "currency": dispute.currency,
        "reason": dispute.reason,
        "due_by": moment(dispute.due_by),
        "evidence": dispute.evidence,
        "submitted_at": moment(dispute.submitted_at),
        "created_at": moment(dispute.created_at),
        "updated_at": moment(dispute.updated_at),
    }


def disputes(
    tx: Tx,
    actor: Actor,
    *,
    payment: str | None = None,
    status: str | None = None,
    stage: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Page[Dispute]:
    """One page, newest first."""
    query = select(Dispute).where(Dispute.merchant_id == actor.merchant_id)
    wanted = {Dispute.payment_id: payment, Dispute.status: status, Dispute.stage: stage}
    return fetch(tx, narrowed(query, wanted), Dispute.id, limit, after)
