"""Reading refunds."""

from collections.abc import Collection

from sqlalchemy import select

from app.access.actor import Actor
from app.access.owned import find_owned
from app.errors import NotFound
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch, narrowed
from app.payments.models import Payment
from app.payments.queries import lock_with_payment, moment
from app.refunds.models import Refund


class RefundNotFound(NotFound):
    code = "refund_not_found"
    title = "There is no such refund"


def find_refund(tx: Tx, merchant_id: str, refund_id: str) -> Refund:
    return find_owned(tx, Refund, merchant_id, refund_id, RefundNotFound)


def payments_of(tx: Tx, refund_ids: Collection[str]) -> list[str]:
    """The payments that the refunds are about."""
    if not refund_ids:
        return []
    return list(tx.session.scalars(select(Refund.payment_id).where(Refund.id.in_(refund_ids))))


def lock_refund(tx: Tx, merchant_id: str, refund_id: str) -> tuple[Payment, Refund]:
    """The refund, read anew under the lock of its payment."""
    return lock_with_payment(tx, find_refund(tx, merchant_id, refund_id))


def refund_view(refund: Refund) -> Json:
    """The refund as the API shows it."""
    return {
        "id": refund.id,
        "object": "refund",
        "payment": refund.payment_id,
        "instance": refund.instance_id,
        "amount": refund.amount,
        "currency": refund.currency,
        "status": refund.status,
        "status_reason": refund.status_reason or None,
        "reason": refund.reason,
        "gateway_reference": refund.gateway_reference or None,
        "requested_by": refund.requested_by,
        "approved_by": refund.approved_by,
        "created_at": moment(refund.created_at),
        "updated_at": moment(refund.updated_at),
    }


def refunds(
    tx: Tx,
    actor: Actor,
    *,
    payment: str | None = None,
    status: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Page[Refund]:
    """One page, newest first."""
    query = select(Refund).where(Refund.merchant_id == actor.merchant_id)
    return fetch(tx, narrowed(query, {Refund.payment_id: payment, Refund.status: status}), Refund.id, limit, after)
