"""A new gateway's first files: an adapter that sends nothing yet, and the tests it owes, each saying what to do."""

import re
from pathlib import Path
from typing import Final

from app.errors import Conflict, InvalidInput

_NAME: Final = re.compile("[a-z][a-z0-9_]{1,29}")


class BadGatewayName(InvalidInput):
    code = "bad_gateway_name"
    title = "This is no name for a gateway"


class GatewayExists(Conflict):
    code = "gateway_exists"
    title = "There is such a gateway already"


def write(name: str, root: Path) -> list[Path]:
    """Write both files below `root`, the checkout; BadGatewayName or GatewayExists, and then nothing is written."""
    if not _NAME.fullmatch(name):
        raise BadGatewayName(f"{name!r}: use 2 to 30 lower-case letters, digits and underscores, a letter first")
    texts = {
        root / "app" / "gateways" / f"{name}.py": _ADAPTER,
        root / "tests" / "gateways" / f"test_{name}.py": _TESTS,
    }
    for path in texts:
        if path.exists():
            raise GatewayExists(f"{path.relative_to(root)} exists; choose another name or remove it")
    title = name.replace("_", " ").title()
    for path, text in texts.items():
        path.write_text(
            text.replace("@name@", name).replace("@Class@", title.replace(" ", "")).replace("@Title@", title)
        )
    return list(texts)


_ADAPTER: Final = '''"""The adapter of @Title@: its documented answers to our words, everything else to UNKNOWN."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.gateways.port import (
    Authorize,
    BookedCharge,
    Capability,
    Capture,
    CouldNotAsk,
    Evidence,
    GatewayDispute,
    GatewayEvent,
    GatewayResult,
    InvalidSignature,
    Lookup,
    LookupResult,
    Outcome,
    Refund,
    Void,
)
from app.gateways.wire import Wire


class @Class@Options(BaseModel):
    """Settings of one account at @Title@."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str = Field(pattern="^https?://")
    api_key: SecretStr
    webhook_secrets: tuple[SecretStr, ...] = ()
    title: str = "@Title@"
    connect_seconds: float = Field(default=5, gt=0)
    total_seconds: float = Field(default=30, gt=0)
    visible_after_seconds: float = Field(default=120, ge=0)
    lookup_ladder_seconds: tuple[float, ...] = (5, 10, 30, 120, 600, 3600, 21600, 86400)
    pending_ladder_seconds: tuple[float, ...] = (60, 600, 3600, 21600, 86400, 86400, 172800, 259200, 604800)


class @Class@Gateway:
    """Fills the port for @Title@. Safe to share between threads."""

    # Claim a capability only where it is documented: by these the core decides whether a call may be sent again.
    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, name: str, options: @Class@Options) -> None:
        self.name = name
        self.title = options.title
        self.visible_after_seconds = options.visible_after_seconds
        self.lookup_ladder_seconds = options.lookup_ladder_seconds
        self.pending_ladder_seconds = options.pending_ladder_seconds
        self._secrets = tuple(secret.get_secret_value() for secret in options.webhook_secrets)
        self._wire = Wire(
            options.base_url,
            {"authorization": f"Bearer {options.api_key.get_secret_value()}"},
            connect_seconds=options.connect_seconds,
            total_seconds=options.total_seconds,
        )

    def close(self) -> None:
        self._wire.close()

    def authorize(self, request: Authorize) -> GatewayResult:
        return _unwritten("authorize", request.key)

    def capture(self, request: Capture) -> GatewayResult:
        return _unwritten("capture", request.key)

    def void(self, request: Void) -> GatewayResult:
        return _unwritten("void", request.key)

    def refund(self, request: Refund) -> GatewayResult:
        return _unwritten("refund", request.key)

    def lookup(self, request: Lookup) -> LookupResult:
        return LookupResult(None, _unwritten("lookup", request.key))

    def submit_evidence(self, request: Evidence) -> GatewayResult:
        return _unwritten("submit_evidence", request.key)

    def accept_dispute(self, request: Evidence) -> GatewayResult:
        return _unwritten("accept_dispute", request.key)

    def dispute(self, dispute: str) -> GatewayDispute | None:
        raise CouldNotAsk(f"{self.name} cannot be asked about dispute {dispute} yet")

    def books(self, since: datetime) -> Iterator[BookedCharge]:
        raise CouldNotAsk(f"{self.name} cannot list its charges since {since} yet")

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayEvent:
        raise InvalidSignature(f"{self.name} cannot verify {len(body)} bytes with {len(headers)} headers of {now} yet")


def _unwritten(verb: str, key: str) -> GatewayResult:
    """Surely nothing was sent, which is the one honest thing to say until the verb is written."""
    return GatewayResult(Outcome.NOT_SENT, message=f"{verb} is not written yet; {key} was not sent")


def build(name: str, options: Mapping[str, Any]) -> @Class@Gateway:
    return @Class@Gateway(name, @Class@Options.model_validate(options))
'''

_TESTS: Final = '''"""The contract every gateway keeps, and what only the documentation of @Title@ can tell.

Replace each pytest.fail by what its sentence asks for. `test_stripe.py` beside this file is a finished example.
"""

import pytest

from app.gateways.@name@ import @Class@Gateway
from tests.gateways.contract import Connect, GatewayContract, Methods


@pytest.fixture
def gateway() -> @Class@Gateway:
    pytest.fail("Start the test system, or a server of recorded answers, and return the adapter built against it.")


class TestContract(GatewayContract):
    @pytest.fixture
    def methods(self) -> Methods:
        pytest.fail(
            "Name four payment methods of the test system: one that approves, one that declines softly, one that "
            "declines for good, and one that asks for authentication."
        )

    @pytest.fixture
    def connect(self) -> Connect:
        pytest.fail(
            "Return a function that builds the adapter against an address, with SECRET of contract.py as its "
            "credential and total_seconds below 1, and close what it built after the test."
        )

    @pytest.fixture
    def gateway(self, gateway: @Class@Gateway) -> @Class@Gateway:
        return gateway


def test_each_documented_decline_has_a_reason_and_says_what_it_allows() -> None:
    pytest.fail("List every documented decline code with the DeclineCode and Retry it becomes, and one unknown code.")


def test_each_documented_error_is_declined_not_sent_or_unknown() -> None:
    pytest.fail("List the errors: refused for good, surely without effect, and all others, which are UNKNOWN.")


def test_an_approval_that_differs_from_what_was_asked_is_unknown() -> None:
    pytest.fail("Answer with another amount, currency, reference, key or shape than was asked: each is UNKNOWN.")


def test_amounts_are_counted_as_the_gateway_counts() -> None:
    pytest.fail("Send 0, 2 and 3 decimals and every documented exception; what it cannot express is declined unsent.")


def test_an_authentication_is_asked_for_and_then_decides() -> None:
    pytest.fail("Authorize with a card that asks for 3-D Secure; a lookup then tells approved, or declined.")


@pytest.mark.parametrize("verb", ["authorize", "capture", "void", "refund"])
def test_an_answer_that_is_lost_is_unknown_found_by_lookup_and_not_done_twice(verb: str) -> None:
    pytest.fail(f"Drop the answer to {verb} with tests/proxy.py: it is UNKNOWN, found by lookup, and done once.")


def test_a_refund_that_fails_later_is_found_declined() -> None:
    pytest.fail("Let a refund fail after it was accepted; its lookup is DECLINED with REFUND_REFUSED.")


def test_a_signature_counts_five_minutes_to_both_sides() -> None:
    pytest.fail("Sign webhooks 300 and 301 seconds before and after now; without a time, say how a replay is stopped.")


def test_while_a_secret_is_changed_the_old_and_the_new_both_count() -> None:
    pytest.fail("Configure two webhook secrets; a webhook signed with either is accepted, with a third refused.")


def test_each_event_says_whom_it_concerns() -> None:
    pytest.fail("List the events with the EventKind, key, charge and dispute each gives; all others are OTHER.")


def test_a_signed_webhook_that_says_nothing_is_kept_as_other() -> None:
    pytest.fail("Sign an empty body, a JSON list and broken JSON; each is of kind OTHER with an id of its own.")


def test_a_dispute_is_told_in_our_words_and_answered_once() -> None:
    pytest.fail("Map every dispute status to our stage and status, with due date and fee; hand in evidence, accept.")


def test_the_books_count_what_took_effect_as_attempts_do() -> None:
    pytest.fail("With BOOKS: list a charge in each state; what is pending, failed or foreign counts nothing.")


def test_the_books_end_at_the_period_and_never_half_way() -> None:
    pytest.fail("With BOOKS: three pages, one charge older than asked for, and an error or no answer in the middle.")


def test_no_such_dispute_and_no_answer_about_it_are_two_things() -> None:
    pytest.fail("A dispute the gateway does not know is None; when it does not answer, CouldNotAsk is raised.")


def test_a_charge_id_cannot_lead_to_another_path() -> None:
    pytest.fail("Void the charge ../disputes/dp_1?x=#y; on the wire the id stays one quoted part of the path.")
'''
