from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.disputes import service
from app.disputes.models import Dispute
from app.disputes.service import NotAnswerable
from app.events.models import Event
from app.gateways.port import GatewayDispute
from app.kit.money import Money
from app.ledger.service import balances
from app.operations import Effect
from app.payments.states import IllegalTransition
from app.refunds.service import RefundExceedsCaptured
from tests.fixtures_sandbox import until
from tests.till import MERCHANT, Till, pass_time


def disputed(till: Till, stage: str = "chargeback", **more: Any) -> tuple[str, Dispute]:
    """A captured payment that is charged back, as far as our side has heard."""
    payment = till.captured()
    till.sandbox.dispute(till.payment(payment).gateway_reference, stage, **more)
    until(till.webhooks)
    (dispute,) = till.disputes()
    return payment, dispute


def now(till: Till) -> Dispute:
    (dispute,) = till.disputes()
    return dispute


def says(till: Till, dispute: Dispute, **changes: Any) -> None:
    """Its gateway, asked now, tells the dispute as we know it but for `changes`."""
    known = GatewayDispute(
        id=dispute.gateway_reference,
        charge=till.payment(dispute.payment_id).gateway_reference,
        amount=Money(dispute.amount, dispute.currency),
        fee=Money(dispute.fee, dispute.currency),
        reason=dispute.reason,
        stage=dispute.stage,
        status=dispute.status,
        due_by=dispute.due_by,
        evidence_submitted=dispute.submitted_at is not None,
    )
    till.clock.advance(timedelta(seconds=1))
    with till.database.begin() as tx:
        service.open_from_gateway(tx, dispute.gateway, replace(known, **changes), tx.now())


def put(till: Till, dispute: str, **facts: str) -> None:
    with till.database.begin() as tx:
        service.put_evidence(tx, till.actor, dispute, facts)


def test_a_chargeback_opens_a_dispute_takes_the_money_and_starts_its_flow(till: Till) -> None:
    payment, dispute = disputed(till)
    assert (dispute.stage, dispute.status, dispute.amount, dispute.withdrawn) == (
        "chargeback",
        "needs_response",
        1000,
        1000,
    )
    assert dispute.instance_id is not None
    assert dispute.fee == 1500
    assert till.payment(payment).amount_disputed == 1000
    assert till.events(dispute.id) == ["dispute.created"]
    assert till.differences() == []
    with pytest.raises(RefundExceedsCaptured):
        till.refund(payment, 1)


def test_events_tell_what_was_taken_and_what_came_back(till: Till) -> None:
    _, dispute = disputed(till)
    till.sandbox.decide(dispute.gateway_reference, "won")
    until(lambda: till.webhooks() and now(till).status == "won")
    with till.database.begin() as tx:
        events = tx.session.scalars(select(Event).where(Event.object_id == dispute.id).order_by(Event.sequence)).all()
    assert [(one.type, one.data["withdrawn"], one.data["fee"]) for one in events] == [
        ("dispute.created", 1000, 1500),
        ("dispute.won", 0, 1500),
    ]


def test_each_fee_of_a_stage_is_booked(till: Till) -> None:
    _, dispute = disputed(till)
    says(till, dispute, fee=Money(3000, "EUR"))
    says(till, dispute, fee=Money(3000, "EUR"))
    assert now(till).fee == 3000
    with till.database.begin() as tx:
        assert {one.account: one.amount for one in balances(tx, MERCHANT)}["fees:sandbox_a"] == 3000
    assert till.differences() == []


def test_a_fee_that_the_ledger_does_not_have_is_found(till: Till) -> None:
    payment, _ = disputed(till)
    with till.database.begin() as tx:
        tx.execute(update(Dispute).values(fee=3000))
    assert till.ledger_problems() == [f"{payment}: charged for disputes is 3000 in our books and 1500 in the other"]


def test_an_inquiry_about_all_that_becomes_a_chargeback_of_a_part_takes_the_part(till: Till) -> None:
    payment, dispute = disputed(till, "inquiry")
    says(till, dispute, amount=Money(700, "EUR"))
    assert (now(till).amount, now(till).withdrawn) == (700, 0)
    says(till, dispute, amount=Money(400, "EUR"), stage="chargeback")
    assert (now(till).amount, now(till).withdrawn, till.payment(payment).amount_disputed) == (400, 400, 400)
    assert till.events(dispute.id) == ["dispute.created", "dispute.updated", "dispute.needs_response"]
    assert (till.ledger_problems(), till.incidents()) == ([], [])
    till.refund(payment, 600)


def test_another_amount_than_was_taken_is_shown_to_people_and_the_rest_is_taken_in(till: Till) -> None:
    payment, dispute = disputed(till)
    says(till, dispute, amount=Money(400, "EUR"))
    assert till.events(dispute.id) == ["dispute.created"]
    says(till, dispute, amount=Money(400, "EUR"), status="under_review")
    (incident,) = till.incidents()
    assert (incident.kind, incident.subject, incident.details["amount"]) == ("amount_mismatch", dispute.id, 400)
    assert incident.message == "sandbox_a says 4.00 EUR of a payment in EUR is disputed; booked is 10.00 EUR"
    assert (now(till).status, now(till).amount, now(till).withdrawn) == ("under_review", 1000, 1000)
    assert till.payment(payment).amount_disputed == 1000


@pytest.mark.parametrize("stage", ["inquiry", "chargeback"])
def test_a_dispute_in_another_currency_than_the_payment_is_shown_to_people_and_takes_nothing(
    till: Till, stage: str
) -> None:
    payment = till.captured()
    charge = till.payment(payment).gateway_reference
    facts = GatewayDispute("dp_1", charge, Money(1200, "USD"), None, "fraudulent", stage, "needs_response", None)
    with till.database.begin() as tx:
        service.open_from_gateway(tx, "sandbox_a", facts, tx.now())
    dispute = now(till)
    says(till, dispute, stage="pre_arbitration")
    assert [(one.kind, one.subject) for one in till.incidents()] == [("amount_mismatch", dispute.id)]
    assert (now(till).stage, now(till).withdrawn, till.payment(payment).amount_disputed) == ("pre_arbitration", 0, 0)
    assert till.ledger_problems() == []


def test_an_inquiry_takes_no_money(till: Till) -> None:
    payment, dispute = disputed(till, "inquiry")
    assert (dispute.withdrawn, till.payment(payment).amount_disputed) == (0, 0)
    till.refund(payment, 100)


def test_the_same_webhook_again_changes_nothing(till: Till) -> None:
    payment, dispute = disputed(till)
    till.sandbox.replay(till.sandbox.events("dispute.created")[0]["id"])
    until(lambda: len(till.receiver.received) >= 2)
    till.webhooks()
    assert len(till.inbound()) == 1
    assert till.events(dispute.id) == ["dispute.created"]
    assert till.payment(payment).amount_disputed == 1000


def test_a_payload_is_never_booked_the_gateway_is_asked(till: Till) -> None:
    payment = till.captured()
    opened = till.sandbox.dispute(till.payment(payment).gateway_reference)
    till.sandbox.decide(opened["id"], "won")
    until(lambda: len(till.receiver.received) == 2)
    till.receiver.received.pop()
    till.webhooks()
    assert now(till).status == "won"
    assert till.payment(payment).amount_disputed == 0
    assert till.differences() == []


def test_what_is_known_is_gathered_and_what_people_wrote_stays(till: Till) -> None:
    payment, dispute = disputed(till)
    put(till, dispute.id, **{"payment.reference": "Order 7, see attached", "shipping": "DHL 42"})
    gathered = till.run("dispute.gather", dispute.id)
    assert gathered.facts["payment.id"] == payment
    assert gathered.facts["payment.reference"] == "Order 7, see attached"
    assert gathered.facts["shipping"] == "DHL 42"
    assert gathered.facts["authorization.gateway"] == "sandbox_a"
    assert dispute.due_by is not None
    assert dispute.due_by - timedelta(days=2, minutes=1) < gathered.respond_by <= dispute.due_by - timedelta(days=2)


def test_evidence_is_submitted_once(till: Till) -> None:
    _, dispute = disputed(till)
    till.run("dispute.gather", dispute.id)
    result = till.run("dispute.submit", dispute.id, "submit#1")
    assert result.status == "under_review"
    assert now(till).submitted_at is not None
    assert till.fails("dispute.submit", dispute.id, "submit#2").code == "DISPUTE_NOT_DEFENDABLE"
    assert till.sandbox.times_received("evidence", result.attempt) == 1
    with pytest.raises(NotAnswerable):
        put(till, dispute.id, more="too late")


def test_a_crash_after_the_evidence_was_sent_submits_once(till: Till) -> None:
    _, dispute = disputed(till)
    put(till, dispute.id, shipping="DHL 42")
    effect = till.begin("dispute.submit", dispute.id, "submit#1")
    effect.call()  # type: ignore[union-attr]
    with pytest.raises(NotAnswerable):
        put(till, dispute.id, shipping="changed while under way")
    result = till.run("dispute.submit", dispute.id, "submit#1")
    assert till.sandbox.times_received("evidence", result.attempt) == 1
    assert now(till).status == "under_review"


def test_without_evidence_or_after_the_deadline_there_is_nothing_to_defend(till: Till) -> None:
    _, dispute = disputed(till)
    assert till.fails("dispute.submit", dispute.id).code == "DISPUTE_NOT_DEFENDABLE"
    put(till, dispute.id, shipping="DHL 42")
    till.clock.advance(timedelta(days=19))
    assert "deadline" in till.fails("dispute.submit", dispute.id).message
    till.run("dispute.transition", dispute.id, to="expired")
    assert now(till).status == "expired"


def test_a_victory_returns_the_money_and_keeps_the_fee(till: Till) -> None:
    payment, dispute = disputed(till)
    put(till, dispute.id, shipping="DHL 42")
    till.run("dispute.submit", dispute.id)
    till.sandbox.decide(dispute.gateway_reference, "won")
    until(lambda: till.webhooks() and now(till).status == "won")
    assert (now(till).withdrawn, till.payment(payment).amount_disputed) == (0, 0)
    assert till.messages("dispute.updated")[-1].correlation == dispute.id
    assert till.differences() == []
    till.refund(payment)


def test_a_defeat_keeps_the_money_away_for_good(till: Till) -> None:
    payment, dispute = disputed(till)
    till.sandbox.decide(dispute.gateway_reference, "lost")
    until(till.webhooks)
    assert now(till).status == "lost"
    assert till.payment(payment).amount_disputed == 1000
    assert till.differences() == []
    with pytest.raises(RefundExceedsCaptured):
        till.refund(payment, 1)


def test_accepting_gives_the_amount_up(till: Till) -> None:
    payment, dispute = disputed(till)
    assert till.run("dispute.accept", dispute.id).status == "accepted"
    until(till.webhooks)
    assert now(till).status == "accepted"
    assert till.incidents() == []
    assert till.payment(payment).amount_disputed == 1000
    assert till.differences() == []


@pytest.mark.parametrize("operation", ["dispute.submit", "dispute.accept"])
def test_an_answer_meant_for_another_stage_is_not_sent(till: Till, operation: str) -> None:
    payment, dispute = disputed(till)
    put(till, dispute.id, shipping="DHL 42")
    says(till, dispute, stage="pre_arbitration")
    refused = till.fails(operation, dispute.id, stage="chargeback")
    assert (refused.code, refused.facts["stage"]) == ("DISPUTE_NOT_DEFENDABLE", "pre_arbitration")
    assert [one.operation for one in till.attempts(payment)] == ["authorize", "capture"]
    till.run(operation, dispute.id, stage="pre_arbitration")
    assert now(till).status != "needs_response"


@pytest.mark.parametrize("operation", ["dispute.submit", "dispute.accept"])
def test_an_answer_that_was_begun_in_a_stage_that_has_passed_is_looked_up_and_not_sent(
    till: Till, operation: str
) -> None:
    _, dispute = disputed(till)
    put(till, dispute.id, shipping="DHL 42")
    begun = till.activation(operation)
    till.begin(operation, dispute.id, begun, stage="chargeback")
    says(till, dispute, stage="pre_arbitration")
    unknown = till.fails(operation, dispute.id, begun, stage="chargeback")
    assert unknown.code == "OUTCOME_UNKNOWN"
    assert now(till).status == "needs_response"


def test_pre_arbitration_after_a_victory_withdraws_again_and_takes_new_evidence(till: Till) -> None:
    payment, dispute = disputed(till)
    put(till, dispute.id, shipping="DHL 42")
    till.run("dispute.submit", dispute.id)
    till.sandbox.decide(dispute.gateway_reference, "won")
    until(lambda: till.webhooks() and now(till).status == "won")
    till.sandbox.pre_arbitration(dispute.gateway_reference)
    until(lambda: till.webhooks() and now(till).stage == "pre_arbitration")
    assert (now(till).status, now(till).submitted_at) == ("needs_response", None)
    assert till.payment(payment).amount_disputed == 1000
    assert till.differences() == []
    till.run("dispute.submit", dispute.id)
    till.sandbox.decide(dispute.gateway_reference, "won")
    until(lambda: till.webhooks() and now(till).status == "won")
    assert till.payment(payment).amount_disputed == 0
    assert till.differences() == []


def test_the_gateways_deadline_wins_and_refreshing_shows_it(till: Till) -> None:
    _, dispute = disputed(till)
    pass_time(till, days=19)
    refreshed = till.run("dispute.refresh", dispute.id)
    assert (refreshed.status, now(till).status) == ("expired", "expired")
    assert till.differences() == []


def test_what_the_gateway_said_before_the_evidence_was_handed_in_does_not_take_it_back(till: Till) -> None:
    _, dispute = disputed(till)
    put(till, dispute.id, shipping="DHL 42")
    asking = till.begin("dispute.refresh", dispute.id, "refresh#1")
    assert isinstance(asking, Effect)
    said = asking.call()
    till.run("dispute.submit", dispute.id)
    refreshed = till.finish(asking, said, dispute.id, "refresh#1")
    assert refreshed.model_dump()["status"] == now(till).status == "under_review"
    assert till.incidents() == []


def test_only_a_missed_deadline_can_be_stated_by_us(till: Till) -> None:
    _, dispute = disputed(till)
    with pytest.raises(IllegalTransition, match="deadline has not passed"):
        till.run("dispute.transition", dispute.id, to="expired")


def test_a_dispute_of_a_charge_that_is_not_ours_is_parked(till: Till) -> None:
    till.sandbox.pay("someone_else", capture=True)
    till.sandbox.dispute(till.sandbox.charge("someone_else")["id"])
    until(till.webhooks)
    (stored,) = [inbound for inbound in till.inbound() if inbound.kind == "dispute_updated"]
    assert (stored.status, stored.due_at is not None) == ("unmatched", True)
    assert till.disputes() == []


def test_submit_and_accept_are_asked_of_the_flow(till: Till) -> None:
    _, dispute = disputed(till)
    with till.database.begin() as tx:
        service.request_submit(tx, till.actor, dispute.id)
        service.request_accept(tx, till.actor, dispute.id)
    for name in ("dispute.submit_requested", "dispute.accept_requested"):
        (message,) = till.messages(name)
        assert message.correlation == dispute.id
        assert message.variables["stage"] == "chargeback"
