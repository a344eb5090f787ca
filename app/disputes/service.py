"""Disputes: opened and changed by the gateway's word alone, answered with evidence or accepted by people."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select

from app.access.actor import Actor, Role, system
from app.disputes.funds import book_funds, move
from app.disputes.models import Dispute
from app.disputes.queries import lock_dispute
from app.disputes.states import GRAPH, DisputeStatus, check_move, is_open, tell
from app.engine import inbox, incidents
from app.errors import Conflict
from app.events import audit
from app.gateways.port import GatewayDispute
from app.kit.database import Json, Tx
from app.kit.ids import derived_id, new_id
from app.kit.money import Money
from app.payments.models import Attempt, Payment
from app.payments.outcomes import UNRESOLVED
from app.payments.queries import lock_payment, moment
from app.payments.states import IllegalTransition

PROCESS = "dispute"
REQUEST_LASTS = timedelta(days=60)
_SUBMIT: Final = "dispute.submit_requested"
_ACCEPT: Final = "dispute.accept_requested"


class NotAnswerable(Conflict):
    code = "dispute_not_answerable"
    title = "The dispute takes no answer any more"


class AnswerOutdated(Conflict):
    code = "dispute_answer_outdated"
    title = "The dispute has changed since the gateway was asked; ask again"


def open_from_gateway(tx: Tx, gateway: str, facts: GatewayDispute, asked_at: datetime) -> Dispute | None:
    """Take in what the gateway says about a dispute: open it here, or change it. None when the charge is not ours.

    AnswerOutdated as in `take_in`.
    """
    payment = _payment_of(tx, gateway, facts.charge)
    if payment is None:
        return None
    dispute = tx.session.scalar(
        select(Dispute)
        .where(Dispute.gateway == gateway, Dispute.gateway_reference == facts.id)
        .execution_options(populate_existing=True)
    )
    if dispute is None:
        return _open(tx, payment, gateway, facts)
    take_in(tx, payment, dispute, facts, asked_at)
    return dispute


def take_in(tx: Tx, payment: Payment, dispute: Dispute, facts: GatewayDispute, asked_at: datetime) -> None:
    """Book what the gateway says; the same again changes nothing, and what cannot follow is an incident.

    Of two that ask at once the first answer may be booked last. AnswerOutdated, with nothing written, when something
    else has been booked since `asked_at`.
    """
    fee = facts.fee.minor if facts.fee is not None else dispute.fee
    known = (dispute.stage, dispute.status, dispute.due_by, dispute.amount)
    changed = known != (facts.stage, facts.status, facts.due_by, _amount(dispute, facts)) or fee > dispute.fee
    if not changed and facts.amount == Money(dispute.amount, dispute.currency):
        return
    if dispute.updated_at >= asked_at:
        raise AnswerOutdated(f"{dispute.id} is {dispute.status} since {moment(dispute.updated_at)}")
    _check_amount(tx, payment, dispute, facts)
    if not changed:
        return
    try:
        check_move(dispute, facts.stage, facts.status)
    except IllegalTransition as illegal:
        message = f"{dispute.gateway} says the dispute is {facts.stage}, {facts.status}. {illegal.detail}"
        _report(tx, payment, dispute, "contradiction", message, facts)
        return
    dispute.amount = _amount(dispute, facts)
    if facts.stage != dispute.stage:
        # A request is about the stage in which it was made: the next one is for people to decide anew.
        inbox.withdraw(tx, dispute.merchant_id, (_SUBMIT, _ACCEPT), dispute.id)
        dispute.submitted_at = None
    if facts.evidence_submitted and dispute.submitted_at is None:
        dispute.submitted_at = tx.now()
    dispute.due_by = facts.due_by
    move(tx, payment, dispute, facts.stage, facts.status, system(dispute.merchant_id), fee=fee)
    variables: Json = {"dispute": dispute.id, "stage": dispute.stage, "status": dispute.status}
    message = derived_id("msg", dispute.id, facts.stage, facts.status, facts.due_by, fee, dispute.amount)
    if is_open(dispute) and (dispute.instance_id is None or inbox.has_ended(tx, dispute.instance_id)):
        _start_flow(tx, dispute)
        return
    inbox.publish_message(tx, dispute.merchant_id, "dispute.updated", dispute.id, variables, message, ttl=REQUEST_LASTS)


def put_evidence(tx: Tx, actor: Actor, dispute_id: str, facts: dict[str, str]) -> Dispute:
    """Add or replace facts, drop those given as empty. Evidence that was handed in does not change."""
    actor.require(Role.INTEGRATOR, Role.REVIEWER, Role.OPERATOR)
    _, dispute = lock_dispute(tx, actor.merchant_id, dispute_id)
    _check_answerable(tx, dispute)
    dispute.evidence = {name: text for name, text in {**dispute.evidence, **facts}.items() if text}
    tell(tx, dispute, "dispute.updated", actor)
    audit.record(tx, actor, "dispute.evidence_put", dispute.id, {"names": sorted(facts)})
    return dispute


def request_submit(tx: Tx, actor: Actor, dispute_id: str) -> Dispute:
    """Ask the flow to hand the evidence in."""
    return _request(tx, actor, dispute_id, _SUBMIT)


def request_accept(tx: Tx, actor: Actor, dispute_id: str) -> Dispute:
    """Ask the flow to accept the dispute, which gives the amount up."""
    return _request(tx, actor, dispute_id, _ACCEPT)


def transition(tx: Tx, merchant_id: str, dispute_id: str, to: str) -> Dispute:
    """Take the edge a diagram names; only a missed deadline is ours to state, all else is the gateway's word."""
    payment, dispute = lock_dispute(tx, merchant_id, dispute_id)
    if dispute.status == to:
        return dispute
    GRAPH.check(dispute.status, to)
    if to != DisputeStatus.EXPIRED:
        raise IllegalTransition(f"A dispute becomes {to} by the gateway's word; refresh it instead")
    if dispute.due_by is None or dispute.due_by > tx.now():
        raise IllegalTransition("The dispute's deadline has not passed")
    move(tx, payment, dispute, dispute.stage, to, system(merchant_id))
    return dispute


def unresolved_attempt(tx: Tx, dispute_id: str) -> Attempt | None:
    """An answer to this dispute that the gateway may or may not have."""
    return tx.session.scalar(
        select(Attempt)
        .where(Attempt.dispute_id == dispute_id, or_(Attempt.state == "begun", Attempt.outcome.in_(UNRESOLVED)))
        .limit(1)
    )


def _request(tx: Tx, actor: Actor, dispute_id: str, name: str) -> Dispute:
    actor.require(Role.INTEGRATOR, Role.REVIEWER, Role.OPERATOR)
    _, dispute = lock_dispute(tx, actor.merchant_id, dispute_id)
    _check_answerable(tx, dispute)
    variables: Json = {"by": actor.id, "stage": dispute.stage}
    inbox.publish_message(tx, dispute.merchant_id, name, dispute.id, variables, new_id("msg"), actor.id, REQUEST_LASTS)
    audit.record(tx, actor, name, dispute.id, {"stage": dispute.stage})
    return dispute


def _check_answerable(tx: Tx, dispute: Dispute) -> None:
    late = dispute.due_by is not None and dispute.due_by <= tx.now()
    if dispute.status == DisputeStatus.NEEDS_RESPONSE and not late and unresolved_attempt(tx, dispute.id) is None:
        return
    why = "its deadline has passed" if late and is_open(dispute) else f"it is {dispute.status} or being answered"
    raise NotAnswerable(f"The dispute takes no answer: {why}", extra={"status": dispute.status})


def _payment_of(tx: Tx, gateway: str, charge: str) -> Payment | None:
    """The payment that holds the charge, locked. The gateway's own reference finds it, of whatever merchant."""
    row = tx.session.execute(
        select(Attempt.merchant_id, Attempt.payment_id).where(
            Attempt.gateway == gateway, Attempt.gateway_reference == charge, Attempt.operation == "authorize"
        )
    ).first()
    return lock_payment(tx, row.merchant_id, row.payment_id) if row is not None and charge else None


def _open(tx: Tx, payment: Payment, gateway: str, facts: GatewayDispute) -> Dispute:
    actor = system(payment.merchant_id)
    dispute = Dispute(
        id=new_id("dis"),
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        gateway=gateway,
        gateway_reference=facts.id,
        stage=facts.stage,
        status=facts.status,
        amount=facts.amount.minor,
        fee=0,
        withdrawn=0,
        currency=facts.amount.currency,
        reason=facts.reason,
        due_by=facts.due_by,
        evidence={},
        submitted_at=tx.now() if facts.evidence_submitted else None,
        created_at=tx.now(),
        updated_at=tx.now(),
    )
    tx.session.add(dispute)
    tx.session.flush()
    if is_open(dispute):
        _start_flow(tx, dispute)
    _check_amount(tx, payment, dispute, facts)
    book_funds(tx, payment, dispute, facts.fee.minor if facts.fee is not None else 0, actor)
    tell(tx, dispute, "dispute.created", actor)
    return dispute


def _start_flow(tx: Tx, dispute: Dispute) -> None:
    """A dispute that comes back after its flow has ended gets another one."""
    variables: Json = {
        "dispute": dispute.id,
        "payment": dispute.payment_id,
        "amount": dispute.amount,
        "currency": dispute.currency,
    }
    actor = system(dispute.merchant_id)
    dispute.instance_id = inbox.start_instance(tx, actor, PROCESS, dispute.id, variables).id
    tx.session.flush()


def flow_ended(tx: Tx, instance_id: str, subject: str) -> None:
    """An instance has ended: a dispute that still needs an answer from us is shown to people."""
    dispute = tx.session.get(Dispute, subject) if subject.startswith("dis_") else None
    if dispute is None or dispute.instance_id != instance_id or dispute.status != DisputeStatus.NEEDS_RESPONSE:
        return
    message = (
        f"The flow has ended and the dispute needs a response by {moment(dispute.due_by)}; answer it at the gateway"
    )
    incidents.report(tx, dispute.merchant_id, instance_id, dispute.id, "", "flow_ended", message)


def _amount(dispute: Dispute, facts: GatewayDispute) -> int:
    """The gateway's word counts until the amount is taken; from then on it is what was taken."""
    fixed = dispute.withdrawn or facts.amount.currency != dispute.currency
    return dispute.amount if fixed else facts.amount.minor


def _check_amount(tx: Tx, payment: Payment, dispute: Dispute, facts: GatewayDispute) -> None:
    """Show people what the books cannot follow: another amount than was taken, or not the payment's currency."""
    ours = {dispute.currency, facts.amount.currency} == {payment.currency}
    if ours and _amount(dispute, facts) == facts.amount.minor:
        return
    taken = Money(dispute.withdrawn, dispute.currency)
    message = f"{dispute.gateway} says {facts.amount} of a payment in {payment.currency} is disputed; booked is {taken}"
    _report(tx, payment, dispute, "amount_mismatch", message, facts)


def _report(tx: Tx, payment: Payment, dispute: Dispute, kind: str, message: str, facts: GatewayDispute) -> None:
    instance_id = dispute.instance_id or payment.instance_id
    assert instance_id is not None
    details: Json = {
        "stage": facts.stage,
        "status": facts.status,
        "amount": facts.amount.minor,
        "currency": facts.amount.currency,
        "gateway_reference": facts.id,
    }
    incidents.report(tx, dispute.merchant_id, instance_id, dispute.id, "", kind, message, details)
