"""The states of a refund. One late move is legal: a refund that had arrived may come back."""

from enum import StrEnum

from app.access.actor import Actor
from app.events.outbox import emit
from app.kit.database import Tx
from app.payments.states import Graph
from app.refunds.models import Refund
from app.refunds.queries import refund_view


class RefundStatus(StrEnum):
    REQUIRES_APPROVAL = "requires_approval"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


_S = RefundStatus
LATE_FAILURE = "late_failure"

GRAPH = Graph(
    entity="refund",
    initial=frozenset({_S.REQUIRES_APPROVAL, _S.PENDING}),
    terminal=frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELED}),
    edges={
        (_S.REQUIRES_APPROVAL, _S.PENDING): "approved",
        (_S.REQUIRES_APPROVAL, _S.CANCELED): "rejected",
        (_S.PENDING, _S.SUCCEEDED): "succeeded",
        (_S.PENDING, _S.FAILED): "failed",
        (_S.PENDING, _S.CANCELED): "canceled",
    },
    late={(_S.SUCCEEDED, _S.FAILED): LATE_FAILURE},
)


def move(tx: Tx, refund: Refund, to: str, reason: str, actor: Actor, late: str = "") -> None:
    """Take the edge and tell everybody; staying is told as `refund.updated`. The caller holds the payment's lock."""
    stays = refund.status == to
    if not stays:
        GRAPH.check(refund.status, to, late)
    refund.status = to
    refund.status_reason = reason
    refund.updated_at = tx.now()
    tx.session.flush()
    name = "refund.updated" if stays else f"refund.{to}"
    emit(tx, refund.merchant_id, name, refund.id, refund_view(refund), actor.id)
