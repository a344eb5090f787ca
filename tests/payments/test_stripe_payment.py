"""A payment at Stripe through the core: every answer is lost on the way, and every operation is done once."""

from collections.abc import Iterator

import pytest

from app.gateways.registry import Registry
from app.gateways.stripe import build
from app.refunds.commands import CreateRefund
from app.refunds.service import create_refund
from tests.gateways.localstripe import KEY, LocalStripe
from tests.proxy import FaultProxy, Kind, fault_proxy
from tests.till import Till


@pytest.fixture
def proxy(stripe: LocalStripe) -> Iterator[FaultProxy]:
    with fault_proxy("127.0.0.1", stripe.port) as proxy:
        yield proxy


@pytest.fixture
def stripe_till(till: Till, proxy: FaultProxy) -> Iterator[Till]:
    till.gateways = Registry([build("stripe_a", {"base_url": proxy.url, "api_key": KEY})])
    yield till
    till.gateways.close()


def lost(till: Till, proxy: FaultProxy, operation: str, subject: str, payment: str, **params: str) -> str:
    """Carry the operation out with its answer dropped, then look it up; the attempt's id."""
    proxy.arm(Kind.DROP, b"POST /v1/")
    assert till.fails(operation, subject, **params).code == "OUTCOME_UNKNOWN"
    attempt = till.attempts(payment)[-1].id
    assert till.run("payment.lookup", payment, attempt=attempt).resolution == "approved"
    return attempt


def test_lost_answers_are_resolved_without_a_second_charge_capture_or_refund(
    stripe_till: Till, proxy: FaultProxy, stripe: LocalStripe
) -> None:
    till, payment = stripe_till, stripe_till.create()
    attempt = lost(till, proxy, "payment.authorize", payment, payment, gateway="stripe_a")
    (intent,) = stripe.intents(attempt)
    assert (intent["id"], intent["metadata"]["sluice_payment"]) == (till.payment(payment).gateway_reference, payment)
    lost(till, proxy, "payment.capture", payment, payment)
    assert (till.status(payment), till.payment(payment).amount_captured) == (("succeeded", ""), 1000)
    # localstripe takes no reason, and "other" is one Stripe has no word for.
    with till.database.begin() as tx:
        refund = create_refund(tx, till.actor, CreateRefund(payment=payment, amount=400, reason="other")).id
    lost(till, proxy, "refund.send", refund, payment)
    assert [each["amount"] for each in stripe.refunds(intent["id"])] == [400]
    assert till.payment(payment).amount_refunded == 400
    assert till.ledger_problems() == []
    assert proxy.struck == 3


def test_a_lost_void_is_resolved(stripe_till: Till, proxy: FaultProxy, stripe: LocalStripe) -> None:
    till, payment = stripe_till, stripe_till.create()
    till.run("payment.authorize", payment, gateway="stripe_a")
    lost(till, proxy, "payment.void", payment, payment)
    assert till.payment(payment).amount_capturable == 0
    (intent,) = stripe.intents(till.attempts(payment)[0].id)
    assert intent["status"] == "canceled"
    assert till.ledger_problems() == []


def test_a_part_cannot_be_captured_for_now_and_the_payment_stays_whole(stripe_till: Till) -> None:
    till, payment = stripe_till, stripe_till.create()
    till.run("payment.authorize", payment, gateway="stripe_a")
    assert till.fails("payment.capture", payment, amount=300, final=False).code == "CAPTURE_DECLINED"
    assert till.run("payment.capture", payment).amount_captured == 1000
