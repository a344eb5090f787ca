"""Captures, voids, ends and people's findings: what each does to the amounts, and what is refused."""

import pytest
from sqlalchemy import select, update

from app.events.models import Event
from app.gateways.port import GatewayResult, Outcome
from app.kit.money import Money
from app.payments import service
from app.payments.models import Payment
from app.payments.recovery import NotUnknown, TwoPeopleNeeded
from app.payments.reviewing import NotReviewed
from app.payments.service import CaptureExceedsAuthorized, MoneyHeld, OutcomeOpen
from app.payments.states import IllegalTransition
from tests.fixtures_sandbox import until
from tests.till import Till, pass_time


def authorized(till: Till, method: str = "pm_card_visa", amount: int = 1000) -> str:
    payment = till.create(method, amount, capture_method="manual")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    return payment


def request_capture(till: Till, payment: str, amount: int | None = None, *, final: bool = True) -> str:
    with till.database.begin() as tx:
        return service.request_capture(tx, till.actor, payment, amount, final=final).id


def amounts(till: Till, payment: str) -> tuple[int, int, int]:
    found = till.payment(payment)
    return found.amount_capturable, found.amount_capturing, found.amount_captured


def test_captures_in_parts_end_with_a_final_one_that_releases_the_rest(till: Till) -> None:
    payment = authorized(till)
    till.run("payment.capture", payment, amount=300, final=False)
    assert till.status(payment) == ("partially_captured", "")
    result = till.run("payment.capture", payment, amount=500)
    assert (result.amount_captured, result.amount_capturable) == (800, 0)
    assert till.status(payment) == ("succeeded", "")
    assert till.differences() == []


def test_more_than_is_authorized_cannot_be_captured(till: Till) -> None:
    payment = authorized(till)
    error = till.fails("payment.capture", payment, amount=1001)
    assert (error.code, error.facts["amount_capturable"]) == ("CAPTURE_EXCEEDS_AUTHORIZED", 1000)
    assert amounts(till, payment) == (1000, 0, 0)
    assert till.fails("payment.capture", till.create()).code == "CAPTURE_EXCEEDS_AUTHORIZED"


def test_a_declined_capture_gives_its_reservation_back(till: Till) -> None:
    payment = authorized(till, "pm_card_capture_fails")
    assert till.fails("payment.capture", payment).code == "CAPTURE_DECLINED"
    assert amounts(till, payment) == (1000, 0, 0)
    assert till.status(payment) == ("requires_capture", "")
    assert till.events(payment)[-2:] == ["payment.requires_capture", "payment.updated"]
    with till.database.begin() as tx:
        told = tx.session.scalars(select(Event).where(Event.object_id == payment).order_by(Event.sequence)).all()[-1]
    assert told.data["amount_capturable"] == 1000
    assert till.differences() == []


def test_a_capture_that_was_not_sent_gives_its_reservation_back_and_tells_it(till: Till) -> None:
    payment = authorized(till)
    till.sandbox.fault("unavailable", "capture")
    assert till.fails("payment.capture", payment).code == "GATEWAY_UNAVAILABLE"
    assert amounts(till, payment) == (1000, 0, 0)
    assert till.events(payment)[-2:] == ["payment.requires_capture", "payment.updated"]


def test_an_unknown_capture_keeps_its_reservation_and_blocks_another(till: Till) -> None:
    payment = authorized(till, "pm_card_capture_timeout")
    error = till.fails("payment.capture", payment, amount=400, final=False)
    assert error.code == "OUTCOME_UNKNOWN"
    assert amounts(till, payment) == (600, 400, 0)
    assert till.status(payment) == ("processing", "outcome_unknown")
    assert till.fails("payment.capture", payment).code == "OUTCOME_UNKNOWN"
    assert till.fails("payment.void", payment).code == "OUTCOME_UNKNOWN"
    assert till.run("payment.lookup", payment, attempt=error.facts["attempt"]).resolution == "approved"
    assert amounts(till, payment) == (600, 0, 400)
    assert till.status(payment) == ("partially_captured", "")
    assert till.differences() == []


def test_a_pending_capture_is_settled_by_its_webhook(till: Till) -> None:
    payment = authorized(till, "pm_card_capture_pending")
    assert till.fails("payment.capture", payment).code == "OUTCOME_PENDING"
    until(till.webhooks)
    assert till.status(payment) == ("succeeded", "")
    assert till.differences() == []


def test_a_crash_after_a_capture_was_sent_captures_once(till: Till) -> None:
    payment = authorized(till)
    effect = till.begin("payment.capture", payment, "capture#1")
    effect.call()  # type: ignore[union-attr]
    till.run("payment.capture", payment, "capture#1")
    assert amounts(till, payment) == (0, 0, 1000)
    assert till.differences() == []


def test_a_requested_capture_is_reserved_told_and_carried_out_under_its_own_id(till: Till) -> None:
    payment = authorized(till)
    attempt = request_capture(till, payment, 700, final=False)
    assert amounts(till, payment) == (300, 700, 0)
    (message,) = till.messages("capture.requested")
    assert (message.correlation, message.variables["attempt"]) == (payment, attempt)
    result = till.run("payment.capture", payment, "capture#1", attempt=attempt)
    assert (result.attempt, result.amount) == (attempt, 700)
    assert till.run("payment.capture", payment, "capture#2", attempt=attempt).attempt == attempt
    assert till.sandbox.times_received("capture", attempt) == 1
    assert till.differences() == []


def test_a_requested_capture_that_was_not_sent_can_be_tried_again(till: Till) -> None:
    payment = authorized(till)
    attempt = request_capture(till, payment)
    till.sandbox.fault("unavailable", "capture")
    assert till.fails("payment.capture", payment, "capture#1", attempt=attempt).code == "GATEWAY_UNAVAILABLE"
    result = till.run("payment.capture", payment, "capture#2", attempt=attempt)
    assert result.attempt != attempt
    assert amounts(till, payment) == (0, 0, 1000)
    assert till.differences() == []


def test_requests_cannot_exceed_the_authorization_together(till: Till) -> None:
    payment = authorized(till)
    request_capture(till, payment, 700, final=False)
    with pytest.raises(CaptureExceedsAuthorized):
        request_capture(till, payment, 301, final=False)
    request_capture(till, payment, 300)
    with pytest.raises(CaptureExceedsAuthorized, match="final"):
        request_capture(till, payment)


def test_a_void_gives_everything_back_and_drops_captures_nobody_began(till: Till) -> None:
    payment = authorized(till)
    request_capture(till, payment, 700, final=False)
    till.run("payment.void", payment)
    assert amounts(till, payment) == (0, 0, 0)
    till.run("payment.transition", payment, to="canceled", reason="requested_by_customer")
    assert till.status(payment) == ("canceled", "requested_by_customer")
    assert [attempt.outcome for attempt in till.attempts(payment)] == ["approved", "not_sent", "approved"]
    assert till.differences() == []


def test_what_a_dropped_capture_had_reserved_is_told_as_capturable_though_the_void_is_not_known(till: Till) -> None:
    payment = authorized(till, "pm_card_void_timeout")
    request_capture(till, payment, 700, final=False)
    before = till.events(payment)
    assert till.fails("payment.void", payment).code == "OUTCOME_UNKNOWN"
    assert amounts(till, payment) == (1000, 0, 0)
    assert till.events(payment)[len(before) :] == ["payment.updated"]


def test_voiding_the_rest_of_a_capture_succeeds_the_payment(till: Till) -> None:
    payment = authorized(till)
    till.run("payment.capture", payment, amount=400, final=False)
    till.run("payment.void", payment)
    assert till.status(payment) == ("succeeded", "remainder_released")
    assert till.differences() == []


def test_voiding_nothing_is_a_success_that_asks_nobody(till: Till) -> None:
    payment = till.create("pm_card_stolen")
    till.fails("payment.authorize", payment, gateway="sandbox_a")
    assert till.run("payment.void", payment).attempt == ""
    till.run("payment.transition", payment, to="failed", reason="stolen_card")
    assert till.status(payment) == ("failed", "stolen_card")


def test_a_void_ends_an_authorization_that_waits_for_the_customer(till: Till) -> None:
    payment = till.create("pm_card_3ds")
    till.fails("payment.authorize", payment, gateway="sandbox_a")
    with pytest.raises(OutcomeOpen):
        till.run("payment.transition", payment, to="expired")
    till.run("payment.void", payment)
    till.run("payment.transition", payment, to="expired", reason="customer_did_not_return")
    assert till.status(payment) == ("expired", "customer_did_not_return")
    assert till.attempt(payment, "authorize").state == "begun", "what it was before the void, only the gateway knows"
    till.run("payment.lookup", payment, attempt=till.attempt(payment, "authorize").id)
    assert till.attempt(payment, "authorize").outcome == "declined"
    assert till.status(payment) == ("expired", "customer_did_not_return")
    assert till.differences() == []


def test_what_a_voided_authorization_was_takes_nothing_from_the_next_one(till: Till) -> None:
    payment = till.create("pm_card_3ds")
    till.fails("payment.authorize", payment, gateway="sandbox_a")
    first = till.attempt(payment, "authorize").id
    till.run("payment.void", payment)
    till.fails("payment.authorize", payment, gateway=till.gateways.names[-1])
    before = (till.status(payment), till.payment(payment).next_action)
    assert before[0][0] == "requires_action"
    till.run("payment.lookup", payment, attempt=first)
    assert (till.status(payment), till.payment(payment).next_action) == before


def test_an_unknown_void_is_looked_up(till: Till) -> None:
    payment = authorized(till, "pm_card_void_timeout")
    error = till.fails("payment.void", payment)
    assert error.code == "OUTCOME_UNKNOWN"
    with pytest.raises(OutcomeOpen):
        till.run("payment.transition", payment, to="canceled")
    till.run("payment.lookup", payment, attempt=error.facts["attempt"])
    till.run("payment.transition", payment, to="canceled")
    assert till.differences() == []


@pytest.mark.parametrize("to", ["failed", "canceled", "expired"])
def test_a_payment_does_not_end_while_its_outcome_is_unknown(till: Till, to: str) -> None:
    payment = till.create("pm_card_timeout_applied")
    till.fails("payment.authorize", payment, gateway="sandbox_a")
    with pytest.raises(OutcomeOpen, match="look it up"):
        till.run("payment.transition", payment, to=to)
    assert till.status(payment) == ("processing", "outcome_unknown")


def test_a_payment_does_not_end_while_money_is_held(till: Till) -> None:
    payment = authorized(till)
    for to in ("failed", "canceled", "expired", "succeeded"):
        with pytest.raises(MoneyHeld):
            till.run("payment.transition", payment, to=to)


def test_a_hold_that_ran_out_is_released_when_the_payment_expires(till: Till) -> None:
    payment = authorized(till)
    pass_time(till, days=8)
    till.run("payment.transition", payment, to="expired", reason="authorization_expired")
    assert amounts(till, payment) == (0, 0, 0)
    assert till.ledger_problems() == []


def test_a_terminal_payment_stays_what_it_is(till: Till) -> None:
    payment = till.captured()
    with pytest.raises(IllegalTransition, match="that is final"):
        till.run("payment.transition", payment, to="canceled")
    assert till.run("payment.transition", payment, to="succeeded").status == "succeeded"


def test_a_review_opens_and_closes_before_and_after_authorization(till: Till) -> None:
    payment = till.create()
    till.run("payment.transition", payment, to="requires_review", reason="risk")
    till.decide(payment, "ada", "approve")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    till.run("payment.transition", payment, to="requires_review")
    till.decide(payment, "ada", "approve")
    till.run("payment.transition", payment, to="requires_capture")
    till.run("payment.capture", payment)
    assert till.status(payment) == ("succeeded", "")


def _under_review(till: Till, amount: int) -> str:
    payment = authorized(till, amount=amount)
    till.run("payment.transition", payment, to="requires_review")
    return payment


def test_no_diagram_captures_what_nobody_has_approved(till: Till) -> None:
    payment = _under_review(till, 1000)
    till.decide(payment, "ada", "reject")
    with pytest.raises(NotReviewed, match="0 of 1"):
        till.run("payment.capture", payment)
    with pytest.raises(NotReviewed, match="0 of 1"):
        till.run("payment.transition", payment, to="requires_capture")
    till.run("payment.void", payment)
    till.run("payment.transition", payment, to="canceled")
    assert till.differences() == []


def test_above_the_limit_one_person_is_not_two_whatever_the_diagram_says(till: Till) -> None:
    till.configure(review_limit={"EUR": 500})
    payment = _under_review(till, 501)
    till.decide(payment, "ada", "approve")
    till.decide(payment, "ada", "approve")
    with pytest.raises(NotReviewed, match="1 of 2"):
        till.run("payment.capture", payment)
    till.decide(payment, "bob", "approve")
    till.run("payment.capture", payment)
    assert till.status(payment) == ("succeeded", "")


def test_an_earlier_review_approves_nothing_in_the_next(till: Till) -> None:
    payment = _under_review(till, 1000)
    till.decide(payment, "ada", "approve")
    till.run("payment.transition", payment, to="requires_capture")
    till.run("payment.transition", payment, to="requires_review")
    with pytest.raises(NotReviewed):
        till.run("payment.capture", payment)


def test_two_people_resolve_an_unknown_and_their_evidence_is_kept(till: Till) -> None:
    payment = till.create("pm_card_timeout_lost")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    finding = {"attempt": attempt, "charged": False, "note": "Not in the books of 3 May"}
    till.decide(payment, "ada", "not_charged", attempt=attempt)
    till.decide(payment, "eve", "not_charged", attempt="att_other")
    till.decide(payment, "bob", "charged", attempt=attempt)
    for no_evidence in ("usr_bob", "usr_eve"):
        with pytest.raises(TwoPeopleNeeded):
            till.run("payment.resolve", payment, by=["usr_ada", no_evidence], **finding)
    till.decide(payment, "bob", "not_charged", attempt=attempt)
    for too_few in (["usr_ada"], ["usr_ada", "usr_ada"], ["usr_ada", "usr_nobody"], []):
        with pytest.raises(TwoPeopleNeeded):
            till.run("payment.resolve", payment, by=too_few, **finding)
    assert till.run("payment.resolve", payment, by=["usr_ada", "usr_bob"], **finding).resolution == "absent"
    kept = till.attempt(payment, "authorize").evidence
    assert kept is not None
    assert (kept["source"], kept["by"], kept["note"]) == ("people", ["usr_ada", "usr_bob"], finding["note"])
    assert till.run("payment.authorize", till.create(), gateway="sandbox_b").gateway == "sandbox_b"


def test_people_who_read_the_charge_in_the_books_make_it_capturable(till: Till) -> None:
    payment = till.create("pm_card_timeout_applied")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    charge = till.sandbox.charge(attempt)["id"]
    finding = {"attempt": attempt, "charged": True, "by": ["usr_ada", "usr_bob"], "note": "Seen"}
    for name in ("ada", "bob"):
        till.decide(payment, name, "charged", {"gateway_reference": f" {charge} "}, attempt=attempt)
    till.run("payment.resolve", payment, gateway_reference=f"{charge} ", **finding)
    till.run("payment.capture", payment)
    assert till.differences() == []
    with pytest.raises(NotUnknown):
        till.run("payment.resolve", payment, **{**finding, "charged": False})


def test_a_charge_needs_a_reference_and_one_persons_word_is_none(till: Till) -> None:
    payment = till.create("pm_card_timeout_applied")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    finding = {"attempt": attempt, "charged": True, "by": ["usr_ada", "usr_bob"], "note": "Seen"}
    for name in ("ada", "bob"):
        till.decide(payment, name, "charged", attempt=attempt)
    assert till.fails("payment.resolve", payment, **finding).code == "REFERENCE_MISSING"
    for read in ("ch_mine", "ch_theirs"):
        till.decide(payment, "ada", "charged", {"gateway_reference": "ch_mine"}, attempt=attempt)
        with pytest.raises(TwoPeopleNeeded, match="the same reference"):
            till.run("payment.resolve", payment, gateway_reference=read, **finding)
        till.decide(payment, "bob", "charged", {"gateway_reference": "ch_theirs"}, attempt=attempt)
    assert till.attempt(payment, "authorize").outcome == "unknown"


def test_news_against_what_people_found_moves_nothing_and_is_an_incident(till: Till) -> None:
    payment = till.create("pm_card_pending")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    for name in ("ada", "bob"):
        till.decide(payment, name, "not_charged", attempt=attempt)
    till.run("payment.resolve", payment, attempt=attempt, charged=False, by=["usr_ada", "usr_bob"], note="No")
    till.run("payment.transition", payment, to="failed", reason="declined")
    until(till.webhooks)
    assert till.status(payment) == ("failed", "declined")
    assert till.payment(payment).amount_capturable == 0
    (incident,) = till.incidents()
    assert (incident.kind, incident.details["attempt"]) == ("contradiction", attempt)
    assert "payment.contradiction" in till.events(payment)
    kept = till.attempt(payment, "authorize")
    assert (kept.outcome, kept.evidence["contradictions"][0]["outcome"]) == ("not_sent", "approved")  # type: ignore[index]
    assert till.differences() != []
    till.sandbox.replay(till.sandbox.events("charge.updated")[-1]["id"])
    assert len(till.incidents()) == 1


def test_a_void_after_the_hold_ran_out_is_a_success(till: Till) -> None:
    payment = authorized(till)
    till.run("payment.capture", payment, amount=400, final=False)
    pass_time(till, days=8)
    assert till.run("payment.void", payment).attempt == till.attempt(payment, "void").id
    assert till.attempt(payment, "void").outcome == "declined"
    assert till.status(payment) == ("succeeded", "remainder_released")
    assert till.differences() == []


def test_an_approval_after_the_payment_ended_is_held_shown_and_can_be_voided(till: Till) -> None:
    payment = till.create("pm_card_timeout_applied")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    with till.database.begin() as tx:
        # What somebody with SQL at hand might do in a hurry.
        tx.execute(update(Payment).values(status="canceled", status_reason=""))
    till.run("payment.lookup", payment, attempt=attempt)
    assert till.status(payment) == ("canceled", "")
    assert till.payment(payment).amount_capturable == 1000
    (incident,) = till.incidents()
    assert (incident.kind, "void it" in incident.message) == ("contradiction", True)
    till.run("payment.void", payment)
    assert till.status(payment) == ("canceled", "")
    assert till.differences() == []


def test_a_second_approval_for_one_payment_is_shown_to_people(till: Till) -> None:
    payment = till.create()
    first = till.begin("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    till.run("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    other = GatewayResult(Outcome.APPROVED, gateway_reference="ch_other", amount=Money(1000, "EUR"))
    till.finish(first, other, payment, "authorize#1")  # type: ignore[arg-type]
    assert [incident.kind for incident in till.incidents()] == ["contradiction"]
    assert till.payment(payment).amount_capturable == 1000
    assert till.payment(payment).gateway_reference != "ch_other"
