"""What every gateway must promise, as tests. An adapter passes by subclassing GatewayContract with three fixtures:

`methods` names payment methods that steer its test system, `connect` builds the adapter against any address, and
`gateway` is the adapter connected to a test system that works. `gaps` names the tests its test system cannot carry,
each with the reason; what they promise must then be shown in another way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from app.gateways.port import (
    Authorize,
    Capability,
    Capture,
    CouldNotAsk,
    DeclineCode,
    Gateway,
    GatewayResult,
    InvalidSignature,
    Lookup,
    Outcome,
    Refund,
    Retry,
    Void,
)
from app.kit.clock import SystemClock
from app.kit.ids import new_id
from app.kit.money import Money
from tests.hostile import Behaviour, answers, closed_port, hostile, is_silent, says

Connect = Callable[[str], Gateway]
SECRET = "sk_contract_secret_value"


@dataclass(frozen=True)
class Methods:
    """Payment methods by what they do; `needs_action` empty when the test system cannot ask for one."""

    approves: str
    declines_softly: str
    declines_hard: str
    needs_action: str = ""


def captures_several(gateway: Gateway) -> bool:
    return Capability.MULTIPLE_CAPTURES in gateway.capabilities


def eur(minor: int) -> Money:
    return Money(minor, "EUR")


def every_verb(gateway: Gateway) -> dict[str, Callable[[], GatewayResult]]:
    """One call of each verb, about a charge the other side need not know."""
    return {
        "authorize": lambda: gateway.authorize(Authorize(new_id("att"), new_id("pay"), eur(1000), "pm_any")),
        "capture": lambda: gateway.capture(Capture(new_id("att"), "ch_any", eur(1000))),
        "void": lambda: gateway.void(Void(new_id("att"), "ch_any")),
        "refund": lambda: gateway.refund(Refund(new_id("att"), "ch_any", eur(1000))),
    }


UNCLEAR: dict[str, Behaviour] = {
    "silence": is_silent,
    "closing without an answer": says(b""),
    "half an answer": says(b'HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"id": "ch_1", '),
    "an empty 200": answers(200, b""),
    "a 200 that is a web page": answers(200, b"<html>maintenance</html>"),
    "a 200 of an unknown shape": answers(200, b'{"hello": "world"}'),
    "a JSON list": answers(200, b"[]"),
    "a JSON number": answers(200, b"7"),
    "a 500": answers(500, b'{"error": {"code": "internal_error"}}'),
    "a 502 of a proxy": answers(502, b"<html>bad gateway</html>"),
    "a 503 without a documented reason": answers(503, b"{}"),
    "a 504 of a proxy": answers(504, b"upstream timed out"),
    "a redirect": answers(302, b"{}", "location: http://127.0.0.1:9/"),
    "a status nobody documents": answers(299, b"{}"),
    "an endless answer": says(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 2_000_000),
    "a deeply nested answer": answers(200, b'{"a":' * 2000 + b"1" + b"}" * 2000),
    "something that is not UTF-8": answers(200, b'{"id": "\xff\xfe"}'),
}


class GatewayContract:
    gaps: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _leave_out_gaps(self, request: pytest.FixtureRequest) -> None:
        if reason := self.gaps.get(request.function.__name__):
            pytest.skip(reason)

    @pytest.fixture
    def methods(self) -> Methods:
        raise NotImplementedError

    @pytest.fixture
    def connect(self) -> Connect:
        """Builds the adapter against an address, with SECRET as its credential and a total timeout below 1 s."""
        raise NotImplementedError

    @pytest.fixture
    def gateway(self) -> Gateway:
        raise NotImplementedError

    @pytest.fixture
    def authorized(self, gateway: Gateway, methods: Methods) -> str:
        result = gateway.authorize(Authorize(new_id("att"), new_id("pay"), eur(1000), methods.approves))
        assert result.outcome is Outcome.APPROVED, result
        return result.gateway_reference

    def decline(self, gateway: Gateway, payment_method: str) -> DeclineCode:
        result = gateway.authorize(Authorize(new_id("att"), new_id("pay"), eur(1000), payment_method))
        assert result.outcome is Outcome.DECLINED
        assert result.gateway_code
        assert result.decline is not None
        return result.decline

    def test_an_approval_names_the_charge_the_amount_and_how_long_it_holds(
        self, gateway: Gateway, methods: Methods
    ) -> None:
        result = gateway.authorize(Authorize(new_id("att"), new_id("pay"), eur(1000), methods.approves))
        assert result.outcome is Outcome.APPROVED
        assert result.gateway_reference
        assert result.amount == eur(1000)
        assert result.expires_at is None or result.expires_at.tzinfo is not None

    def test_a_soft_decline_allows_another_try(self, gateway: Gateway, methods: Methods) -> None:
        assert self.decline(gateway, methods.declines_softly).retry is Retry.LATER

    def test_a_hard_decline_allows_none(self, gateway: Gateway, methods: Methods) -> None:
        assert self.decline(gateway, methods.declines_hard).retry is Retry.NEVER

    def test_an_authentication_tells_where_the_customer_must_go(self, gateway: Gateway, methods: Methods) -> None:
        if not methods.needs_action:
            pytest.skip("The test system of this gateway asks for no authentication")
        request = Authorize(new_id("att"), new_id("pay"), eur(1000), methods.needs_action, "https://shop.test/back")
        result = gateway.authorize(request)
        assert result.outcome is Outcome.NEEDS_ACTION
        assert result.next_action is not None
        assert result.next_action.url.startswith("http")

    def test_a_capture_tells_its_amount_and_a_reference_of_its_own(self, gateway: Gateway, authorized: str) -> None:
        result = gateway.capture(Capture(new_id("att"), authorized, eur(1000)))
        assert result.outcome in (Outcome.APPROVED, Outcome.PENDING)
        assert result.gateway_reference
        assert result.amount == eur(1000)

    def test_several_captures_share_one_authorization(self, gateway: Gateway, authorized: str) -> None:
        if not captures_several(gateway):
            pytest.skip("This gateway captures once")
        first = gateway.capture(Capture(new_id("att"), authorized, eur(300), final=False))
        second = gateway.capture(Capture(new_id("att"), authorized, eur(700), final=False))
        assert {first.outcome, second.outcome} <= {Outcome.APPROVED, Outcome.PENDING}
        assert first.gateway_reference != second.gateway_reference

    def test_a_final_capture_leaves_nothing_to_capture(self, gateway: Gateway, authorized: str) -> None:
        gateway.capture(Capture(new_id("att"), authorized, eur(300), final=True))
        assert gateway.capture(Capture(new_id("att"), authorized, eur(100))).outcome is Outcome.DECLINED

    def test_more_than_authorized_is_not_captured(self, gateway: Gateway, authorized: str) -> None:
        assert gateway.capture(Capture(new_id("att"), authorized, eur(1001))).outcome is Outcome.DECLINED

    def test_a_voided_authorization_cannot_be_captured(self, gateway: Gateway, authorized: str) -> None:
        assert gateway.void(Void(new_id("att"), authorized)).outcome in (Outcome.APPROVED, Outcome.PENDING)
        assert gateway.capture(Capture(new_id("att"), authorized, eur(1000))).outcome is Outcome.DECLINED

    def test_refunds_end_at_what_was_captured(self, gateway: Gateway, authorized: str) -> None:
        gateway.capture(Capture(new_id("att"), authorized, eur(1000)))
        parts = [gateway.refund(Refund(new_id("att"), authorized, eur(minor))) for minor in (400, 600)]
        assert {part.outcome for part in parts} <= {Outcome.APPROVED, Outcome.PENDING}
        assert [part.amount for part in parts] == [eur(400), eur(600)]
        assert gateway.refund(Refund(new_id("att"), authorized, eur(1))).outcome is Outcome.DECLINED

    def test_the_same_key_is_the_same_operation(self, gateway: Gateway, methods: Methods) -> None:
        if Capability.IDEMPOTENT not in gateway.capabilities:
            pytest.skip("This gateway does not promise it")
        request = Authorize(new_id("att"), new_id("pay"), eur(1000), methods.approves)
        first = gateway.authorize(request)
        assert gateway.authorize(request).gateway_reference == first.gateway_reference
        capture = Capture(new_id("att"), first.gateway_reference, eur(400), final=not captures_several(gateway))
        assert gateway.capture(capture).gateway_reference == gateway.capture(capture).gateway_reference
        refund = Refund(new_id("att"), first.gateway_reference, eur(250))
        assert gateway.refund(refund).gateway_reference == gateway.refund(refund).gateway_reference

    def test_every_operation_can_be_looked_up(self, gateway: Gateway, methods: Methods) -> None:
        charges = [
            gateway.authorize(Authorize(new_id("att"), new_id("pay"), eur(1000), methods.approves)).gateway_reference
            for _ in range(2)
        ]
        final = not captures_several(gateway)
        operations: list[tuple[str, str, Callable[[str, str], GatewayResult]]] = [
            ("capture", charges[0], lambda key, charge: gateway.capture(Capture(key, charge, eur(600), final=final))),
            ("refund", charges[0], lambda key, charge: gateway.refund(Refund(key, charge, eur(100)))),
            ("void", charges[1], lambda key, charge: gateway.void(Void(key, charge))),
        ]
        for verb, charge, operate in operations:
            key = new_id("att")
            assert gateway.lookup(Lookup(verb, key, charge=charge)).found is False, verb
            done = operate(key, charge)
            for reference in (done.gateway_reference, ""):
                found = gateway.lookup(Lookup(verb, key, reference, charge))
                assert found.found, verb
                assert found.result is not None
                assert found.result.outcome is Outcome.APPROVED, verb
                assert (found.result.gateway_reference, found.result.amount) == (done.gateway_reference, done.amount)

    @pytest.mark.parametrize("ending", ["capture", "void"])
    def test_an_authorization_is_found_as_given_whatever_became_of_it(
        self, gateway: Gateway, methods: Methods, ending: str
    ) -> None:
        key = new_id("att")
        done = gateway.authorize(Authorize(key, new_id("pay"), eur(1000), methods.approves))
        charge = done.gateway_reference
        if ending == "capture":
            gateway.capture(Capture(new_id("att"), charge, eur(600)))
        else:
            gateway.void(Void(new_id("att"), charge))
        for reference in (charge, ""):
            found = gateway.lookup(Lookup("authorize", key, reference))
            assert found.found
            assert found.result is not None
            assert found.result.outcome is Outcome.APPROVED
            assert (found.result.gateway_reference, found.result.amount) == (charge, eur(1000))

    def test_a_decline_can_be_looked_up(self, gateway: Gateway, methods: Methods) -> None:
        key = new_id("att")
        declined = gateway.authorize(Authorize(key, new_id("pay"), eur(1000), methods.declines_softly))
        found = gateway.lookup(Lookup("authorize", key, declined.gateway_reference))
        assert found.found
        assert found.result is not None
        assert (found.result.outcome, found.result.decline) == (Outcome.DECLINED, declined.decline)

    def test_an_operation_that_never_was_is_not_found(self, gateway: Gateway) -> None:
        assert gateway.lookup(Lookup("authorize", new_id("att"))).found is False

    def test_a_gateway_that_is_not_there_was_sent_nothing(self, connect: Connect) -> None:
        gateway = connect(closed_port())
        outcomes = {verb: call().outcome for verb, call in every_verb(gateway).items()}
        assert outcomes == dict.fromkeys(outcomes, Outcome.NOT_SENT)
        assert gateway.lookup(Lookup("authorize", new_id("att"))).found is None

    @pytest.mark.parametrize("verb", ["authorize", "capture", "void", "refund"])
    @pytest.mark.parametrize("answer", UNCLEAR)
    def test_an_unclear_answer_is_unknown_and_sent_once(self, connect: Connect, verb: str, answer: str) -> None:
        with hostile(UNCLEAR[answer]) as server:
            result = every_verb(connect(server.url))[verb]()
        assert result.outcome is Outcome.UNKNOWN
        assert result.message
        assert len(server.requests) == 1

    @pytest.mark.parametrize("answer", UNCLEAR)
    def test_an_unclear_answer_to_a_lookup_is_no_evidence(self, connect: Connect, answer: str) -> None:
        with hostile(UNCLEAR[answer]) as server:
            assert connect(server.url).lookup(Lookup("authorize", new_id("att"))).found is None

    def test_credentials_go_out_but_never_come_back(self, connect: Connect) -> None:
        echo = b'{"error": {"code": "strange", "message": "x"}, "api_key": "' + SECRET.encode() + b'"}'
        with hostile(answers(418, echo)) as server:
            results: list[Any] = [call() for call in every_verb(connect(server.url)).values()]
        assert SECRET not in repr(results)
        assert SECRET not in repr(connect(closed_port()))
        assert server.requests
        assert all(SECRET.encode() in request for request in server.requests)

    def test_its_books_show_each_charge_with_what_was_done_to_it(self, gateway: Gateway, methods: Methods) -> None:
        if Capability.BOOKS not in gateway.capabilities:
            pytest.skip("This gateway shows no books")
        since = SystemClock().now() - timedelta(hours=1)
        keys = {state: new_id("att") for state in ("held", "refunded", "voided", "declined")}
        charge = {}
        for state, key in keys.items():
            method = methods.declines_hard if state == "declined" else methods.approves
            charge[state] = gateway.authorize(Authorize(key, f"pay_{state}", eur(1000), method)).gateway_reference
        gateway.capture(Capture(new_id("att"), charge["refunded"], eur(1000)))
        refunds = [Refund(new_id("att"), charge["refunded"], eur(minor)) for minor in (300, 100)]
        assert {gateway.refund(refund).outcome for refund in refunds} == {Outcome.APPROVED}
        gateway.void(Void(new_id("att"), charge["voided"]))
        booked = {one.key: one for one in gateway.books(since)}

        def sums(state: str) -> tuple[int | None, ...]:
            one = booked[keys[state]]
            assert (one.charge, one.reference, one.currency) == (charge[state], f"pay_{state}", "EUR")
            return one.authorized, one.captured, one.refunded, one.voided, one.disputed

        assert sums("held") == (1000, 0, 0, 0, 0)
        assert sums("refunded") == (1000, 1000, 400, 0, 0)
        assert sums("voided") == (1000, 0, 0, 1000, 0)
        # A gateway may have no line for what it declined; where it has one, nothing is held.
        assert keys["declined"] not in booked or booked[keys["declined"]].authorized == 0

    @pytest.mark.parametrize("answer", UNCLEAR)
    def test_an_unclear_answer_is_no_end_of_the_books(self, connect: Connect, answer: str) -> None:
        with hostile(UNCLEAR[answer]) as server:
            gateway = connect(server.url)
            if Capability.BOOKS not in gateway.capabilities:
                pytest.skip("This gateway shows no books")
            with pytest.raises(CouldNotAsk):
                list(gateway.books(datetime(2026, 1, 1, tzinfo=UTC)))

    def test_an_unsigned_webhook_is_refused(self, gateway: Gateway) -> None:
        with pytest.raises(InvalidSignature):
            gateway.read_webhook({"content-type": "application/json"}, b"{}", datetime(2026, 1, 1, tzinfo=UTC))

    def test_the_ladder_reaches_beyond_the_moment_from_which_not_found_counts(self, gateway: Gateway) -> None:
        assert all(wait > 0 for wait in gateway.lookup_ladder_seconds)
        assert sum(gateway.lookup_ladder_seconds) > gateway.visible_after_seconds >= 0

    def test_what_is_pending_is_asked_about_more_slowly_than_what_is_unknown(self, gateway: Gateway) -> None:
        assert gateway.pending_ladder_seconds[0] > gateway.lookup_ladder_seconds[0]
        assert sum(gateway.pending_ladder_seconds) > sum(gateway.lookup_ladder_seconds)
