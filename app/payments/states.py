"""The states of a payment as a literal graph: an edge that is not listed here cannot happen.

Terminal states are sticky. A graph may list late moves out of them, each by name, and only a caller that says the
name may take one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.access.actor import Actor
from app.errors import Conflict
from app.events.outbox import emit
from app.kit.database import Tx
from app.payments.models import Payment
from app.payments.queries import payment_view


class IllegalTransition(Conflict):
    code = "illegal_transition"
    title = "The object is in a state from which this cannot happen"


@dataclass(frozen=True, slots=True)
class Graph:
    """`edges` and `late` map (from, to) to the name of what happens; a `late` edge leaves a terminal state."""

    entity: str
    initial: frozenset[str]
    terminal: frozenset[str]
    edges: Mapping[tuple[str, str], str]
    late: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def allows(self, source: str, target: str, late: str = "") -> bool:
        edge = (source, target)
        return edge in self.edges or (bool(late) and self.late.get(edge) == late)

    def check(self, source: str, target: str, late: str = "") -> None:
        """IllegalTransition unless the edge is listed; `late` is the name of the late move that is meant."""
        if not self.allows(source, target, late):
            legal = sorted(to for start, to in self.edges if start == source)
            onward = f"it can become {', '.join(legal)}" if legal else "that is final"
            raise IllegalTransition(
                f"A {self.entity} that is {source} cannot become {target}; {onward}",
                extra={"status": source, "legal": legal},
            )


class PaymentStatus(StrEnum):
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_REVIEW = "requires_review"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    PARTIALLY_CAPTURED = "partially_captured"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"
    FAILED = "failed"
    EXPIRED = "expired"


_S = PaymentStatus

GRAPH = Graph(
    entity="payment",
    initial=frozenset({_S.REQUIRES_PAYMENT_METHOD, _S.REQUIRES_CONFIRMATION, _S.PROCESSING}),
    terminal=frozenset({_S.SUCCEEDED, _S.CANCELED, _S.FAILED, _S.EXPIRED}),
    edges={
        (_S.REQUIRES_PAYMENT_METHOD, _S.PROCESSING): "confirmed",
        (_S.REQUIRES_PAYMENT_METHOD, _S.CANCELED): "canceled",
        (_S.REQUIRES_CONFIRMATION, _S.PROCESSING): "confirmed",
        (_S.REQUIRES_CONFIRMATION, _S.CANCELED): "canceled",
        (_S.PROCESSING, _S.REQUIRES_ACTION): "action_required",
        (_S.PROCESSING, _S.REQUIRES_REVIEW): "review_opened",
        (_S.PROCESSING, _S.REQUIRES_CAPTURE): "authorized",
        (_S.PROCESSING, _S.PARTIALLY_CAPTURED): "captured",
        (_S.PROCESSING, _S.SUCCEEDED): "captured",
        (_S.PROCESSING, _S.CANCELED): "canceled",
        (_S.PROCESSING, _S.FAILED): "failed",
        (_S.PROCESSING, _S.EXPIRED): "expired",
        (_S.REQUIRES_ACTION, _S.PROCESSING): "action_completed",
        (_S.REQUIRES_ACTION, _S.REQUIRES_CAPTURE): "authorized",
        (_S.REQUIRES_ACTION, _S.CANCELED): "canceled",
        (_S.REQUIRES_ACTION, _S.FAILED): "failed",
        (_S.REQUIRES_ACTION, _S.EXPIRED): "expired",
        (_S.REQUIRES_REVIEW, _S.PROCESSING): "review_closed",
        (_S.REQUIRES_REVIEW, _S.REQUIRES_CAPTURE): "review_closed",
        (_S.REQUIRES_REVIEW, _S.PARTIALLY_CAPTURED): "captured",
        (_S.REQUIRES_REVIEW, _S.SUCCEEDED): "captured",
        (_S.REQUIRES_REVIEW, _S.CANCELED): "canceled",
        (_S.REQUIRES_REVIEW, _S.FAILED): "failed",
        (_S.REQUIRES_REVIEW, _S.EXPIRED): "expired",
        (_S.REQUIRES_CAPTURE, _S.REQUIRES_REVIEW): "review_opened",
        (_S.REQUIRES_CAPTURE, _S.PROCESSING): "authorization_moving",
        (_S.REQUIRES_CAPTURE, _S.PARTIALLY_CAPTURED): "captured",
        (_S.REQUIRES_CAPTURE, _S.SUCCEEDED): "captured",
        (_S.REQUIRES_CAPTURE, _S.CANCELED): "canceled",
        (_S.REQUIRES_CAPTURE, _S.FAILED): "failed",
        (_S.REQUIRES_CAPTURE, _S.EXPIRED): "expired",
        (_S.PARTIALLY_CAPTURED, _S.PROCESSING): "authorization_moving",
        (_S.PARTIALLY_CAPTURED, _S.SUCCEEDED): "captured",
    },
)


def move(tx: Tx, payment: Payment, to: str, reason: str, actor: Actor) -> None:
    """Take the edge to `to` and tell everybody; the caller holds the payment's row lock.

    Staying where it is is no edge: then only `reason` and the amounts may have changed, told as `payment.updated`.
    """
    stays = payment.status == to
    if not stays:
        GRAPH.check(payment.status, to)
    payment.status = to
    payment.status_reason = reason
    payment.updated_at = tx.now()
    if to != PaymentStatus.REQUIRES_ACTION:
        payment.next_action = None
    name = "payment.updated" if stays else f"payment.{to}"
    emit(tx, payment.merchant_id, name, payment.id, payment_view(tx, payment), actor.id)


def is_terminal(status: str) -> bool:
    return status in GRAPH.terminal
