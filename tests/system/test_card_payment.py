"""Card payments through everything: the flow, the gateways' books, ours. Each ends with books that agree."""

import pytest

from app.access.actor import Role
from app.engine import people
from app.engine.people import Completion, FourEyes, TaskClosed
from app.payments import service
from tests.house import House
from tests.system.people import APPROVE, decide


def test_a_plain_card_is_paid_at_once(house: House) -> None:
    payment_id = house.pay("pm_card_visa", 1250)
    house.run()

    payment = house.payment(payment_id)
    assert (payment.status, payment.amount_captured) == ("succeeded", 1250)
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "approved"), ("capture", "sandbox_a", "approved")]
    (charge,) = house.charges()
    assert (charge["authorized"], charge["captured"], charge["reference"]) == (1250, 1250, payment_id)
    assert house.instance(payment_id).status == "completed"
    house.check_books()


@pytest.mark.parametrize(
    ("method", "reason"), [("pm_card_insufficient_funds", "insufficient_funds"), ("pm_card_stolen", "stolen_card")]
)
def test_a_decline_ends_the_payment_with_its_reason(house: House, method: str, reason: str) -> None:
    payment_id = house.pay(method)
    house.run()

    payment = house.payment(payment_id)
    assert (payment.status, payment.status_reason) == ("failed", reason)
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "declined")]
    house.check_books()


def test_a_blocked_method_never_reaches_a_gateway(house: House) -> None:
    payment_id = house.pay("pm_card_blocked")
    house.run()

    assert (house.payment(payment_id).status, house.payment(payment_id).status_reason) == ("failed", "risk_blocked")
    assert house.attempts(payment_id) == []


def test_an_unavailable_gateway_is_tried_three_times_and_then_the_next_one_charges_once(house: House) -> None:
    payment_id = house.pay("pm_card_unavailable")
    house.run()
    house.later(seconds=2)
    house.later(seconds=2)

    assert house.payment(payment_id).status == "succeeded"
    assert [(gateway, outcome) for _, gateway, outcome in house.outcomes(payment_id)] == [
        ("sandbox_a", "not_sent"),
        ("sandbox_a", "not_sent"),
        ("sandbox_a", "not_sent"),
        ("sandbox_b", "approved"),
        ("sandbox_b", "approved"),
    ]
    assert [charge["captured"] for charge in house.charges()] == [1000]
    house.check_books()


def test_a_timeout_that_took_effect_is_unknown_then_found_and_charged_once(house: House) -> None:
    payment_id = house.pay("pm_card_timeout_applied")
    house.run()
    unknown = house.payment(payment_id)
    assert (unknown.status, unknown.status_reason) == ("processing", "outcome_unknown")
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "unknown")]

    house.later(seconds=2)
    payment = house.until(payment_id, "succeeded")

    assert payment.amount_captured == 1000
    assert [charge["captured"] for charge in house.charges()] == [1000]
    (first, _) = house.attempts(payment_id)
    assert first.evidence is not None
    house.check_books()


def test_a_timeout_without_effect_is_told_honestly_and_only_after_the_gateway_would_know(house: House) -> None:
    payment_id = house.pay("pm_card_timeout_lost")
    house.run()
    house.later(seconds=2)
    assert house.payment(payment_id).status_reason == "outcome_unknown", "too early to believe an absence"
    house.later(seconds=3)

    payment = house.until(payment_id, "failed")
    assert payment.status_reason == "not_charged"
    assert house.charges() == []
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "not_sent")]
    house.check_books()


def test_a_pending_authorization_settles_by_itself(house: House) -> None:
    payment_id = house.pay("pm_card_pending")
    house.run()
    assert house.payment(payment_id).status == "processing"

    house.later(seconds=3)
    assert house.until(payment_id, "succeeded").amount_captured == 1000
    house.check_books()


def test_a_payment_that_is_canceled_while_its_authorization_is_pending_is_given_back(house: House) -> None:
    payment_id = house.pay("pm_card_pending")
    house.run()
    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "duplicate")
    house.run()
    assert house.payment(payment_id).status == "processing", "what is pending is not known to hold anything yet"

    house.later(seconds=3)
    canceled = house.until(payment_id, "canceled", "succeeded")
    assert (canceled.status, canceled.status_reason, canceled.amount_captured) == ("canceled", "duplicate", 0)
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "approved"), ("void", "sandbox_a", "approved")]
    assert house.incidents() == []
    house.check_books()


def test_a_payment_that_is_canceled_before_its_flow_began_is_not_sent_to_any_gateway(house: House) -> None:
    payment_id = house.pay()
    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "fraudulent")
    house.run()
    payment = house.payment(payment_id)
    assert (payment.status, payment.status_reason) == ("canceled", "fraudulent")
    assert house.attempts(payment_id) == []


def test_a_flagged_payment_waits_for_a_person_and_is_captured_when_approved(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk")
    house.run()
    held = house.payment(payment_id)
    assert (held.status, held.amount_capturable, held.amount_captured) == ("requires_review", 1000, 0)
    assert house.task(payment_id).form_id

    decide(house, "rosa", payment_id, APPROVE)

    assert house.payment(payment_id).status == "succeeded"
    house.check_books()


def test_a_rejected_payment_gives_the_hold_back(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk")
    house.run()
    decide(house, "rosa", payment_id, Completion("reject", "fraud_suspected"))

    payment = house.payment(payment_id)
    assert (payment.status, payment.status_reason, payment.amount_capturable) == ("canceled", "review_rejected", 0)
    assert house.charges()[0]["voided"] == 1000
    house.check_books()


def test_above_the_limit_two_different_people_must_approve(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk", 200_000)
    house.run()
    decide(house, "rosa", payment_id, APPROVE)
    assert house.payment(payment_id).status == "requires_review", "one person is not enough"

    with pytest.raises(FourEyes):
        decide(house, "rosa", payment_id, APPROVE)
    decide(house, "ravi", payment_id, APPROVE)

    assert house.payment(payment_id).amount_captured == 200_000
    house.check_books()


def test_the_second_of_two_reviewers_at_once_is_told_who_decided(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk")
    house.run()
    task = house.task(payment_id)
    with house.database.begin() as tx:
        people.complete(tx, house.person("rosa", Role.REVIEWER), task.id, APPROVE)
    with house.database.begin() as tx, pytest.raises(TaskClosed) as refused:
        people.complete(tx, house.person("ravi", Role.REVIEWER), task.id, Completion("reject", "policy"))

    assert refused.value.extra["name"] == "Rosa"
    assert refused.value.extra["at"]
    house.run()
    assert house.payment(payment_id).status == "succeeded"


def test_a_review_that_takes_too_long_is_shown_to_operators(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk")
    house.run()
    house.later(hours=4)

    task = house.task(payment_id)
    assert "operator" in task.candidate_groups
    assert task.priority == 90


def test_a_review_nobody_decides_ends_before_the_authorization_does(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk")
    house.run()
    house.later(days=6, hours=23)

    payment = house.until(payment_id, "expired")
    assert payment.amount_capturable == 0
    assert house.charges()[0]["captured"] == 0
    house.check_books()


@pytest.mark.parametrize(
    ("method", "waits"),
    [
        ("pm_card_visa", "requires_capture"),
        ("pm_card_3ds", "requires_action"),
        ("pm_card_high_risk", "requires_review"),
    ],
)
def test_a_cancel_gives_the_hold_back_wherever_the_flow_waits_and_shows_its_reason(
    house: House, method: str, waits: str
) -> None:
    payment_id = house.pay(method, capture_method="manual")
    house.run()
    assert house.payment(payment_id).status == waits
    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "fraudulent")
    house.run()

    payment = house.payment(payment_id)
    assert (payment.status, payment.status_reason) == ("canceled", "fraudulent")
    (charge,) = house.charges()
    assert (charge["captured"], charge["voided"]) == (0, charge["authorized"])
    house.check_books()


def test_captures_on_request_add_up_and_the_rest_is_given_back_on_cancel(house: House) -> None:
    payment_id = house.pay("pm_card_visa", capture_method="manual")
    house.run()
    assert house.payment(payment_id).status == "requires_capture"
    for amount in (300, 200):
        with house.database.begin() as tx:
            service.request_capture(tx, house.shop, payment_id, amount, final=False)
        house.run()
    partly = house.payment(payment_id)
    assert (partly.status, partly.amount_captured, partly.amount_capturable) == ("partially_captured", 500, 500)

    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "requested_by_customer")
    house.run()

    payment = house.payment(payment_id)
    assert (payment.status, payment.amount_captured, payment.amount_capturable) == ("succeeded", 500, 0)
    assert [charge["captured"] for charge in house.charges()] == [500]
    house.check_books()


def test_two_captures_asked_for_at_once_are_both_made(house: House) -> None:
    payment_id = house.pay("pm_card_visa", capture_method="manual")
    house.run()
    with house.database.begin() as tx:
        service.request_capture(tx, house.shop, payment_id, 400, final=False)
        service.request_capture(tx, house.shop, payment_id, 600)
    house.run()

    assert (house.payment(payment_id).status, house.payment(payment_id).amount_captured) == ("succeeded", 1000)
    house.check_books()


def test_an_authorization_that_is_never_captured_expires(house: House) -> None:
    payment_id = house.pay("pm_card_visa", capture_method="manual")
    house.run()
    house.later(days=7, minutes=1)

    payment = house.until(payment_id, "expired")
    assert (payment.amount_capturable, payment.amount_captured) == (0, 0)
    house.check_books()


def test_a_capture_that_is_refused_releases_the_hold(house: House) -> None:
    payment_id = house.pay("pm_card_capture_fails")
    house.run()

    payment = house.payment(payment_id)
    assert (payment.status, payment.status_reason) == ("failed", "capture_declined")
    assert house.charges()[0]["captured"] == 0
    house.check_books()


def test_an_outage_of_an_hour_at_the_capture_costs_nobody_a_payment(house: House) -> None:
    house.a.fault("unavailable", "capture", count=6)
    payment_id = house.pay()
    house.run()
    for seconds in (2, 10, 60, 300, 900, 3600):
        assert house.payment(payment_id).amount_capturable == 1000
        house.later(seconds=seconds)
    assert house.until(payment_id, "succeeded").amount_captured == 1000
    assert house.incidents() == []
    house.check_books()


def test_a_hold_that_cannot_be_given_back_ends_by_itself_and_the_payment_with_it(house: House) -> None:
    payment_id = house.pay(capture_method="manual")
    house.run()
    house.a.fault("unavailable", "void", count=100)
    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "duplicate")
    house.run()
    assert house.payment(payment_id).amount_capturable == 1000
    house.later(days=8)
    payment = house.until(payment_id, "expired")
    assert (payment.status_reason, payment.amount_capturable) == ("authorization_expired", 0)
    assert house.incidents() == []


def test_a_capture_whose_answer_is_lost_is_found_and_not_made_twice(house: House) -> None:
    payment_id = house.pay("pm_card_capture_timeout")
    house.run()
    assert house.payment(payment_id).status_reason == "outcome_unknown"
    house.later(seconds=2)

    assert house.until(payment_id, "succeeded").amount_captured == 1000
    assert [charge["captured"] for charge in house.charges()] == [1000]
    house.check_books()
