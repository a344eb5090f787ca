import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import orjson
import pytest

from app.gateways.port import (
    Authorize,
    Capture,
    CouldNotAsk,
    DeclineCode,
    EventKind,
    Evidence,
    Gateway,
    InvalidSignature,
    Lookup,
    Outcome,
    Refund,
    Retry,
    Void,
)
from app.gateways.sandbox import SandboxGateway, build
from app.kit.clock import SystemClock
from app.kit.crypto import new_signing_secret, signed_headers
from app.kit.ids import new_id
from app.sandbox.methods import METHODS
from tests.fixtures_sandbox import SandboxFactory, SandboxServer, WebhookReceiver, until
from tests.gateways.contract import SECRET, Connect, GatewayContract, Methods, eur
from tests.hostile import answers, closed_port, hostile

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUICK = {"connect_seconds": 1.2, "total_seconds": 1.2}


@pytest.fixture
def server(sandbox: SandboxFactory) -> SandboxServer:
    return sandbox(settle_seconds=0.1, dispute_seconds=0.1)


@pytest.fixture
def connect() -> Iterator[Connect]:
    gateways: list[SandboxGateway] = []

    def connect(base_url: str) -> SandboxGateway:
        gateways.append(build("sandbox_a", {"base_url": base_url, "api_key": SECRET, **QUICK}))
        return gateways[-1]

    yield connect
    for gateway in gateways:
        gateway.close()


@pytest.fixture
def gateway(server: SandboxServer) -> SandboxGateway:
    return server.gateway(**QUICK)


def authorize(gateway: Gateway, payment_method: str = "pm_card_visa", key: str = "") -> Any:
    return gateway.authorize(Authorize(key or new_id("att"), "pay_1", eur(1000), payment_method))


class TestContract(GatewayContract):
    @pytest.fixture
    def methods(self) -> Methods:
        return Methods("pm_card_visa", "pm_card_insufficient_funds", "pm_card_stolen", "pm_card_3ds")

    @pytest.fixture
    def connect(self, connect: Connect) -> Connect:
        return connect

    @pytest.fixture
    def gateway(self, gateway: SandboxGateway) -> SandboxGateway:
        return gateway


EXPECTED = {
    "pm_card_insufficient_funds": (Outcome.DECLINED, DeclineCode.INSUFFICIENT_FUNDS),
    "pm_card_do_not_honor": (Outcome.DECLINED, DeclineCode.DO_NOT_HONOR),
    "pm_card_stolen": (Outcome.DECLINED, DeclineCode.STOLEN_CARD),
    "pm_card_expired": (Outcome.DECLINED, DeclineCode.EXPIRED_CARD),
    "pm_card_3ds": (Outcome.NEEDS_ACTION, None),
    "pm_card_pending": (Outcome.PENDING, None),
    "pm_card_pending_declined": (Outcome.PENDING, None),
    "pm_card_unavailable": (Outcome.NOT_SENT, None),
    "pm_card_timeout_applied": (Outcome.UNKNOWN, None),
    "pm_card_timeout_lost": (Outcome.UNKNOWN, None),
    "pm_nonsense": (Outcome.DECLINED, DeclineCode.INVALID_PAYMENT_METHOD),
}


@pytest.mark.parametrize("payment_method", [*METHODS, "pm_nonsense"])
def test_each_payment_method_authorizes_as_documented(gateway: SandboxGateway, payment_method: str) -> None:
    result = authorize(gateway, payment_method)
    assert (result.outcome, result.decline) == EXPECTED.get(payment_method, (Outcome.APPROVED, None))


@pytest.mark.parametrize(
    ("payment_method", "found"), [("pm_card_timeout_applied", True), ("pm_card_timeout_lost", False)]
)
def test_a_lookup_tells_whether_a_timeout_took_effect(
    gateway: SandboxGateway, payment_method: str, found: bool
) -> None:
    assert authorize(gateway, payment_method, "att_1").outcome is Outcome.UNKNOWN
    assert gateway.lookup(Lookup("authorize", "att_1")).found is found


@pytest.mark.parametrize("fault", ["timeout_applied", "reset_after", "garbage", "server_error_after_effect"])
@pytest.mark.parametrize("operation", ["authorize", "capture", "void", "refund"])
def test_an_effect_whose_answer_was_lost_is_unknown_and_found(
    server: SandboxServer, gateway: SandboxGateway, fault: str, operation: str
) -> None:
    charge = authorize(gateway).gateway_reference
    if operation == "refund":
        gateway.capture(Capture("att_capture", charge, eur(1000)))
    calls: dict[str, Callable[[], Any]] = {
        "authorize": lambda: authorize(gateway, key="att_1"),
        "capture": lambda: gateway.capture(Capture("att_1", charge, eur(1000))),
        "void": lambda: gateway.void(Void("att_1", charge)),
        "refund": lambda: gateway.refund(Refund("att_1", charge, eur(1000))),
    }
    server.fault(fault, operation)
    assert calls[operation]().outcome is Outcome.UNKNOWN
    found = gateway.lookup(Lookup(operation, "att_1"))
    assert found.result is not None
    assert found.result.outcome is Outcome.APPROVED
    assert calls[operation]().gateway_reference == found.result.gateway_reference
    assert server.times_received(operation, "att_1") == 2


@pytest.mark.parametrize(
    ("fault", "outcome"), [("timeout_lost", "unknown"), ("reset_before", "unknown"), ("unavailable", "not_sent")]
)
def test_a_fault_without_effect_leaves_nothing_to_find(
    server: SandboxServer, gateway: SandboxGateway, fault: str, outcome: str
) -> None:
    server.fault(fault, "authorize")
    assert authorize(gateway, key="att_1").outcome == outcome
    assert gateway.lookup(Lookup("authorize", "att_1")).found is False
    assert server.charges() == []


def test_a_held_connection_is_closed_in_the_end(sandbox: SandboxFactory) -> None:
    gateway = sandbox(hold_seconds=0.2).gateway(total_seconds=30)
    assert authorize(gateway, "pm_card_timeout_applied", "att_1").outcome is Outcome.UNKNOWN
    assert gateway.lookup(Lookup("authorize", "att_1")).found is True


def test_an_answer_that_is_only_slow_is_an_answer(server: SandboxServer) -> None:
    server.fault("slow", "authorize")
    assert authorize(server.gateway(total_seconds=3)).outcome is Outcome.APPROVED


def test_a_lookup_that_meets_a_fault_is_no_evidence(server: SandboxServer, gateway: SandboxGateway) -> None:
    authorize(gateway, key="att_1")
    server.fault("timeout_lost", "lookup")
    assert gateway.lookup(Lookup("authorize", "att_1")).found is None
    assert gateway.lookup(Lookup("authorize", "att_1")).found is True


def test_a_key_that_was_used_for_something_else_is_unknown_and_not_a_decline(gateway: SandboxGateway) -> None:
    authorize(gateway, key="att_1")
    other = gateway.authorize(Authorize("att_1", "pay_1", eur(2000), "pm_card_visa"))
    assert (other.outcome, other.gateway_code) == (Outcome.UNKNOWN, "idempotency_key_reused")


def test_a_lookup_for_another_verb_than_the_key_was_used_for_is_unknown(gateway: SandboxGateway) -> None:
    authorize(gateway, key="att_1")
    found = gateway.lookup(Lookup("refund", "att_1"))
    assert found.result is not None
    assert found.result.outcome is Outcome.UNKNOWN


def test_a_wrong_credential_has_no_effect_and_is_no_decline(server: SandboxServer) -> None:
    result = authorize(server.gateway(api_key="another"))
    assert (result.outcome, result.gateway_code) == (Outcome.NOT_SENT, "unauthorized")


def shown_charge(**change: Any) -> bytes:
    charge = {
        "id": "ch_1",
        "key": "att_1",
        "reference": "pay_1",
        "amount": 1000,
        "authorized": 1000,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        "status": "authorized",
        "decline_code": "",
        "expires_at": "2026-01-08T00:00:00Z",
    }
    return json.dumps({name: value for name, value in (charge | change).items() if value is not ...}).encode()


def test_the_answer_the_next_tests_alter_is_an_approval(connect: Connect) -> None:
    with hostile(answers(201, shown_charge())) as server:
        assert authorize(connect(server.url), key="att_1").outcome is Outcome.APPROVED


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 1001},
        {"amount": "1000"},
        {"amount": 1000.0},
        {"amount": True},
        {"authorized": 900},
        {"authorized": 2000},
        {"authorized": None},
        {"authorized": 0},
        {"currency": "USD"},
        {"currency": ...},
        {"reference": "pay_2"},
        {"key": "att_2"},
        {"payment_method": "pm_card_other"},
        {"id": ""},
        {"id": 7},
        {"status": "declined", "authorized": 0},
        {"status": "levitating", "authorized": 0},
        {"status": "requires_action", "authorized": 0},
        {
            "status": "requires_action",
            "authorized": 0,
            "next_action": {"type": "redirect", "url": "javascript:alert(1)"},
        },
        {"expires_at": "soon"},
    ],
    ids=str,
)
def test_an_approval_that_differs_from_what_was_asked_is_unknown(connect: Connect, change: dict[str, Any]) -> None:
    with hostile(answers(201, shown_charge(**change))) as server:
        result = authorize(connect(server.url), key="att_1")
    assert result.outcome is Outcome.UNKNOWN
    assert result.message


def test_a_decline_of_an_unmapped_kind_is_a_decline_for_another_reason(connect: Connect) -> None:
    with hostile(answers(402, shown_charge(status="declined", authorized=0, decline_code="moon_phase"))) as server:
        result = authorize(connect(server.url), key="att_1")
    assert (result.outcome, result.decline, result.gateway_code) == (Outcome.DECLINED, DeclineCode.OTHER, "moon_phase")


@pytest.mark.parametrize("verb", ["capture", "refund"])
@pytest.mark.parametrize(
    "change", [{"charge": "ch_2"}, {"key": "att_2"}, {"amount": 999}, {"currency": "USD"}, {"status": "odd"}], ids=str
)
def test_a_movement_of_something_else_is_unknown(connect: Connect, verb: str, change: dict[str, Any]) -> None:
    movement = {
        "id": "mv_1",
        "key": "att_1",
        "charge": "ch_1",
        "amount": 1000,
        "currency": "EUR",
        "status": "succeeded",
    } | change
    with hostile(answers(201, json.dumps(movement).encode())) as server:
        gateway = connect(server.url)
        request = {"capture": Capture("att_1", "ch_1", eur(1000)), "refund": Refund("att_1", "ch_1", eur(1000))}[verb]
        assert getattr(gateway, verb)(request).outcome is Outcome.UNKNOWN


def test_a_charge_id_cannot_lead_to_another_path(connect: Connect) -> None:
    with hostile(answers(404, b'{"error": {"code": "not_found", "message": "x"}}')) as server:
        connect(server.url).void(Void("att_1", "../disputes/dp_1?x=#y"))
    assert server.requests[0].startswith(b"POST /v1/charges/..%2Fdisputes%2Fdp_1%3Fx%3D%23y/void HTTP/1.1")


def test_a_pending_authorization_is_announced_and_then_found_approved(
    sandbox: SandboxFactory, receiver: WebhookReceiver
) -> None:
    server = sandbox(settle_seconds=0.1, webhook_url=receiver.url)
    gateway = server.gateway()
    assert authorize(gateway, "pm_card_pending", "att_1").outcome is Outcome.PENDING
    until(lambda: receiver.received)
    event = gateway.read_webhook(receiver.received[0].headers, receiver.received[0].body, SystemClock().now())
    assert (event.kind, event.key, event.type) == (EventKind.ATTEMPT_UPDATED, "att_1", "charge.updated")
    found = gateway.lookup(Lookup("authorize", event.key))
    assert found.result is not None
    assert (found.result.outcome, found.result.gateway_reference) == (Outcome.APPROVED, event.charge)


@pytest.mark.parametrize(("success", "outcome"), [(True, Outcome.APPROVED), (False, Outcome.DECLINED)])
def test_an_authentication_ends_in_an_approval_or_a_hard_decline(
    server: SandboxServer, gateway: SandboxGateway, success: bool, outcome: Outcome
) -> None:
    charge = authorize(gateway, "pm_card_3ds", "att_1").gateway_reference
    server.authenticate(charge, success=success)
    result = gateway.lookup(Lookup("authorize", "att_1")).result
    assert result is not None
    assert result.outcome is outcome
    if result.decline:
        assert (result.decline, result.decline.retry) == (DeclineCode.AUTHENTICATION_FAILED, Retry.NEVER)


def test_a_refund_that_fails_later_is_found_declined(server: SandboxServer, gateway: SandboxGateway) -> None:
    charge = authorize(gateway, "pm_card_refund_fails_late").gateway_reference
    gateway.capture(Capture("att_2", charge, eur(1000)))
    assert gateway.refund(Refund("att_3", charge, eur(400))).outcome is Outcome.APPROVED
    until(lambda: server.events("refund.updated"))
    result = gateway.lookup(Lookup("refund", "att_3")).result
    assert result is not None
    assert (result.outcome, result.decline) == (Outcome.DECLINED, DeclineCode.REFUND_REFUSED)


@pytest.mark.parametrize("cancel_by", ["void", "time"])
def test_an_authorization_that_ended_unanswered_is_found_declined(
    server: SandboxServer, gateway: SandboxGateway, cancel_by: str
) -> None:
    charge = authorize(gateway, "pm_card_3ds", "att_1").gateway_reference
    if cancel_by == "void":
        assert gateway.void(Void("att_2", charge)).outcome is Outcome.APPROVED
    else:
        server.advance(days=7)
    result = gateway.lookup(Lookup("authorize", "att_1")).result
    assert result is not None
    assert result.outcome is Outcome.DECLINED


def test_a_dispute_is_told_in_our_words_and_answered_once(server: SandboxServer, gateway: SandboxGateway) -> None:
    charge = authorize(gateway, "pm_card_dispute").gateway_reference
    gateway.capture(Capture("att_2", charge, eur(1000)))
    (event,) = until(lambda: server.events("dispute.created"))
    dispute = gateway.dispute(event["data"]["dispute"])
    assert dispute is not None
    assert (dispute.charge, dispute.amount, dispute.fee) == (charge, eur(1000), eur(1500))
    assert (dispute.stage, dispute.status, dispute.evidence_submitted) == ("chargeback", "needs_response", False)
    assert dispute.due_by is not None
    assert timedelta(days=17) < dispute.due_by - SystemClock().now() <= timedelta(days=18)
    evidence = Evidence("att_3", dispute.id, {"receipt": "delivered"})
    assert gateway.submit_evidence(evidence).outcome is Outcome.APPROVED
    assert gateway.submit_evidence(evidence).outcome is Outcome.APPROVED
    again = gateway.submit_evidence(Evidence("att_4", dispute.id, {"receipt": "really"}))
    assert (again.outcome, again.decline) == (Outcome.DECLINED, DeclineCode.NOT_PERMITTED)


def test_a_dispute_can_be_accepted(server: SandboxServer, gateway: SandboxGateway) -> None:
    charge = authorize(gateway).gateway_reference
    gateway.capture(Capture("att_2", charge, eur(1000)))
    opened = server.dispute(charge)
    assert gateway.accept_dispute(Evidence("att_3", opened["id"], {})).outcome is Outcome.APPROVED
    accepted = gateway.dispute(opened["id"])
    assert accepted is not None
    assert accepted.status == "accepted"


def test_an_answer_to_a_dispute_is_found_as_taken_in_whatever_became_of_the_dispute(
    server: SandboxServer, gateway: SandboxGateway
) -> None:
    charge = authorize(gateway).gateway_reference
    gateway.capture(Capture("att_2", charge, eur(1000)))
    dispute = server.dispute(charge)["id"]
    gateway.submit_evidence(Evidence("att_3", dispute, {"receipt": "delivered"}))
    server.decide(dispute, "won")
    found = gateway.lookup(Lookup("evidence", "att_3"))
    assert (found.found, found.result and found.result.outcome) == (True, Outcome.APPROVED)


def test_no_such_dispute_and_no_answer_about_it_are_two_things(gateway: SandboxGateway, connect: Connect) -> None:
    assert gateway.dispute("dp_none") is None
    with pytest.raises(CouldNotAsk):
        connect(closed_port()).dispute("dp_none")
    with hostile(answers(200, b"{}")) as strange, pytest.raises(CouldNotAsk):
        connect(strange.url).dispute("dp_none")


def webhook(secret: str, body: bytes) -> dict[str, str]:
    return signed_headers((secret,), "evt_1", NOW, body)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("charge.updated", EventKind.ATTEMPT_UPDATED),
        ("capture.updated", EventKind.ATTEMPT_UPDATED),
        ("refund.updated", EventKind.ATTEMPT_UPDATED),
        ("charge.action_completed", EventKind.ACTION_COMPLETED),
        ("dispute.created", EventKind.DISPUTE_UPDATED),
        ("dispute.updated", EventKind.DISPUTE_UPDATED),
        ("weather.changed", EventKind.OTHER),
    ],
)
def test_each_event_says_whom_it_concerns(server: SandboxServer, kind: str, expected: EventKind) -> None:
    data = {"key": "att_1", "charge": "ch_1", "dispute": "dp_1"}
    body = json.dumps({"id": "evt_1", "type": kind, "created_at": "2026-02-01T00:00:00Z", "data": data}).encode()
    event = server.gateway().read_webhook(webhook(server.config.webhook_secret, body), body, NOW)
    assert (event.kind, event.key, event.charge, event.dispute) == (expected, "att_1", "ch_1", "dp_1")
    assert (event.id, event.occurred_at) == ("evt_1", datetime(2026, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b'{"type": 7}', b'{"type": "charge.updated", "data": []}'])
def test_a_signed_webhook_that_says_nothing_is_kept_as_other(server: SandboxServer, body: bytes) -> None:
    event = server.gateway().read_webhook(webhook(server.config.webhook_secret, body), body, NOW)
    assert (event.id, event.kind, event.occurred_at) == ("evt_1", EventKind.OTHER, NOW)


def test_a_webhook_signed_with_a_foreign_secret_is_refused(server: SandboxServer) -> None:
    with pytest.raises(InvalidSignature):
        server.gateway().read_webhook(webhook(new_signing_secret(), b"{}"), b"{}", NOW)


def test_an_old_and_a_new_webhook_secret_both_count_during_rotation(server: SandboxServer) -> None:
    new = new_signing_secret()
    gateway = server.gateway(webhook_secrets=(new, server.config.webhook_secret))
    for secret in (new, server.config.webhook_secret):
        assert gateway.read_webhook(webhook(secret, b"{}"), b"{}", NOW).id == "evt_1"


def test_books_of_several_pages_are_read_to_their_end_and_from_when_it_was_asked(
    server: SandboxServer, gateway: SandboxGateway
) -> None:
    server.pay("att_old")
    server.advance(days=2)
    keys = [f"att_{number}" for number in range(201)]
    for key in keys:
        server.pay(key)
    everything = datetime(2026, 1, 1, tzinfo=UTC)
    assert [charge.key for charge in gateway.books(everything)] == ["att_old", *keys]
    assert [charge.key for charge in gateway.books(SystemClock().now() + timedelta(days=1))] == keys
    server.fault("garbage", "books")
    with pytest.raises(CouldNotAsk):
        list(gateway.books(everything))


def test_books_that_come_back_to_where_they_were_are_not_read_for_ever(server: SandboxServer) -> None:
    charge = {"id": "ch_1", "key": "att_1", "reference": "", "currency": "EUR", "created_at": "2026-01-01T00:00:00Z"}
    charge |= dict.fromkeys(("authorized", "captured", "refunded", "voided", "disputed"), 0)
    page = orjson.dumps({"data": [charge], "has_more": True})
    with hostile(answers(200, page)) as endless:
        charges = server.gateway(base_url=endless.url).books(datetime(2026, 1, 1, tzinfo=UTC))
        with pytest.raises(CouldNotAsk, match="does not list them"):
            list(islice(charges, 10))


def test_books_are_not_read_from_the_start_again_after_a_charge_that_is_gone(server: SandboxServer) -> None:
    server.pay("att_1")
    assert server.request("GET", "/v1/charges?after=ch_gone")[0] == 404
