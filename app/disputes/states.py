"""The states of a dispute: a stage that only moves forward, and within it a status.

The gateway's word wins. What was won may be reopened in a later stage, which is the one late move; a later stage
also begins again at `needs_response` from every other status.
"""

from enum import StrEnum

from app.access.actor import Actor
from app.disputes.models import Dispute
from app.disputes.queries import dispute_view
from app.events.outbox import emit
from app.kit.database import Tx
from app.payments.states import Graph, IllegalTransition


class Stage(StrEnum):
    FRAUD_WARNING = "fraud_warning"
    INQUIRY = "inquiry"
    CHARGEBACK = "chargeback"
    PRE_ARBITRATION = "pre_arbitration"
    ARBITRATION = "arbitration"

    @property
    def withholds(self) -> bool:
        """From the chargeback on the gateway keeps the amount until it is decided."""
        return self in (Stage.CHARGEBACK, Stage.PRE_ARBITRATION, Stage.ARBITRATION)


class DisputeStatus(StrEnum):
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    CANCELED = "canceled"
    PREVENTED = "prevented"

    @property
    def returns_funds(self) -> bool:
        return self in (DisputeStatus.WON, DisputeStatus.CANCELED, DisputeStatus.PREVENTED)

    @property
    def loses_funds(self) -> bool:
        return self in (DisputeStatus.LOST, DisputeStatus.ACCEPTED, DisputeStatus.EXPIRED)


_S = DisputeStatus
REOPENED = "reopened"
_ORDER = tuple(Stage)

GRAPH = Graph(
    entity="dispute",
    initial=frozenset(DisputeStatus),
    terminal=frozenset({_S.WON, _S.LOST, _S.ACCEPTED, _S.EXPIRED, _S.CANCELED, _S.PREVENTED}),
    edges={
        (_S.NEEDS_RESPONSE, _S.UNDER_REVIEW): "evidence_submitted",
        (_S.NEEDS_RESPONSE, _S.ACCEPTED): "accepted",
        (_S.NEEDS_RESPONSE, _S.EXPIRED): "deadline_missed",
        (_S.NEEDS_RESPONSE, _S.WON): "decided",
        (_S.NEEDS_RESPONSE, _S.LOST): "decided",
        (_S.NEEDS_RESPONSE, _S.CANCELED): "withdrawn_by_customer",
        (_S.NEEDS_RESPONSE, _S.PREVENTED): "resolved_before_it_counted",
        (_S.UNDER_REVIEW, _S.WON): "decided",
        (_S.UNDER_REVIEW, _S.LOST): "decided",
        (_S.UNDER_REVIEW, _S.CANCELED): "withdrawn_by_customer",
        (_S.UNDER_REVIEW, _S.NEEDS_RESPONSE): "more_was_asked",
    },
    late={
        (_S.WON, _S.NEEDS_RESPONSE): REOPENED,
        (_S.CANCELED, _S.NEEDS_RESPONSE): REOPENED,
        (_S.PREVENTED, _S.NEEDS_RESPONSE): REOPENED,
        # An early stage that took no money can be lost, missed or accepted and the chargeback come all the same.
        (_S.LOST, _S.NEEDS_RESPONSE): REOPENED,
        (_S.ACCEPTED, _S.NEEDS_RESPONSE): REOPENED,
        (_S.EXPIRED, _S.NEEDS_RESPONSE): REOPENED,
    },
)


def check_move(dispute: Dispute, stage: str, status: str) -> None:
    """IllegalTransition unless (stage, status) can follow. A later stage starts over, whatever the status was."""
    if _ORDER.index(Stage(stage)) < _ORDER.index(Stage(dispute.stage)):
        raise IllegalTransition(f"A dispute in stage {dispute.stage} cannot go back to {stage}")
    if stage == dispute.stage:
        if status != dispute.status:
            GRAPH.check(dispute.status, status)
        return
    if dispute.status != DisputeStatus.NEEDS_RESPONSE:
        GRAPH.check(dispute.status, DisputeStatus.NEEDS_RESPONSE, late=REOPENED)
    if status != DisputeStatus.NEEDS_RESPONSE:
        GRAPH.check(DisputeStatus.NEEDS_RESPONSE, status)


def tell(tx: Tx, dispute: Dispute, name: str, actor: Actor) -> None:
    """Tell everybody how the dispute stands now; the caller holds the payment's lock."""
    dispute.updated_at = tx.now()
    tx.session.flush()
    emit(tx, dispute.merchant_id, name, dispute.id, dispute_view(dispute), actor.id)


def is_open(dispute: Dispute) -> bool:
    return dispute.status not in GRAPH.terminal
