"""Stripe against `localstripe`, through a proxy that loses answers, and against recorded cases for the rest."""

import hashlib
import hmac
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.gateways.port import (
    Authorize,
    Capture,
    CouldNotAsk,
    DeclineCode,
    EventKind,
    Gateway,
    GatewayResult,
    InvalidSignature,
    Lookup,
    Outcome,
    Refund,
    Retry,
    Void,
)
from app.gateways.registry import BadGatewaySetting, GatewaySetting, build_registry
from app.gateways.stripe import StripeGateway, build
from app.gateways.stripe_amounts import CurrencyRefused, from_stripe, to_stripe
from app.kit.clock import SystemClock
from app.kit.ids import new_id
from app.kit.money import EXPONENTS, Money
from tests.fixtures_sandbox import WebhookReceiver, until
from tests.gateways.contract import SECRET, Connect, GatewayContract, Methods, eur
from tests.gateways.localstripe import KEY, LocalStripe
from tests.gateways.recorded import Case, cases, play, recorded
from tests.hostile import answers, closed_port, hostile
from tests.proxy import FaultProxy, Kind, fault_proxy

CASES = cases(Path(__file__).parent / "wire" / "stripe")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEBHOOK_SECRET = "whsec_contract"
Build = Callable[..., StripeGateway]


@pytest.fixture
def at() -> Iterator[Build]:
    """Builds the adapter against an address; closed after the test."""
    gateways: list[StripeGateway] = []

    def at(base_url: str, **options: Any) -> StripeGateway:
        gateways.append(build("stripe_a", {"base_url": base_url, "api_key": KEY, **options}))
        return gateways[-1]

    yield at
    for gateway in gateways:
        gateway.close()


@pytest.fixture
def gateway(stripe: LocalStripe, at: Build) -> StripeGateway:
    return at(stripe.url)


@pytest.fixture
def proxy(stripe: LocalStripe) -> Iterator[FaultProxy]:
    with fault_proxy("127.0.0.1", stripe.port) as proxy:
        yield proxy


def authorize(gateway: Gateway, payment_method: str = "pm_card_visa", key: str = "") -> GatewayResult:
    return gateway.authorize(Authorize(key or new_id("att"), new_id("pay"), eur(1000), payment_method))


class TestContract(GatewayContract):
    gaps: ClassVar = {
        "test_an_authentication_tells_where_the_customer_must_go": "localstripe refuses return_url",
        "test_a_voided_authorization_cannot_be_captured": "localstripe captures what is canceled",
        "test_refunds_end_at_what_was_captured": "localstripe refunds more than was captured",
        "test_the_same_key_is_the_same_operation": "localstripe ignores idempotency keys",
    }

    @pytest.fixture
    def methods(self) -> Methods:
        return Methods("pm_card_visa", "pm_card_chargeCustomerFail", "pm_of_nobody")

    @pytest.fixture
    def connect(self, at: Build) -> Connect:
        return lambda url: at(url, api_key=SECRET, connect_seconds=0.8, total_seconds=0.8)

    @pytest.fixture
    def gateway(self, gateway: StripeGateway) -> StripeGateway:
        return gateway


def test_what_localstripe_cannot_show_is_shown_by_recorded_cases() -> None:
    tests = {name for name, _ in inspect.getmembers(GatewayContract) if name.startswith("test_")}
    shown = {name for case in CASES for name in case.contract}
    assert set(TestContract.gaps) <= shown <= tests


@pytest.mark.parametrize("case", CASES, ids=str)
def test_recorded(case: Case, at: Build) -> None:
    with recorded() as server:
        gateway = at(server.url)
        for step in case.steps:
            server.expected = list(step["exchanges"])
            came = play(gateway, step["call"])
            assert not server.surprises, server.surprises[0]
            assert not server.expected, f"These requests were not made: {server.expected}"
            assert {name: came.get(name) for name in step["expect"]} == step["expect"]


LOSSES: dict[str, tuple[Kind, dict[str, Any]]] = {
    "dropped": (Kind.DROP, {}),
    "reset": (Kind.RESET, {}),
    "kept": (Kind.SILENCE, {}),
    "cut": (Kind.TRUNCATE, {"size": 200}),
    "late": (Kind.DELAY, {"seconds": 1.5}),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("verb", ["authorize", "capture", "void", "refund"])
def test_an_answer_that_is_lost_is_unknown_found_by_lookup_and_not_done_twice(
    stripe: LocalStripe, proxy: FaultProxy, at: Build, verb: str, loss: str
) -> None:
    gateway, key = at(proxy.url, total_seconds=0.8), new_id("att")
    charge = authorize(gateway).gateway_reference
    if verb == "refund":
        gateway.capture(Capture(new_id("att"), charge, eur(1000)))
    calls: dict[str, Callable[[], GatewayResult]] = {
        "authorize": lambda: authorize(gateway, key=key),
        "capture": lambda: gateway.capture(Capture(key, charge, eur(1000))),
        "void": lambda: gateway.void(Void(key, charge)),
        "refund": lambda: gateway.refund(Refund(key, charge, eur(400))),
    }
    kind, more = LOSSES[loss]
    proxy.arm(kind, b"POST /v1/", **more)
    assert calls[verb]().outcome is Outcome.UNKNOWN
    assert proxy.struck == 1
    found = at(proxy.url).lookup(Lookup(verb, key, charge="" if verb == "authorize" else charge))
    assert found.found
    assert found.result is not None
    assert found.result.outcome is Outcome.APPROVED
    if verb == "authorize":
        assert [each["id"] for each in stripe.intents(key)] == [found.result.gateway_reference]
    else:
        assert len(stripe.refunds(charge)) == (verb == "refund")


def test_a_request_that_never_arrived_is_unknown_and_then_found_absent(
    stripe: LocalStripe, proxy: FaultProxy, at: Build
) -> None:
    gateway = at(proxy.url)
    proxy.arm(Kind.LOSE)
    assert authorize(gateway, key="att_lost").outcome is Outcome.UNKNOWN
    assert stripe.intents("att_lost") == []
    assert gateway.lookup(Lookup("authorize", "att_lost")).found is False


def test_a_lookup_whose_answer_is_lost_proves_nothing(proxy: FaultProxy, at: Build) -> None:
    gateway = at(proxy.url)
    authorize(gateway, key="att_seen")
    proxy.arm(Kind.DROP)
    assert gateway.lookup(Lookup("authorize", "att_seen")).found is None
    assert gateway.lookup(Lookup("authorize", "att_seen")).found is True


@pytest.mark.parametrize(("success", "outcome"), [(True, Outcome.APPROVED), (False, Outcome.DECLINED)])
def test_an_authentication_is_asked_for_and_then_decides(
    stripe: LocalStripe, gateway: StripeGateway, success: bool, outcome: Outcome
) -> None:
    asked = authorize(gateway, stripe.card("4000002500003155"), "att_3ds")
    assert asked.outcome is Outcome.NEEDS_ACTION
    stripe.authenticate(asked.gateway_reference, success=success)
    found = gateway.lookup(Lookup("authorize", "att_3ds", asked.gateway_reference)).result
    assert found is not None
    assert found.outcome is outcome
    if found.decline:
        assert (found.decline, found.decline.retry) == (DeclineCode.AUTHENTICATION_FAILED, Retry.NEVER)
    else:
        assert gateway.capture(Capture("att_3ds_c", asked.gateway_reference, eur(1000))).outcome is Outcome.APPROVED


def test_a_payment_is_found_among_many(gateway: StripeGateway) -> None:
    first = authorize(gateway, key="att_first")
    for _ in range(3):
        authorize(gateway)
    found = gateway.lookup(Lookup("authorize", "att_first", begun_at=SystemClock().now())).result
    assert found is not None
    assert found.gateway_reference == first.gateway_reference


def test_only_one_capture_is_made_of_an_authorization(gateway: StripeGateway) -> None:
    charge = authorize(gateway).gateway_reference
    refused = gateway.capture(Capture("att_part", charge, eur(300), final=False))
    assert (refused.outcome, refused.decline) == (Outcome.DECLINED, DeclineCode.NOT_PERMITTED)
    assert gateway.lookup(Lookup("capture", "att_part", charge=charge)).found is False


def test_a_webhook_of_localstripe_is_verified_and_leads_to_the_payment(
    stripe: LocalStripe, receiver: WebhookReceiver, at: Build
) -> None:
    gateway = at(stripe.url, webhook_secrets=("whsec_new", WEBHOOK_SECRET))
    stripe.request("POST", "/_config/webhooks/ours", url=receiver.url, secret=WEBHOOK_SECRET)
    charge = authorize(gateway, key="att_hooked").gateway_reference
    gateway.capture(Capture(new_id("att"), charge, eur(1000)))
    # Other tests' news may still be on its way.
    got = until(lambda: [each for each in receiver.received if b"att_hooked" in each.body])[0]
    event = gateway.read_webhook(got.headers, got.body, SystemClock().now())
    assert (event.kind, event.type) == (EventKind.ATTEMPT_UPDATED, "payment_intent.succeeded")
    assert (event.key, event.charge) == ("att_hooked", charge)
    assert event.id.startswith("evt_")
    with pytest.raises(InvalidSignature):
        at(stripe.url, webhook_secrets=("whsec_foreign",)).read_webhook(got.headers, got.body, SystemClock().now())
    with pytest.raises(InvalidSignature):
        gateway.read_webhook(got.headers, got.body + b" ", SystemClock().now())


def signed(body: bytes, at_second: int, *secrets: str) -> dict[str, str]:
    made = [hmac.new(each.encode(), b"%d." % at_second + body, hashlib.sha256).hexdigest() for each in secrets]
    return {"Stripe-Signature": ",".join([f"t={at_second}", *(f"v1={each}" for each in made), "v0=ab"])}


@pytest.fixture
def reader(at: Build) -> StripeGateway:
    return at(closed_port(), webhook_secrets=("whsec_old", "whsec_new"))


@pytest.mark.parametrize(("seconds", "accepted"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_a_signature_counts_five_minutes_to_both_sides(reader: StripeGateway, seconds: int, accepted: bool) -> None:
    headers = signed(b"{}", int(NOW.timestamp()) + seconds, "whsec_new")
    if accepted:
        assert reader.read_webhook(headers, b"{}", NOW).kind is EventKind.OTHER
    else:
        with pytest.raises(InvalidSignature):
            reader.read_webhook(headers, b"{}", NOW)


@pytest.mark.parametrize("secrets", [("whsec_old",), ("whsec_new",), ("whsec_other", "whsec_new")])
def test_while_a_secret_is_changed_both_sides_may_have_two(reader: StripeGateway, secrets: tuple[str, ...]) -> None:
    assert reader.read_webhook(signed(b"{}", int(NOW.timestamp()), *secrets), b"{}", NOW).id


@pytest.mark.parametrize("header", ["", "t=,v1=", "t=x", "v1=ab", "t=1,t=2,v1=ab", "t=²,v1=ab", f"t={'9' * 40},v1=ab"])
def test_a_malformed_signature_is_refused(reader: StripeGateway, header: str) -> None:
    with pytest.raises(InvalidSignature):
        reader.read_webhook({"stripe-signature": header}, b"{}", NOW)


@pytest.mark.parametrize(
    ("kind", "shown", "expected"),
    [
        ("payment_intent.succeeded", "payment_intent", (EventKind.ATTEMPT_UPDATED, "att_1", "pi_1", "")),
        ("payment_intent.canceled", "payment_intent", (EventKind.ATTEMPT_UPDATED, "att_1", "pi_1", "")),
        ("payment_intent.payment_failed", "payment_intent", (EventKind.ACTION_COMPLETED, "att_1", "pi_1", "")),
        (
            "payment_intent.amount_capturable_updated",
            "payment_intent",
            (EventKind.ACTION_COMPLETED, "att_1", "pi_1", ""),
        ),
        ("payment_intent.created", "payment_intent", (EventKind.OTHER, "att_1", "pi_1", "")),
        ("refund.failed", "refund", (EventKind.ATTEMPT_UPDATED, "att_1", "pi_9", "")),
        ("charge.refund.updated", "refund", (EventKind.ATTEMPT_UPDATED, "att_1", "pi_9", "")),
        ("charge.dispute.created", "dispute", (EventKind.DISPUTE_UPDATED, "att_1", "pi_9", "pi_1")),
        ("charge.captured", "charge", (EventKind.OTHER, "att_1", "pi_9", "")),
        ("invoice.paid", "invoice", (EventKind.OTHER, "att_1", "pi_9", "")),
    ],
)
def test_each_event_says_whom_it_concerns(
    reader: StripeGateway, kind: str, shown: str, expected: tuple[EventKind, str, str, str]
) -> None:
    about = {"id": "pi_1", "object": shown, "payment_intent": "pi_9", "metadata": {"sluice_attempt": "att_1"}}
    data = {"object": {**about, "client_secret": "cs_1"}}
    body = json.dumps({"id": "evt_1", "type": kind, "created": int(NOW.timestamp()), "data": data}).encode()
    event = reader.read_webhook(signed(body, int(NOW.timestamp()), "whsec_new"), body, NOW)
    assert (event.kind, event.key, event.charge, event.dispute) == expected
    assert (event.id, event.type, event.occurred_at) == ("evt_1", kind, NOW)
    assert event.payload["data"]["object"]["client_secret"] == "[redacted]"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"7", b"{", b'{"id": 7}', b'{"id": "evt_1"}', b'{"id": "evt_1", "type": "x", "data": []}']
)
def test_a_signed_webhook_that_says_nothing_is_kept_as_other(reader: StripeGateway, body: bytes) -> None:
    event = reader.read_webhook(signed(body, int(NOW.timestamp()), "whsec_new"), body, NOW)
    assert event.id
    assert (event.kind, event.occurred_at) == (EventKind.OTHER, NOW)


@pytest.mark.parametrize(
    ("minor", "currency", "amount"),
    [
        (1000, "EUR", 1000),
        (1000, "JPY", 1000),
        (5, "UGX", 500),
        (5, "ISK", 500),
        (500, "MGA", 5),
        (10045, "HUF", 10045),
        (10045, "TWD", 10045),
        (5120, "KWD", 5120),
    ],
)
def test_amounts_are_counted_as_stripe_counts(minor: int, currency: str, amount: int) -> None:
    assert to_stripe(Money(minor, currency)) == amount
    assert from_stripe(amount, currency.lower()) == Money(minor, currency)


@pytest.mark.parametrize(
    ("minor", "currency", "decline"),
    [
        (501, "MGA", DeclineCode.AMOUNT_NOT_ALLOWED),
        (5124, "KWD", DeclineCode.AMOUNT_NOT_ALLOWED),
        (1, "LYD", DeclineCode.CURRENCY_NOT_SUPPORTED),
        (1, "UYI", DeclineCode.CURRENCY_NOT_SUPPORTED),
        (1, "CLF", DeclineCode.CURRENCY_NOT_SUPPORTED),
    ],
)
def test_what_stripe_cannot_express_is_declined_and_nothing_is_sent(
    at: Build, minor: int, currency: str, decline: DeclineCode
) -> None:
    gateway, money = at(closed_port()), Money(minor, currency)
    results = [
        gateway.authorize(Authorize("att_1", "pay_1", money, "pm_1")),
        gateway.capture(Capture("att_1", "pi_1", money)),
        gateway.refund(Refund("att_1", "pi_1", money)),
    ]
    assert {(each.outcome, each.decline) for each in results} == {(Outcome.DECLINED, decline)}


def test_every_currency_comes_back_as_it_went_out_or_is_refused() -> None:
    refused = set()
    for currency in EXPONENTS:
        money = Money(120_000, currency)
        try:
            assert from_stripe(to_stripe(money), currency.lower()) == money
        except CurrencyRefused:
            refused.add(currency)
    assert refused == {"IQD", "LYD", "CLF", "UYW", "UYI"}


def test_no_such_dispute_and_no_answer_about_it_are_two_things(at: Build) -> None:
    missing = b'{"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such dispute"}}'
    with hostile(answers(404, missing)) as server:
        assert at(server.url).dispute("dp_none") is None
    with pytest.raises(CouldNotAsk):
        at(closed_port()).dispute("dp_none")
    with hostile(answers(200, b"{}")) as server, pytest.raises(CouldNotAsk):
        at(server.url).dispute("dp_none")


def test_a_charge_id_cannot_lead_to_another_path(at: Build) -> None:
    with hostile(answers(404, b'{"error": {"type": "invalid_request_error"}}')) as server:
        at(server.url).void(Void("att_1", "../disputes/dp_1?x=#y"))
    assert server.requests[0].startswith(b"POST /v1/payment_intents/..%2Fdisputes%2Fdp_1%3Fx%3D%23y/cancel HTTP/1.1")


def test_nothing_about_this_machine_is_sent(at: Build) -> None:
    with hostile(answers(500, b"{}")) as server:
        authorize(at(server.url))
    request = server.requests[0].lower()
    assert b"idempotency-key: att_" in request
    assert b"stripe-version: " in request
    assert b"telemetry" not in request
    assert b"platform" not in request


def test_without_the_sdk_the_setting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "app.gateways.stripe_sdk", raising=False)
    monkeypatch.setitem(sys.modules, "stripe", None)
    with pytest.raises(BadGatewaySetting, match=r"sluice\[stripe\]"):
        build_registry([GatewaySetting("stripe_a", "stripe", {"api_key": "sk_1"})])
