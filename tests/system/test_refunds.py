"""Refunds through everything. Each ends with books that agree with the gateway's."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.access.actor import Role
from app.engine.people import Completion
from app.errors import FourEyes
from app.refunds.service import RefundExceedsCaptured
from tests.fixtures_sandbox import until
from tests.house import House
from tests.system.people import decide

ABOVE_THE_LIMIT = 60_000
REJECT = Completion("reject", "not_entitled")


def amounts(house: House, payment_id: str) -> tuple[int, int]:
    """Refunding and refunded."""
    payment = house.payment(payment_id)
    return payment.amount_refunding, payment.amount_refunded


def state(house: House, refund_id: str) -> tuple[str, str]:
    refund = house.get_refund(refund_id)
    return refund.status, refund.status_reason


def test_several_partial_refunds_add_up(house: House) -> None:
    payment_id = house.paid()
    refunds = [house.refund(payment_id, amount) for amount in (100, 250, 650)]
    assert amounts(house, payment_id) == (1000, 0), "reserved before anybody hears of them"
    house.run()

    assert [state(house, refund) for refund in refunds] == [("succeeded", "")] * 3
    assert amounts(house, payment_id) == (0, 1000)
    assert house.charges()[0]["refunded"] == 1000
    house.check_books()
    with pytest.raises(RefundExceedsCaptured, match="0 is left"):
        house.refund(payment_id, 1)


def test_twenty_refunds_asked_for_at_once_never_exceed_what_was_captured(house: House) -> None:
    payment_id = house.paid(amount=1000)

    def ask(_: int) -> str:
        try:
            return house.refund(payment_id, 150)
        except RefundExceedsCaptured:
            return "refused"

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    house.run()

    assert Counter(answers)["refused"] == 14
    assert amounts(house, payment_id) == (0, 900)
    assert house.charges()[0]["refunded"] == 900
    house.check_books()


def test_above_the_limit_somebody_else_than_who_asked_must_approve(house: House) -> None:
    payment_id = house.paid(amount=100_000)
    refund_id = house.refund(payment_id, ABOVE_THE_LIMIT, house.person("rosa", Role.REVIEWER))
    house.run()
    assert state(house, refund_id)[0] == "requires_approval"
    assert house.charges()[0]["refunded"] == 0

    with pytest.raises(FourEyes):
        decide(house, "rosa", refund_id, Completion("approve"))
    decide(house, "ravi", refund_id, Completion("approve"))

    assert state(house, refund_id) == ("succeeded", "")
    assert house.get_refund(refund_id).approved_by == house.person("ravi").id
    house.check_books()


def test_a_refund_that_is_not_approved_frees_what_it_reserved(house: House) -> None:
    payment_id = house.paid(amount=100_000)
    refund_id = house.refund(payment_id, ABOVE_THE_LIMIT)
    house.run()
    decide(house, "ravi", refund_id, REJECT)

    assert state(house, refund_id) == ("canceled", "rejected")
    assert amounts(house, payment_id) == (0, 0)
    assert house.charges()[0]["refunded"] == 0
    house.check_books()


def test_an_approval_nobody_gives_runs_out(house: House) -> None:
    payment_id = house.paid(amount=100_000)
    refund_id = house.refund(payment_id, ABOVE_THE_LIMIT)
    house.run()
    house.later(days=3)

    assert state(house, refund_id) == ("canceled", "approval_expired")
    assert amounts(house, payment_id) == (0, 0)
    assert house.instance(refund_id).status == "completed"
    house.check_books()


def test_a_refund_the_gateway_refuses_has_failed_and_can_be_asked_for_again(house: House) -> None:
    payment_id = house.paid("pm_card_refund_declined")
    refund_id = house.refund(payment_id, 400)
    house.run()

    assert state(house, refund_id)[0] == "failed"
    assert amounts(house, payment_id) == (0, 0)
    house.check_books()


def test_a_pending_refund_arrives_by_itself(house: House) -> None:
    payment_id = house.paid("pm_card_refund_pending")
    refund_id = house.refund(payment_id)
    house.run()
    assert amounts(house, payment_id) == (1000, 0)

    house.later(seconds=3)
    house.eventually(lambda: state(house, refund_id)[0] == "succeeded")
    assert amounts(house, payment_id) == (0, 1000)
    house.check_books()


def test_a_pending_refund_that_fails_gives_the_amount_back_to_be_refunded(house: House) -> None:
    payment_id = house.paid("pm_card_refund_fails")
    refund_id = house.refund(payment_id)
    house.run()
    house.later(seconds=3)
    house.eventually(lambda: state(house, refund_id)[0] == "failed")

    assert amounts(house, payment_id) == (0, 0)
    assert house.charges()[0]["refunded"] == 0
    house.check_books()


def test_a_refund_whose_answer_is_lost_is_found_and_made_once(house: House) -> None:
    payment_id = house.paid("pm_card_refund_timeout")
    refund_id = house.refund(payment_id, 400)
    house.run()
    assert state(house, refund_id) == ("pending", "outcome_unknown")

    house.later(seconds=3)
    house.eventually(lambda: state(house, refund_id)[0] == "succeeded")
    (charge,) = house.charges()
    assert [refund["amount"] for refund in charge["refunds"]] == [400]
    assert amounts(house, payment_id) == (0, 400)
    house.check_books()


def test_a_refund_that_comes_back_later_is_ours_again_and_an_operator_must_repay(house: House) -> None:
    payment_id = house.paid("pm_card_refund_fails_late")
    refund_id = house.refund(payment_id, 400)
    house.run()
    house.eventually(lambda: state(house, refund_id) == ("failed", "late_failure"))

    assert amounts(house, payment_id) == (0, 0)
    assert house.charges()[0]["refunded"] == 0
    house.check_books()
    task = house.eventually(lambda: house.task(refund_id))
    assert task.candidate_groups == ["operator"]

    decide(house, "omar", refund_id, Completion("repaid", note="Bank transfer 17"), Role.OPERATOR)
    assert house.instance(refund_id).status == "completed"


def came_back_unheard(house: House) -> tuple[str, str]:
    """A refund that failed late, whose news never reach us, and its payment."""
    payment_id = house.paid("pm_card_refund_fails_late")
    house.inbound.held = []
    refund_id = house.refund(payment_id, 400)
    house.run()
    until(lambda: house.charges()[0]["refunded"] == 0)
    return payment_id, refund_id


def test_a_late_failure_whose_news_are_lost_is_found_after_two_weeks(house: House) -> None:
    payment_id, refund_id = came_back_unheard(house)
    assert state(house, refund_id) == ("succeeded", "")
    house.later(days=14)

    house.eventually(lambda: state(house, refund_id) == ("failed", "late_failure"))
    assert house.eventually(lambda: house.task(refund_id)).candidate_groups == ["operator"]
    assert amounts(house, payment_id) == (0, 0)
    assert house.incidents() == []
    house.check_books()


def test_a_gateway_that_is_away_after_two_weeks_is_asked_again_after_two_more(house: House) -> None:
    payment_id, refund_id = came_back_unheard(house)
    house.a.fault("unavailable")
    house.later(days=14)
    assert (state(house, refund_id), house.instance(refund_id).status) == (("succeeded", ""), "waiting")
    house.later(days=14)
    house.eventually(lambda: state(house, refund_id) == ("failed", "late_failure"))
    assert amounts(house, payment_id) == (0, 0)
    house.check_books()


def test_a_refund_that_lasts_is_done_after_two_weeks(house: House) -> None:
    refund_id = house.refund(house.paid())
    house.run()
    house.later(days=14)

    assert house.instance(refund_id).status == "completed"
    assert state(house, refund_id) == ("succeeded", "")
