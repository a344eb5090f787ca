"""The rules of disputes: opening takes the money, a victory brings it back, evidence is handed in once per stage."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from app.kit.ids import new_id
from app.sandbox.desk import DISPUTE_FEE, Desk
from app.sandbox.records import Dispute, parsed, timestamp
from app.sandbox.refusals import Malformed, NotNow

ANSWER_WITHIN = timedelta(days=18)
#: Stages in which the amount is withheld; the earlier ones only ask or warn.
_WITHHOLDING = ("chargeback", "pre_arbitration", "arbitration")
STAGES = ("fraud_warning", "inquiry", *_WITHHOLDING)
_OPEN = ("needs_response", "under_review")


def open_dispute(
    desk: Desk, charge_id: str, stage: str, reason: str = "fraudulent", amount: int | None = None
) -> Dispute:
    """A customer or bank objects; without `amount` it is about everything that was captured and not yet returned."""
    charge = desk.charge(charge_id)
    returnable = charge.captured - charge.refunded - charge.disputed
    disputed = returnable if amount is None else amount
    if stage not in STAGES:
        raise Malformed(f"stage must be one of {', '.join(STAGES)}")
    if not 0 < disputed <= returnable:
        raise NotNow(f"Charge {charge_id} has {returnable} left to dispute, not {disputed}")
    dispute = Dispute(
        id=new_id("dp"),
        charge=charge_id,
        stage=stage,
        status="needs_response",
        reason=reason,
        amount=disputed,
        currency=charge.currency,
        fee=DISPUTE_FEE if stage in _WITHHOLDING else 0,
        due_by="",
        created_at=timestamp(desk.now),
    )
    desk.books.add(dispute)
    return _enter(desk, dispute, stage, "dispute.created")


def _enter(desk: Desk, dispute: Dispute, stage: str, event: str) -> Dispute:
    """A stage begins: a new deadline, new evidence, and from the chargeback on the money is gone."""
    due_by = desk.now + ANSWER_WITHIN
    first_withdrawal = stage in _WITHHOLDING and (dispute.stage not in _WITHHOLDING or event == "dispute.created")
    dispute = replace(
        dispute,
        stage=stage,
        status="needs_response",
        due_by=timestamp(due_by),
        evidence_submitted=False,
        fee=DISPUTE_FEE if stage in _WITHHOLDING else dispute.fee,
    )
    if stage in _WITHHOLDING and not dispute.withdrawn:
        dispute = _withdraw(desk, dispute, DISPUTE_FEE if first_withdrawal else 0)
    desk.books.put(dispute)
    desk.later(ANSWER_WITHIN.total_seconds(), "expire_dispute", dispute.id, dispute.due_by)
    _announce(desk, dispute, event)
    return dispute


def _withdraw(desk: Desk, dispute: Dispute, fee: int) -> Dispute:
    charge = desk.charge(dispute.charge)
    desk.books.put(replace(charge, disputed=charge.disputed + dispute.amount))
    desk.write_line("dispute", dispute, -dispute.amount, fee)
    return replace(dispute, withdrawn=dispute.amount)


def submit_evidence(desk: Desk, dispute_id: str, facts: Mapping[str, str]) -> Dispute:
    dispute = desk.dispute(dispute_id)
    if dispute.evidence_submitted:
        raise NotNow(f"Evidence for {dispute_id} was already handed in; it is accepted once")
    _must_await_response(desk, dispute)
    if not facts:
        raise Malformed("facts must hold at least one text by name")
    return _change(desk, replace(dispute, status="under_review", evidence=dict(facts), evidence_submitted=True))


def accept(desk: Desk, dispute_id: str) -> Dispute:
    dispute = desk.dispute(dispute_id)
    _must_await_response(desk, dispute)
    return _change(desk, replace(dispute, status="accepted"))


def _must_await_response(desk: Desk, dispute: Dispute) -> None:
    if dispute.status != "needs_response" or desk.now >= parsed(dispute.due_by):
        raise NotNow(
            f"Dispute {dispute.id} is {dispute.status}, due by {dispute.due_by}; it takes no response any more"
        )


def decide(desk: Desk, dispute_id: str, status: str) -> Dispute:
    """The bank or network decides; a victory returns the money, the fee stays."""
    dispute = desk.dispute(dispute_id)
    if status not in ("won", "lost"):
        raise Malformed("status must be won or lost")
    if dispute.status not in _OPEN:
        raise NotNow(f"Dispute {dispute_id} is {dispute.status}; there is nothing to decide")
    if status == "won" and dispute.withdrawn:
        charge = desk.charge(dispute.charge)
        desk.books.put(replace(charge, disputed=charge.disputed - dispute.withdrawn))
        desk.write_line("dispute_won", dispute, dispute.withdrawn)
        dispute = replace(dispute, withdrawn=0)
    return _change(desk, replace(dispute, status=status))


def escalate(desk: Desk, dispute_id: str, stage: str) -> Dispute:
    """The other side goes on to a later stage, also after a victory of the merchant."""
    dispute = desk.dispute(dispute_id)
    if stage not in STAGES or STAGES.index(stage) <= STAGES.index(dispute.stage):
        raise NotNow(f"Dispute {dispute_id} is in stage {dispute.stage}; it cannot go on to {stage}")
    if dispute.status in ("accepted", "lost", "expired") and dispute.withdrawn:
        raise NotNow(f"Dispute {dispute_id} is {dispute.status}; the other side has what it wanted")
    return _enter(desk, dispute, stage, "dispute.updated")


def expire_dispute(desk: Desk, dispute_id: str, due_by: str) -> None:
    """Nobody answered in time. A deadline that was replaced by a later one no longer counts."""
    dispute = desk.dispute(dispute_id)
    if dispute.status == "needs_response" and dispute.due_by == due_by:
        _change(desk, replace(dispute, status="expired"))


def _change(desk: Desk, dispute: Dispute) -> Dispute:
    desk.books.put(dispute)
    _announce(desk, dispute, "dispute.updated")
    return dispute


def _announce(desk: Desk, dispute: Dispute, event: str) -> None:
    facts = {"dispute": dispute.id, "stage": dispute.stage, "status": dispute.status}
    desk.announce(event, desk.charge(dispute.charge), facts)
