from concurrent.futures import ThreadPoolExecutor

import pytest

from app.access.actor import Actor, Role
from app.access.api_keys import create_key, people_behind
from app.errors import Forbidden, FourEyes
from app.operations import Effect, OperationError
from app.payments.service import OutcomeOpen
from app.payments.states import IllegalTransition
from app.refunds.service import RefundExceedsCaptured
from tests.fixtures_sandbox import until
from tests.till import MERCHANT, Till


def amounts(till: Till, payment: str) -> tuple[int, int, int]:
    found = till.payment(payment)
    return found.amount_captured, found.amount_refunding, found.amount_refunded


def state(till: Till, refund: str) -> tuple[str, str]:
    found = till.get_refund(refund)
    return found.status, found.status_reason


def test_a_refund_is_reserved_at_once_and_booked_when_it_arrived(till: Till) -> None:
    payment = till.captured()
    refund = till.refund(payment, 400)
    assert amounts(till, payment) == (1000, 400, 0)
    assert till.differences() == []
    till.run("refund.send", refund)
    assert amounts(till, payment) == (1000, 0, 400)
    assert state(till, refund) == ("succeeded", "")
    assert till.events(refund) == ["refund.created", "refund.succeeded"]
    assert till.differences() == []


def test_without_an_amount_everything_that_is_left_is_refunded(till: Till) -> None:
    payment = till.captured()
    till.run("refund.send", till.refund(payment, 300))
    assert till.get_refund(till.refund(payment)).amount == 700
    with pytest.raises(RefundExceedsCaptured, match="0 is left"):
        till.refund(payment)


def test_twenty_refunds_at_once_stop_at_what_was_captured(till: Till) -> None:
    payment = till.captured()

    def ask(_: int) -> str:
        try:
            return till.refund(payment, 100)
        except RefundExceedsCaptured:
            return ""

    with ThreadPoolExecutor(20) as pool:
        accepted = [refund for refund in pool.map(ask, range(20)) if refund]
        assert len(accepted) == 10
        list(pool.map(lambda pair: till.run("refund.send", pair[1], f"send#{pair[0]}"), enumerate(accepted)))
    assert amounts(till, payment) == (1000, 0, 1000)
    assert till.differences() == []


def test_a_payment_without_a_capture_has_nothing_to_refund(till: Till) -> None:
    payment = till.create()
    till.run("payment.authorize", payment, gateway="sandbox_a")
    with pytest.raises(RefundExceedsCaptured):
        till.refund(payment, 1)


def test_who_made_the_key_that_asked_does_not_approve(till: Till) -> None:
    till.configure(refund_approval_limit={"EUR": 500})
    with till.database.begin() as tx:
        key = create_key(tx, till.person("ada", Role.ADMIN), "shop", [Role.INTEGRATOR, Role.ADMIN]).key
        later = create_key(tx, Actor(key.id, key.name, MERCHANT, frozenset(key.roles)), "till", [Role.INTEGRATOR]).key
        assert people_behind(tx, [later.id, "system", "usr_eve"]) == ["usr_ada", "usr_eve"]
    shop = Actor(later.id, later.name, MERCHANT, frozenset(later.roles))
    refund = till.refund(till.captured(), 501, actor=shop)
    assert till.run("refund.check", refund).asked_by == ["usr_ada"]
    till.decide(refund, "ada", "approve")
    with pytest.raises(FourEyes, match="made the key"):
        till.run("refund.approve", refund, by="usr_ada")
    till.decide(refund, "bob", "approve")
    assert till.run("refund.approve", refund, by="usr_bob").status == "pending"


def test_a_refund_above_the_limit_waits_for_somebody_else(till: Till) -> None:
    till.configure(refund_approval_limit={"EUR": 500})
    payment = till.captured()
    ada = till.person("ada", Role.REVIEWER)
    refund = till.refund(payment, 501, actor=ada)
    checked = till.run("refund.check", refund)
    assert (checked.needs_approval, checked.requested_by) == (True, "usr_ada")
    with pytest.raises(IllegalTransition, match="only a pending one"):
        till.run("refund.send", refund)
    with pytest.raises(FourEyes):
        till.run("refund.approve", refund, by="usr_ada")
    till.decide(refund, "bob", "approve")
    assert till.run("refund.approve", refund, by="usr_bob").status == "pending"
    assert till.run("refund.approve", refund, by="usr_bob").status == "pending"
    till.run("refund.send", refund)
    assert (till.get_refund(refund).status, till.get_refund(refund).approved_by) == ("succeeded", "usr_bob")


@pytest.mark.parametrize("decided", [None, "reject"])
def test_a_diagram_cannot_name_somebody_who_did_not_approve(till: Till, decided: str | None) -> None:
    till.configure(refund_approval_limit={"EUR": 500})
    payment = till.captured()
    refund = till.refund(payment, 501, actor=till.person("ada", Role.REVIEWER))
    till.decide(payment, "bob", "approve")
    if decided:
        till.decide(refund, "bob", decided)
    with pytest.raises(FourEyes, match="has not decided"):
        till.run("refund.approve", refund, by="usr_bob")
    assert till.get_refund(refund).status == "requires_approval"


def test_a_refund_within_the_limit_needs_nobody(till: Till) -> None:
    till.configure(refund_approval_limit={"EUR": 500})
    refund = till.refund(till.captured(), 500)
    assert till.run("refund.check", refund).needs_approval is False


def test_parts_of_a_payment_count_together_until_somebody_approves(till: Till) -> None:
    till.configure(refund_approval_limit={"EUR": 500})
    payment = till.captured()
    for amount, needed in ((300, False), (201, True), (200, False), (1, True)):
        assert till.run("refund.check", till.refund(payment, amount)).needs_approval is needed
    till.refund(till.captured(), 500)


def test_a_rejected_refund_frees_what_it_had_reserved(till: Till) -> None:
    till.configure(refund_approval_limit={"EUR": 500})
    payment = till.captured()
    refund = till.refund(payment)
    till.run("refund.transition", refund, to="canceled", reason="rejected")
    assert amounts(till, payment) == (1000, 0, 0)
    assert state(till, refund) == ("canceled", "rejected")
    assert till.differences() == []
    till.refund(payment, 500)


def test_a_declined_refund_keeps_its_reservation_until_the_flow_ends_it(till: Till) -> None:
    payment = till.captured("pm_card_refund_declined")
    refund = till.refund(payment)
    error = till.fails("refund.send", refund)
    assert (error.code, error.facts["decline_code"]) == ("REFUND_DECLINED", "refund_refused")
    assert amounts(till, payment) == (1000, 1000, 0)
    till.run("refund.transition", refund, to="failed", reason="refund_refused")
    assert amounts(till, payment) == (1000, 0, 0)
    assert till.differences() == []


def test_an_unknown_refund_is_looked_up_and_never_sent_twice(till: Till) -> None:
    payment = till.captured("pm_card_refund_timeout")
    refund = till.refund(payment, 600)
    error = till.fails("refund.send", refund)
    assert error.code == "OUTCOME_UNKNOWN"
    assert state(till, refund) == ("pending", "outcome_unknown")
    assert till.fails("refund.send", refund).code == "OUTCOME_UNKNOWN"
    with pytest.raises(OutcomeOpen):
        till.run("refund.transition", refund, to="failed")
    assert till.run("payment.lookup", refund, attempt=error.facts["attempt"]).resolution == "approved"
    assert state(till, refund) == ("succeeded", "")
    assert till.differences() == []


def test_a_crash_after_the_refund_was_sent_refunds_once(till: Till) -> None:
    payment = till.captured()
    refund = till.refund(payment, 600)
    effect = till.begin("refund.send", refund, "send#1")
    effect.call()  # type: ignore[union-attr]
    till.run("refund.send", refund, "send#1")
    assert amounts(till, payment) == (1000, 0, 600)
    assert till.differences() == []


def test_a_pending_refund_succeeds_by_webhook(till: Till) -> None:
    refund = till.refund(till.captured("pm_card_refund_pending"))
    assert till.fails("refund.send", refund).code == "OUTCOME_PENDING"
    until(till.webhooks)
    assert state(till, refund) == ("succeeded", "")
    assert till.differences() == []


def test_a_pending_refund_that_fails_is_told_and_ended_by_the_flow(till: Till) -> None:
    payment = till.captured("pm_card_refund_fails")
    refund = till.refund(payment)
    attempt = till.fails("refund.send", refund).facts["attempt"]
    until(till.webhooks)
    assert till.run("payment.lookup", refund, attempt=attempt).resolution == "declined"
    till.run("refund.transition", refund, to="failed", reason="refund_refused")
    assert amounts(till, payment) == (1000, 0, 0)
    assert till.differences() == []


def test_a_refund_that_comes_back_late_fails_and_restores_the_amounts(till: Till) -> None:
    payment = till.captured("pm_card_refund_fails_late")
    refund = till.refund(payment, 400)
    till.run("refund.send", refund)
    assert amounts(till, payment) == (1000, 0, 400)
    until(till.webhooks)
    assert state(till, refund) == ("failed", "late_failure")
    assert amounts(till, payment) == (1000, 0, 0)
    assert till.events(refund) == ["refund.created", "refund.succeeded", "refund.failed"]
    assert till.incidents() == []
    assert till.differences() == []
    till.sandbox.replay(till.sandbox.events("refund.updated")[-1]["id"])
    assert amounts(till, payment) == (1000, 0, 0)


def test_an_answer_that_comes_in_after_the_refund_has_failed_again_is_old_and_no_contradiction(till: Till) -> None:
    payment = till.captured("pm_card_refund_fails_late")
    refund = till.refund(payment, 400)
    sending = till.begin("refund.send", refund, "send#1")
    assert isinstance(sending, Effect)
    answer = sending.call()
    until(till.webhooks)
    with pytest.raises(OperationError, match="REFUND_DECLINED"):
        till.finish(sending, answer, refund, "send#1")
    assert till.attempt(payment, "refund").outcome == "declined"
    assert till.incidents() == []
    assert till.differences() == []


def test_only_who_may_act_on_money_asks_for_a_refund(till: Till) -> None:
    payment = till.captured()
    with pytest.raises(Forbidden):
        till.refund(payment, actor=till.person("eve", Role.ANALYST))
