"""Payments that wait for their customer at the bank (3-D Secure), whether or not the call for them was heard."""

import pytest

from app.access.actor import Role
from app.engine import inbox
from app.payments import service
from app.payments.webhooks import News, apply_attempt_news
from tests.fixtures_sandbox import until
from tests.house import House


def test_a_customer_who_authenticates_pays(house: House) -> None:
    payment_id = house.pay("pm_card_3ds")
    house.run()
    asked = house.payment(payment_id)
    assert asked.status == "requires_action"
    assert asked.next_action is not None
    assert asked.next_action["url"].startswith("http")

    house.a.authenticate(house.charges()[0]["id"])
    assert house.until(payment_id, "succeeded").next_action is None
    house.check_books()


def test_a_customer_who_said_yes_unheard_is_let_go_and_that_is_found_out(house: House) -> None:
    """The gateway's news are lost, so the void after a quarter of an hour gives back what was authorized meanwhile."""
    payment_id = house.pay("pm_card_3ds")
    house.run()
    house.inbound.held = []
    house.a.authenticate(house.charges()[0]["id"])
    house.later(minutes=15)
    house.until(payment_id, "expired")

    house.eventually(lambda: house.attempts(payment_id)[0].state == "finished")
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "approved"), ("void", "sandbox_a", "approved")]
    payment = house.payment(payment_id)
    assert (payment.status, payment.status_reason) == ("expired", "authentication_abandoned")
    assert (payment.amount_capturable, payment.amount_captured) == (0, 0)
    (charge,) = house.charges()
    assert (charge["authorized"], charge["voided"]) == (1000, 1000)
    assert house.incidents() == []
    house.check_books()


def test_news_from_before_a_void_leave_nothing_open_after_it(house: House) -> None:
    payment_id = house.pay("pm_card_3ds")
    house.run()
    news = News("inw_1", "sandbox_a", "evt_1", house.attempts(payment_id)[0].id, "", "")
    with house.database.begin() as tx:
        application = apply_attempt_news(tx, house.wired.gateways, news)
    assert application is not None
    before = application.call()
    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "customer_request")

    def canceled() -> bool:
        house.loop.turn()  # and no chore, which would ask
        return house.payment(payment_id).status == "canceled"

    until(canceled)
    with house.database.begin() as tx:
        application.finish(tx, before)
    house.later(minutes=3)
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "declined"), ("void", "sandbox_a", "approved")]
    house.check_books()


def test_a_customer_who_fails_to_authenticate_is_declined(house: House) -> None:
    payment_id = house.pay("pm_card_3ds")
    house.run()
    house.a.authenticate(house.charges()[0]["id"], success=False)

    payment = house.until(payment_id, "failed")
    assert payment.status_reason == "authentication_failed"
    house.check_books()


def test_a_customer_who_never_comes_back_expires_after_a_quarter_of_an_hour(house: House) -> None:
    payment_id = house.pay("pm_card_3ds")
    house.run()
    house.later(minutes=14)
    assert house.payment(payment_id).status == "requires_action"
    house.later(minutes=1)

    payment = house.until(payment_id, "expired")
    assert payment.status_reason == "authentication_abandoned"
    assert house.instance(payment_id).status == "completed"
    house.check_books()


def unheard_call_for_the_customer(house: House) -> str:
    """A payment whose gateway asked for its customer, and nobody heard the answer."""
    house.a.fault("timeout_applied", "authorize")
    payment_id = house.pay("pm_card_3ds")
    house.run()
    payment = house.payment(payment_id)
    assert (payment.status, payment.status_reason) == ("processing", "outcome_unknown")
    return payment_id


def test_a_customer_who_was_asked_for_unheard_and_never_comes_expires_a_quarter_of_an_hour_after_that_is_found(
    house: House,
) -> None:
    payment_id = unheard_call_for_the_customer(house)
    house.later(seconds=2)
    payment = house.payment(payment_id)
    assert (payment.status, payment.next_action is not None) == ("requires_action", True)
    house.later(minutes=14, seconds=59)
    assert house.payment(payment_id).status == "requires_action"
    house.later(seconds=1)

    payment = house.until(payment_id, "expired")
    assert payment.status_reason == "authentication_abandoned"
    assert house.instance(payment_id).status == "completed"
    assert [charge["captured"] for charge in house.charges()] == [0]
    assert house.tasks() == []
    house.check_books()


@pytest.mark.parametrize("known", [True, False])
def test_a_customer_who_was_asked_for_unheard_and_authenticates_pays_once(house: House, known: bool) -> None:
    payment_id = unheard_call_for_the_customer(house)
    if known:
        house.later(seconds=2)
        assert house.payment(payment_id).status == "requires_action"
    house.a.authenticate(house.charges()[0]["id"])

    house.until(payment_id, "succeeded")
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "approved"), ("capture", "sandbox_a", "approved")]
    assert [charge["captured"] for charge in house.charges()] == [1000]
    house.check_books()


@pytest.mark.parametrize("known", [True, False])
def test_a_cancel_ends_the_wait_for_a_customer_who_was_asked_for_unheard(house: House, known: bool) -> None:
    payment_id = unheard_call_for_the_customer(house)
    if known:
        house.later(seconds=2)
    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "duplicate")
    house.later(seconds=2)

    payment = house.until(payment_id, "canceled")
    assert payment.status_reason == "duplicate"
    assert [charge["captured"] for charge in house.charges()] == [0]
    house.check_books()


def test_a_flow_that_is_ended_while_the_customer_is_away_leaves_one_that_waits_and_gives_back(house: House) -> None:
    payment_id = house.pay("pm_card_3ds")
    house.run()
    with house.database.begin() as tx:
        inbox.cancel_instance(tx, house.person("olga", Role.OPERATOR), house.instance(payment_id).id, "by hand")
    house.run()
    house.later(minutes=15)
    house.eventually(lambda: house.attempts(payment_id)[0].outcome == "declined")

    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "declined"), ("void", "sandbox_a", "approved")]
    assert [incident.kind for incident in house.incidents()] == ["flow_ended"]
    assert house.tasks() == []
    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "duplicate")
    assert house.payment(payment_id).status == "canceled"
    house.check_books()
