from dataclasses import replace
from typing import Any

import pytest

from app.gateways.port import Capability, GatewayResult, Outcome
from app.kit.money import Money
from app.kit.pulse import Pulse
from app.operations import Effect, OperationError
from app.payments.attempts import Calling
from tests.fixtures_sandbox import until
from tests.till import Till, pass_time


def begun(till: Till, payment: str, activation: str = "authorize#1", **params: Any) -> Calling:
    """An authorization whose intent is committed and whose worker then died."""
    effect = till.begin("payment.authorize", payment, activation, **{"gateway": "sandbox_a", **params})
    assert isinstance(effect, Calling)
    return effect


def incapable(till: Till, *capabilities: Capability) -> None:
    till.gateways.get("sandbox_a").capabilities = frozenset(capabilities)


def test_an_approved_authorization_holds_the_amount(till: Till) -> None:
    payment = till.create()
    result = till.run("payment.authorize", payment, gateway="sandbox_a")
    held = till.payment(payment)
    assert (held.status, held.amount_capturable, held.gateway) == ("requires_capture", 1000, "sandbox_a")
    assert (result.amount, result.expires_at) == (1000, held.authorization_expires_at)
    assert till.differences() == []


def test_a_full_capture_succeeds_and_balances(till: Till) -> None:
    payment = till.captured()
    done = till.payment(payment)
    assert (done.status, done.amount_captured, done.amount_capturable, done.amount_capturing) == (
        "succeeded",
        1000,
        0,
        0,
    )
    assert till.events(payment) == ["payment.created", "payment.requires_capture", "payment.succeeded"]
    assert till.differences() == []


@pytest.mark.parametrize(
    ("method", "code", "decline", "retry"),
    [
        ("pm_card_insufficient_funds", "SOFT_DECLINE", "insufficient_funds", "later"),
        ("pm_card_stolen", "HARD_DECLINE", "stolen_card", "never"),
    ],
)
def test_a_decline_says_whether_another_try_makes_sense(
    till: Till, method: str, code: str, decline: str, retry: str
) -> None:
    payment = till.create(method)
    error = till.fails("payment.authorize", payment, gateway="sandbox_a")
    assert (error.code, error.facts["decline_code"], error.facts["retry"]) == (code, decline, retry)
    assert till.status(payment) == ("processing", "")
    assert till.differences() == []


def test_an_unreachable_gateway_is_not_sent_and_another_may_be_tried(till: Till) -> None:
    payment = till.create("pm_card_unavailable")
    assert till.fails("payment.authorize", payment, gateway="sandbox_a").code == "GATEWAY_UNAVAILABLE"
    till.servers["sandbox_b"].stop()
    assert till.fails("payment.authorize", payment, gateway="sandbox_b").code == "GATEWAY_UNAVAILABLE"
    assert [attempt.outcome for attempt in till.attempts(payment)] == ["not_sent", "not_sent"]


def test_a_timeout_after_sending_is_unknown_and_blocks_every_gateway(till: Till) -> None:
    payment = till.create("pm_card_timeout_applied")
    error = till.fails("payment.authorize", payment, gateway="sandbox_a")
    assert error.code == "OUTCOME_UNKNOWN"
    assert error.facts["ladder"] == [2, 3, 5, 10, 30]
    assert till.status(payment) == ("processing", "outcome_unknown")
    for gateway in ("sandbox_a", "sandbox_b"):
        refused = till.fails("payment.authorize", payment, gateway=gateway)
        assert (refused.code, refused.facts["attempt"]) == ("OUTCOME_UNKNOWN", error.facts["attempt"])
    assert till.charges() == 1


def test_a_lookup_resolves_an_unknown_that_took_effect(till: Till) -> None:
    payment = till.create("pm_card_timeout_applied")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    assert till.run("payment.lookup", payment, attempt=attempt).resolution == "approved"
    assert till.status(payment) == ("requires_capture", "")
    assert till.attempt(payment, "authorize").evidence["source"] == "lookup"  # type: ignore[index]
    till.run("payment.capture", payment)
    assert till.differences() == []


def test_not_found_is_evidence_only_after_the_gateways_window(till: Till) -> None:
    payment = till.create("pm_card_timeout_lost")
    till.gateways.get("sandbox_a").visible_after_seconds = 3600
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    assert till.run("payment.lookup", payment, attempt=attempt).resolution == "unclear"
    assert till.fails("payment.authorize", payment, gateway="sandbox_b").code == "OUTCOME_UNKNOWN"
    pass_time(till, hours=2)
    assert till.run("payment.lookup", payment, attempt=attempt).resolution == "absent"
    assert till.status(payment) == ("processing", "")
    assert till.differences() == []


def test_a_lookup_that_cannot_ask_proves_nothing(till: Till) -> None:
    payment = till.create("pm_card_timeout_applied")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    pass_time(till, days=1)
    till.sandbox.stop()
    assert till.run("payment.lookup", payment, attempt=attempt).resolution == "unclear"
    assert till.attempt(payment, "authorize").outcome == "unknown"


def test_a_crash_before_sending_charges_once(till: Till) -> None:
    payment = till.create()
    begun(till, payment)
    till.run("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    assert till.status(payment) == ("requires_capture", "")
    assert till.charges() == 1
    assert till.differences() == []


def test_a_crash_after_sending_is_looked_up_and_charges_once(till: Till) -> None:
    payment = till.create()
    effect = begun(till, payment)
    effect.call()
    result = till.run("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    assert result.attempt == effect.lookup.key
    assert till.sandbox.times_received("authorize", effect.lookup.key) == 1
    assert till.charges() == 1
    assert till.differences() == []


def test_without_idempotency_a_lost_call_is_never_sent_again(till: Till) -> None:
    incapable(till, Capability.LOOKUP_BY_KEY)
    payment = till.create()
    effect = begun(till, payment)
    assert till.fails("payment.authorize", payment, "authorize#1", gateway="sandbox_a").code == "OUTCOME_UNKNOWN"
    assert till.sandbox.times_received("authorize", effect.lookup.key) == 0


def test_without_lookup_a_lost_call_is_sent_again_under_the_same_key(till: Till) -> None:
    incapable(till, Capability.IDEMPOTENT)
    payment = till.create()
    effect = begun(till, payment)
    effect.call()
    till.run("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    assert till.sandbox.times_received("authorize", effect.lookup.key) == 2
    assert till.charges() == 1


def test_an_old_call_is_not_sent_again_since_gateways_forget_keys(till: Till) -> None:
    payment = till.create()
    effect = begun(till, payment)
    pass_time(till, days=1)
    assert till.fails("payment.authorize", payment, "authorize#1", gateway="sandbox_a").code == "OUTCOME_UNKNOWN"
    assert till.sandbox.times_received("authorize", effect.lookup.key) == 0


def test_an_unreachable_gateway_at_recovery_is_unknown_and_not_unsent(till: Till) -> None:
    payment = till.create()
    begun(till, payment).call()
    till.sandbox.stop()
    assert till.fails("payment.authorize", payment, "authorize#1", gateway="sandbox_a").code == "OUTCOME_UNKNOWN"


def test_a_worker_that_slept_sends_nothing(till: Till) -> None:
    payment = till.create()
    effect = begun(till, payment)
    asleep = replace(effect, prepared_at=effect.prepared_at - 60)
    answer = asleep.call()
    assert isinstance(answer, GatewayResult)
    assert answer.outcome is Outcome.NOT_SENT
    assert till.charges() == 0


def test_that_a_sleeper_sent_nothing_says_nothing_while_another_worker_asks(till: Till) -> None:
    payment = till.create()
    sleeper = begun(till, payment)
    other = till.begin("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    assert isinstance(other, Effect)
    answer = other.call()
    unsent = replace(sleeper, prepared_at=sleeper.prepared_at - 60).call()
    with pytest.raises(OperationError, match="OUTCOME_UNKNOWN"):
        till.finish(sleeper, unsent, payment, "authorize#1")
    till.finish(other, answer, payment, "authorize#1")
    assert till.attempt(payment, "authorize").outcome == "approved"
    assert till.incidents() == []
    assert till.differences() == []


def test_what_is_pending_is_not_taken_back_by_a_sleeper_that_sent_nothing(till: Till) -> None:
    payment = till.create("pm_card_pending")
    sleeper = begun(till, payment)
    other = till.begin("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    assert isinstance(other, Effect)
    with pytest.raises(OperationError, match="OUTCOME_PENDING"):
        till.finish(other, other.call(), payment, "authorize#1")
    unsent = replace(sleeper, prepared_at=sleeper.prepared_at - 60).call()
    with pytest.raises(OperationError, match="OUTCOME_PENDING"):
        till.finish(sleeper, unsent, payment, "authorize#1")
    assert till.attempt(payment, "authorize").outcome == "pending"


def test_a_call_that_queued_long_is_sent_when_the_worker_was_awake(till: Till) -> None:
    payment = till.create()
    effect = begun(till, payment)
    pulse = Pulse()
    for ago in range(60, -1, -3):
        pulse.beat(effect.prepared_at - ago)
    answer = replace(effect, prepared_at=effect.prepared_at - 30, pulse=pulse).call()
    assert isinstance(answer, GatewayResult)
    assert answer.outcome is Outcome.APPROVED


def test_a_finished_activation_tells_the_same_again_and_asks_nobody(till: Till) -> None:
    payment = till.create()
    first = till.run("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    again = till.begin("payment.authorize", payment, "authorize#1", gateway="sandbox_a")
    assert not isinstance(again, Effect)
    assert again == first
    declined = till.create("pm_card_stolen")
    one = till.fails("payment.authorize", declined, "authorize#1", gateway="sandbox_a")
    with pytest.raises(OperationError) as two:
        till.begin("payment.authorize", declined, "authorize#1", gateway="sandbox_a")
    assert (one.code, one.facts) == (two.value.code, two.value.facts)


def test_an_answer_booked_twice_is_booked_once(till: Till) -> None:
    payment = till.create()
    effect = begun(till, payment)
    answer = effect.call()
    for _ in range(2):
        till.finish(effect, answer, payment, "authorize#1")
    assert till.payment(payment).amount_capturable == 1000
    assert till.events(payment).count("payment.requires_capture") == 1
    assert till.incidents() == []
    assert till.differences() == []


def test_an_approval_of_another_amount_is_unknown_and_an_incident(till: Till) -> None:
    payment = till.create()
    effect = begun(till, payment)
    wrong = GatewayResult(Outcome.APPROVED, gateway_reference="ch_1", amount=Money(999, "EUR"))
    with pytest.raises(OperationError) as caught:
        till.finish(effect, wrong, payment, "authorize#1")
    assert caught.value.code == "OUTCOME_UNKNOWN"
    (incident,) = till.incidents()
    assert (incident.kind, incident.element) == ("amount_mismatch", "authorize")
    assert till.payment(payment).amount_capturable == 0


def test_an_approval_that_names_no_charge_is_unknown(till: Till) -> None:
    payment = till.create()
    effect = begun(till, payment)
    with pytest.raises(OperationError) as caught:
        till.finish(effect, GatewayResult(Outcome.APPROVED), payment, "authorize#1")
    assert caught.value.code == "OUTCOME_UNKNOWN"
    assert till.payment(payment).amount_capturable == 0


def test_a_second_authorization_of_a_held_payment_is_refused(till: Till) -> None:
    payment = till.create()
    till.run("payment.authorize", payment, gateway="sandbox_a")
    with pytest.raises(Exception, match="void that first"):
        till.run("payment.authorize", payment, gateway="sandbox_b")
    assert till.charges() == 1


def test_authentication_asks_the_customer_and_a_webhook_brings_the_outcome(till: Till) -> None:
    payment = till.create("pm_card_3ds")
    error = till.fails("payment.authorize", payment, gateway="sandbox_a")
    assert error.code == "AUTHENTICATION_REQUIRED"
    shown = till.payment(payment)
    assert shown.status == "requires_action"
    assert shown.next_action == {"type": "redirect", "url": error.facts["url"]}
    assert till.fails("payment.authorize", payment, gateway="sandbox_b").code == "OUTCOME_UNKNOWN"
    till.sandbox.authenticate(till.attempt(payment, "authorize").gateway_reference)
    until(till.webhooks)
    assert till.status(payment) == ("requires_capture", "")
    assert till.payment(payment).next_action is None
    (message,) = till.messages("gateway.event")
    assert message.correlation == error.facts["attempt"]
    assert till.run("payment.lookup", payment, attempt=error.facts["attempt"]).resolution == "approved"
    assert till.differences() == []


def test_a_failed_authentication_is_a_decline_and_the_flow_goes_on(till: Till) -> None:
    payment = till.create("pm_card_3ds")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    till.sandbox.authenticate(till.attempt(payment, "authorize").gateway_reference, success=False)
    found = till.run("payment.lookup", payment, attempt=attempt)
    assert (found.resolution, found.decline_code, found.retry) == ("declined", "authentication_failed", "never")
    assert till.status(payment) == ("processing", "")


def test_a_webhook_that_overtakes_its_own_answer_is_booked_and_the_late_answer_changes_nothing(till: Till) -> None:
    payment = till.create("pm_card_pending")
    effect = begun(till, payment)
    answer = effect.call()
    assert isinstance(answer, GatewayResult)
    assert answer.outcome is Outcome.PENDING
    until(till.webhooks)
    assert till.status(payment) == ("requires_capture", "")
    result = till.finish(effect, answer, payment, "authorize#1")
    assert result.model_dump()["amount"] == 1000
    assert till.status(payment) == ("requires_capture", "")
    assert till.differences() == []


def test_what_is_pending_is_asked_about_on_a_slower_ladder(till: Till) -> None:
    payment = till.create("pm_card_pending")
    error = till.fails("payment.authorize", payment, gateway="sandbox_a")
    assert (error.code, error.facts["ladder"]) == ("OUTCOME_PENDING", [5, 10, 30, 120, 600])
    assert till.status(payment) == ("processing", "outcome_pending")
