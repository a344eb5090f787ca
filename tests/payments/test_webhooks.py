from datetime import timedelta

import pytest

from app.gateways.port import InvalidSignature
from app.gateways.registry import UnknownGateway
from app.payments import webhooks
from tests.fixtures_sandbox import until
from tests.till import Till, pass_time


def pending(till: Till) -> tuple[str, str]:
    payment = till.create("pm_card_pending")
    return payment, till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]


def receive(till: Till, body: bytes, headers: dict[str, str], gateway: str = "sandbox_a") -> None:
    with till.database.begin() as tx:
        webhooks.receive(tx, till.gateways, gateway, headers, body)


def test_an_unsigned_or_changed_webhook_is_not_stored(till: Till) -> None:
    pending(till)
    letter = until(lambda: till.receiver.received)[0]
    for headers, body in (({}, letter.body), (letter.headers, letter.body + b" ")):
        with pytest.raises(InvalidSignature):
            receive(till, body, headers)
    with pytest.raises(InvalidSignature):
        receive(till, letter.body, letter.headers, "sandbox_b")
    with pytest.raises(UnknownGateway):
        receive(till, letter.body, letter.headers, "nobody")
    assert till.inbound() == []


def test_the_same_webhook_is_applied_once(till: Till) -> None:
    payment, attempt = pending(till)
    letter = until(lambda: till.receiver.received)[0]
    for _ in range(3):
        receive(till, letter.body, letter.headers)
    till.apply()
    receive(till, letter.body, letter.headers)
    assert till.apply() == 0
    assert [inbound.status for inbound in till.inbound()] == ["applied"]
    assert [message.correlation for message in till.messages("gateway.event")] == [attempt]
    assert till.status(payment) == ("requires_capture", "")
    assert till.differences() == []


def test_a_worker_that_dies_while_applying_leaves_it_to_another(till: Till) -> None:
    payment, _ = pending(till)
    letter = until(lambda: till.receiver.received)[0]
    receive(till, letter.body, letter.headers)
    chore = webhooks.InboundWebhooks(till.gateways, webhooks.APPLIERS)
    with till.database.begin() as tx:
        assert len(chore.take(tx, 10)) == 1
    assert till.apply() == 0
    till.clock.advance(timedelta(minutes=2))
    assert till.apply() == 1
    assert till.status(payment) == ("requires_capture", "")


def test_a_webhook_about_an_unknown_charge_is_parked_and_found_later(till: Till) -> None:
    till.sandbox.pay("not_ours_yet", "pm_card_pending")
    until(till.webhooks)
    (stored,) = till.inbound()
    assert (stored.status, stored.tries) == ("unmatched", 1)
    assert till.apply() == 0
    for tries in range(2, 9):
        till.clock.advance(timedelta(days=2))
        assert till.apply() == 1
        assert till.inbound()[0].tries == tries
    till.clock.advance(timedelta(days=30))
    assert till.apply() == 0
    assert till.inbound()[0].status == "unmatched"


def test_when_the_gateway_cannot_be_asked_the_webhook_is_tried_again(till: Till) -> None:
    payment, _ = pending(till)
    letter = until(lambda: till.receiver.received)[0]
    receive(till, letter.body, letter.headers)
    till.sandbox.stop()
    till.apply()
    (stored,) = till.inbound()
    assert (stored.status, "could not be asked" in (stored.last_error or "")) == ("new", True)
    assert till.status(payment) == ("processing", "outcome_pending")
    till.sandbox.restart()
    pass_time(till, seconds=60)
    assert till.apply() == 1
    assert till.status(payment) == ("requires_capture", "")
    assert till.inbound()[0].status == "applied"
