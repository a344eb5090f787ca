"""`sluice verify-gateway` on Stripe: both books agree, and whatever was done behind our back there is found."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from app.gateways.port import Authorize
from app.gateways.registry import Registry
from app.gateways.stripe import build
from app.kit.money import Money
from app.refunds.commands import CreateRefund
from app.refunds.service import create_refund
from tests.gateways.localstripe import KEY, LocalStripe, local_stripe
from tests.hostile import Behaviour, answers, closed_port, hostile, is_silent
from tests.proxy import Kind, fault_proxy
from tests.till import Till

Verify = Callable[..., Result]


@pytest.fixture
def stripe(tmp_path: Path) -> Iterator[LocalStripe]:
    """One of its own: what other tests charge there would be strange to this database."""
    with local_stripe(tmp_path) as server:
        yield server


@pytest.fixture
def stripe_till(till: Till, stripe: LocalStripe) -> Iterator[Till]:
    till.gateways = Registry([build("stripe_a", {"base_url": stripe.url, "api_key": KEY})])
    yield till
    till.gateways.close()


@pytest.fixture
def verify(till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verify:
    monkeypatch.setenv("DATABASE_URL", till.database.url)
    monkeypatch.setenv("SLUICE_VAR", str(tmp_path / "var"))

    def run(url: str, *arguments: str, **options: Any) -> Result:
        given = {"base_url": url, "api_key": KEY, **options}
        gateways = [{"name": "stripe_a", "adapter": "stripe", "options": given}]
        monkeypatch.setenv("SLUICE_GATEWAYS", orjson.dumps(gateways).decode())
        return CliRunner().invoke(cli, ["verify-gateway", *arguments], catch_exceptions=False)

    return run


def held(till: Till, amount: int = 1000) -> str:
    payment = till.create(amount=amount)
    till.run("payment.authorize", payment, gateway="stripe_a")
    return payment


def captured(till: Till) -> str:
    payment = held(till)
    till.run("payment.capture", payment)
    return payment


def refunded(till: Till, amount: int) -> str:
    payment = captured(till)
    with till.database.begin() as tx:
        refund = create_refund(tx, till.actor, CreateRefund(payment=payment, amount=amount, reason="other")).id
    till.run("refund.send", refund)
    return payment


def charge(till: Till, payment: str) -> str:
    return till.payment(payment).gateway_reference


def key(till: Till, payment: str) -> str:
    return till.attempt(payment, "authorize").id


def rows(result: Result) -> dict[str, list[str]]:
    """The table's lines by what they are about."""
    return {cells[1]: cells[2:] for line in result.output.splitlines() if (cells := line.split())[:1] == ["EUR"]}


def test_holds_captures_refunds_voids_and_declines_agree(
    stripe_till: Till, stripe: LocalStripe, verify: Verify
) -> None:
    till = stripe_till
    held(till)
    captured(till)
    refunded(till, 400)
    till.run("payment.void", held(till, 700))
    till.fails("payment.authorize", till.create("pm_card_chargeCustomerFail"), gateway="stripe_a")
    result = verify(stripe.url)
    assert result.exit_code == 0, result.output
    assert rows(result) == {
        "authorized": ["3,700", "3,700"],
        "captured": ["2,000", "2,000"],
        "refunded": ["400", "400"],
        "voided": ["700", "700"],
    }
    assert "Charges since " in result.output
    assert result.output.endswith("The books agree.\n")


def test_what_a_capture_leaves_over_is_no_refund(stripe_till: Till, stripe: LocalStripe, verify: Verify) -> None:
    stripe_till.run("payment.capture", held(stripe_till), amount=600)
    result = verify(stripe.url)
    assert result.exit_code == 0, result.output
    assert rows(result) == {"authorized": ["1,000", "1,000"], "captured": ["600", "600"]}


def test_a_list_that_comes_back_to_where_it_was_is_not_read_for_ever(till: Till, verify: Verify) -> None:
    shown = {"id": "pi_1", "object": "payment_intent", "created": 4_000_000_000}
    page = orjson.dumps({"object": "list", "data": [shown], "has_more": True})
    with hostile(answers(200, page)) as server:
        result = verify(server.url)
        assert len(server.requests) == 2
    assert result.exit_code == 1
    assert "stripe_a did not list its payments to the end" in result.output


def test_a_hold_behind_our_back_is_found(stripe_till: Till, stripe: LocalStripe, verify: Verify) -> None:
    captured(stripe_till)
    order = Authorize("att_strange", "pay_strange", Money(999, "EUR"), "pm_card_visa")
    stripe_till.gateways.get("stripe_a").authorize(order)
    result = verify(stripe.url)
    assert result.exit_code == 1
    assert "stripe_a: att_strange: authorized is 0 in our books and 999 in the other" in result.output
    assert rows(result)["authorized"] == ["1,000", "1,999", "differs"]
    assert result.output.endswith("1 problems.\n")


BEHIND_OUR_BACK: dict[str, tuple[Callable[[Till], str], str, dict[str, Any], str]] = {
    "a capture": (held, "/v1/payment_intents/{}/capture", {}, "captured is 0 in our books and 1000"),
    "a cancellation": (held, "/v1/payment_intents/{}/cancel", {}, "voided is 0 in our books and 1000"),
    "a refund": (captured, "/v1/refunds", {"amount": 1}, "refunded is 0 in our books and 1"),
    "another refund": (
        lambda till: refunded(till, 400),
        "/v1/refunds",
        {"amount": 50},
        "refunded is 400 in our books and 450",
    ),
}


@pytest.mark.parametrize("what", BEHIND_OUR_BACK)
def test_what_was_done_to_our_charge_behind_our_back_is_found(
    stripe_till: Till, stripe: LocalStripe, verify: Verify, what: str
) -> None:
    begin, path, form, sentence = BEHIND_OUR_BACK[what]
    payment = begin(stripe_till)
    intent = charge(stripe_till, payment)
    on = {} if "{}" in path else {"payment_intent": intent}
    stripe.request("POST", path.format(intent), **form, **on)
    result = verify(stripe.url)
    assert result.exit_code == 1
    assert f"stripe_a: {key(stripe_till, payment)}: {sentence} in the other\n1 problems.\n" in result.output


def test_ours_that_stripe_does_not_list_is_found(stripe_till: Till, verify: Verify) -> None:
    payment = captured(stripe_till)
    with hostile(answers(200, b'{"object": "list", "data": [], "has_more": false}')) as nothing:
        result = verify(nothing.url)
    assert result.exit_code == 1
    assert f"{key(stripe_till, payment)}: captured is 1000 in our books and 0 in the other" in result.output


def test_charges_of_other_software_are_told_and_no_difference(
    stripe_till: Till, stripe: LocalStripe, verify: Verify
) -> None:
    captured(stripe_till)
    for _ in range(2):
        form = {"amount": 555, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
        stripe.request("POST", "/v1/payment_intents", **form)
    result = verify(stripe.url)
    assert result.exit_code == 0, result.output
    assert "stripe_a: 2 charges carry no key of ours and are not compared" in result.output
    assert "usd" not in result.output.lower()


def test_three_pages_are_read_and_their_reading_is_told_to_who_waits(
    stripe_till: Till, stripe: LocalStripe, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.commands.checks.TOLD_EVERY", 100)
    payment = captured(stripe_till)
    for number in range(249):
        form = {"amount": 1, "currency": "eur", "metadata[sluice_attempt]": f"att_{number}", "capture_method": "manual"}
        stripe.request("POST", "/v1/payment_intents", payment_method="pm_card_visa", confirm="true", **form)
    result = verify(stripe.url)
    assert result.exit_code == 1
    assert result.stderr == "stripe_a: 100 charges read ...\nstripe_a: 200 charges read ...\n"
    assert result.stdout.endswith("249 problems.\n")
    assert key(stripe_till, payment) not in result.stdout
    assert rows(result)["authorized"] == ["1,000", "1,249", "differs"]


LIMIT = b'{"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests"}}'
UNREADABLE: dict[str, tuple[Behaviour, str]] = {
    "a limit": (answers(429, LIMIT), "Too many requests"),
    "refused credentials": (answers(401, b'{"error": {"type": "invalid_request_error", "message": "Bad"}}'), "Bad"),
    "an error": (answers(500, b'{"error": {"type": "api_error"}}'), "HTTP 500"),
    "silence": (is_silent, "stripe_a did not list its payments to the end"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_books_that_cannot_be_read_never_agree(till: Till, verify: Verify, what: str) -> None:
    behaviour, sentence = UNREADABLE[what]
    with hostile(behaviour) as server:
        result = verify(server.url, total_seconds=0.8)
    assert result.exit_code == 1
    assert "The gateway does not show its books: stripe_a did not list its payments to the end" in result.output
    assert sentence in result.output
    assert "agree" not in result.output


def test_an_answer_that_is_lost_half_way_is_no_agreement(
    stripe_till: Till, stripe: LocalStripe, verify: Verify
) -> None:
    captured(stripe_till)
    for _ in range(100):
        form = {"amount": 1, "currency": "eur", "payment_method": "pm_card_visa", "confirm": "true"}
        stripe.request("POST", "/v1/payment_intents", **form)
    with fault_proxy("127.0.0.1", stripe.port) as proxy:
        proxy.arm(Kind.DROP, b"starting_after")
        result = verify(proxy.url)
        assert (result.exit_code, proxy.struck) == (1, 1)
        assert "100 charges were read" in result.output
        assert "agree" not in result.output
        assert verify(proxy.url).exit_code == 0


def test_a_gateway_that_is_away_does_not_keep_the_others_from_being_compared(
    stripe_till: Till, verify: Verify, stripe: LocalStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured(stripe_till)
    options = {"base_url": stripe.url, "api_key": KEY}
    away = {"name": "away", "adapter": "stripe", "options": {**options, "base_url": closed_port()}}
    there = {"name": "stripe_a", "adapter": "stripe", "options": options}
    monkeypatch.setenv("SLUICE_GATEWAYS", orjson.dumps([away, there]).decode())
    result = CliRunner().invoke(cli, ["verify-gateway"], catch_exceptions=False)
    assert result.exit_code == 1
    assert rows(result)["captured"] == ["1,000", "1,000"]
    assert "away did not list its payments to the end" in result.output
    assert result.output.endswith("1 problems.\n")


def test_the_period_is_asked_for_in_days(stripe_till: Till, stripe: LocalStripe, verify: Verify) -> None:
    captured(stripe_till)
    assert verify(stripe.url, "stripe_a", "--days", "1").exit_code == 0
    assert verify(stripe.url, "--days", "0").exit_code == 2
