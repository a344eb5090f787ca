"""The real thing as processes, killed in the middle of its work and started again."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import timedelta
from itertools import cycle, islice
from typing import Any

import pytest
import urllib3
from playwright.sync_api import Page, expect
from sqlalchemy import or_, select

from app.engine.models import Instance, WaitRow
from app.gateways.sandbox_books import booked
from app.payments.gateway_books import verify_books
from app.payments.models import Attempt, Payment
from app.payments.reconcile import verify_ledger
from tests.system.stack import RunningStack

METHODS = (
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_insufficient_funds",
    "pm_card_pending",
    "pm_card_visa",
    "pm_card_3ds",
    "pm_card_unavailable",
    "pm_card_high_risk",
)
PAYMENTS = 40
#: What a slow machine made unknown is asked about after 60 seconds, too.
PATIENCE_SECONDS = 150
RESTS = ("waiting", "completed")


@pytest.fixture
def stack() -> Iterator[RunningStack]:
    running = RunningStack()
    yield running
    running.close()


def order(number: int, method: str) -> dict[str, Any]:
    return {"amount": 1000 + number, "currency": "EUR", "payment_method": method, "reference": f"order-{number}"}


def insist(stack: RunningStack, number: int, method: str) -> str:
    """Ask with the same key until there is an answer, as a careful client does."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            status, body, _ = stack.post("/v1/payments", order(number, method), f"order-{number}")
        except (urllib3.exceptions.HTTPError, OSError):
            time.sleep(0.2)
            continue
        if status == 201:
            return str(body["id"])
        assert status in (409, 500, 502, 503), body
        time.sleep(0.2)
    raise AssertionError(f"order-{number} was never answered")


def open_business(stack: RunningStack) -> list[str]:
    """What has neither ended nor rests where everybody can see why."""
    database = stack.database()
    try:
        with database.begin() as tx:
            undecided = tx.session.scalars(
                select(Attempt).where(or_(Attempt.state == "begun", Attempt.outcome.in_(("unknown", "pending"))))
            )
            waits = select(WaitRow.id).where(WaitRow.instance_id == Instance.id)
            unseen = (Instance.status == "waiting") & ~waits.exists()
            soon = Instance.due_at < tx.now() + timedelta(minutes=1)
            # Whoever took it up has its timer, and neither its attempt nor its status can be seen before the commit.
            taken_up = Instance.lease_until.is_not(None)
            restless = tx.session.scalars(
                select(Instance).where(or_(Instance.status.not_in(RESTS), unseen, soon, taken_up))
            )
            return [f"{one.id} {one.outcome}" for one in undecided] + [f"{one.id} {one.status}" for one in restless]
    finally:
        database.close()


def check_everything(stack: RunningStack) -> None:
    """Our amounts, the ledger and the books of both gateways agree, and nobody was charged twice."""
    charges = stack.charges()
    database = stack.database()
    with database.begin() as tx:
        assert verify_ledger(tx) == []
        for gateway, books in charges.items():
            assert verify_books(tx, gateway, map(booked, books)) == []
        succeeded = set(tx.session.scalars(select(Payment.id).where(Payment.status == "succeeded")))
    database.close()
    captured = Counter(charge["reference"] for books in charges.values() for charge in books if charge["captured"])
    assert captured == Counter(succeeded), "each is captured once and at one gateway"


@pytest.mark.timeout(400)
def test_killed_in_the_middle_everything_ends_or_waits_and_nothing_is_charged_twice(stack: RunningStack) -> None:
    stack.start()
    orders = list(enumerate(islice(cycle(METHODS), PAYMENTS)))
    with ThreadPoolExecutor(6) as pool:
        asked: dict[Future[str], int] = {pool.submit(insist, stack, *one): one[0] for one in orders}
        for answered, _ in enumerate(as_completed(asked), start=1):
            if answered == PAYMENTS // 3:
                assert stack.kill() > 8
                stack.start()
        payments = {number: future.result() for future, number in asked.items()}

    assert len(set(payments.values())) == PAYMENTS
    for number, method in orders[:5]:
        status, body, replayed = stack.post("/v1/payments", order(number, method), f"order-{number}")
        assert (status, body["id"], replayed) == (201, payments[number], True)
    end = time.monotonic() + PATIENCE_SECONDS
    while open_business(stack) and time.monotonic() < end:
        time.sleep(0.5)
    assert open_business(stack) == []

    shown = {payment: stack.get(f"/v1/payments/{payment}") for payment in payments.values()}
    ends = Counter((orders[number][1], shown[payment]["status"]) for number, payment in payments.items())
    each = PAYMENTS // len(METHODS)
    # The other gateway was killed as well, so it may have been away just when it was its turn. Where the worker died in
    # a call, what the gateway refuses now says nothing of what it did then: it is looked up, and nothing was done.
    unreached = [one for one in shown.values() if one["status_reason"] in ("gateway_unavailable", "not_charged")]
    ends.subtract(("pm_card_unavailable", one["status"]) for one in unreached)
    assert all((one["status"], one["amount_captured"]) == ("failed", 0) for one in unreached)
    assert +ends == {
        ("pm_card_visa", "succeeded"): 2 * each,
        ("pm_card_mastercard", "succeeded"): each,
        ("pm_card_insufficient_funds", "failed"): each,
        ("pm_card_pending", "succeeded"): each,
        ("pm_card_3ds", "requires_action"): each,
        ("pm_card_unavailable", "succeeded"): each - len(unreached),
        ("pm_card_high_risk", "requires_review"): each,
    }
    check_everything(stack)
    one_key_is_one_payment(stack)
    assert stack.stop() == 0


def one_key_is_one_payment(stack: RunningStack) -> None:
    """Twenty requests at once under one key, and another body under it."""

    def ask(_: int) -> tuple[int, Any, bool]:
        for _ in range(20):
            status, body, replayed = stack.post("/v1/payments", order(99, "pm_card_visa"), "all-at-once")
            if status != 409:
                break
            time.sleep(0.2)
        return status, body["id"], replayed

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    assert len({(status, payment) for status, payment, _ in answers}) == 1
    assert answers[0][0] == 201
    assert [replayed for _, _, replayed in answers].count(False) == 1

    status, body, _ = stack.post("/v1/payments", order(100, "pm_card_visa"), "all-at-once")
    assert (status, body["code"]) == (422, "idempotency_key_reused")


@pytest.mark.timeout(400)
def test_a_decision_made_in_the_browser_captures_the_payment(stack: RunningStack, page: Page) -> None:
    stack.start()
    payment = insist(stack, 1, "pm_card_high_risk")
    reviewer = stack.told["users"]["reviewer"]
    page.goto(f"{stack.url}/sign-in")
    page.get_by_label("E-mail").fill(reviewer["email"])
    page.get_by_label("Password").fill(reviewer["password"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Areas")).to_be_visible()
    page.goto(f"{stack.url}/payments/{payment}")
    page.get_by_role("link", name="Open the task").click()
    page.get_by_role("button", name="Claim").click()
    page.get_by_label("Reason").select_option("customer_confirmed")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Your decision is on its way")).to_be_visible()
    page.goto(f"{stack.url}/payments/{payment}")
    expect(page.locator(".head")).to_contain_text("Succeeded", timeout=30_000)
    shown = stack.get(f"/v1/payments/{payment}")
    assert (shown["status"], shown["amount_captured"]) == ("succeeded", 1001)
    check_everything(stack)
