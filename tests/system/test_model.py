"""Payments, refunds and disputes against a small model of them, whatever is done in whatever order.

The model knows what was accepted. From that follows what may at most have moved, and that what ended stays ended.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from app.errors import AppError
from app.payments import service
from app.payments.commands import CreatePayment
from app.payments.models import Payment
from app.payments.states import is_terminal
from app.refunds.commands import CreateRefund
from app.refunds.models import Refund
from app.refunds.service import create_refund
from app.sandbox import charges
from proof.simulation.world import World
from tests.plugins.servers import EMPTY_ALL_TABLES

METHODS = ("visa", "3ds", "pending", "high_risk", "timeout_applied", "refund_fails", "refund_fails_late", "dispute")
FINAL = ("succeeded", "failed", "canceled")


@dataclass
class Known:
    """What the model knows of one payment, in minor units."""

    amount: int
    manual: bool
    asked: int = 0
    ended: str = ""
    captured: int = 0
    refunds: dict[str, int] = field(default_factory=dict)

    @property
    def may_capture(self) -> int:
        return min(self.amount, self.asked) if self.manual else self.amount


class Machine(RuleBasedStateMachine):
    def __init__(self, url: str, folder: Path) -> None:
        super().__init__()
        with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
            connection.execute(EMPTY_ALL_TABLES)
        self.folder = folder / str(len(list(folder.iterdir())))
        self.folder.mkdir()
        self.world = World(url, 1, self.folder, workers=2)
        self.known: dict[str, Known] = {}

    def teardown(self) -> None:
        try:
            self.world.weather.fair = True
            self.world.drain()
            assert [str(broken) for broken in self.world.check(rest=True)] == []
            self.agree()
            self.all_refunds_have_ended()
        finally:
            self.world.close()

    def do(self, work: Any, **asked: Any) -> Any:
        """What the house answers, or None where it refuses."""
        try:
            with self.world.database.begin() as tx:
                return work(tx, self.world.shop.actor, **asked)
        except AppError:
            return None

    @rule(method=st.sampled_from(METHODS), amount=st.integers(100, 200_000), manual=st.booleans())
    def create(self, method: str, amount: int, *, manual: bool) -> None:
        command = CreatePayment(
            amount=amount,
            currency="EUR",
            payment_method=f"pm_card_{method}",
            capture_method="manual" if manual else "automatic",
        )
        self.known[self.do(service.create_payment, command=command).id] = Known(amount, manual)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), share=st.integers(1, 120), final=st.booleans())
    def capture(self, data: st.DataObject, share: int, *, final: bool) -> None:
        payment = data.draw(st.sampled_from(sorted(self.known)))
        known = self.known[payment]
        amount = max(1, known.amount * share // 100)
        if self.do(service.request_capture, payment_id=payment, amount=amount, final=final) is not None:
            assert amount <= known.amount
            known.asked += amount

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        payment = data.draw(st.sampled_from(sorted(self.known)))
        self.do(service.request_cancel, payment_id=payment, reason="requested_by_customer")

    @precondition(lambda self: self.known)
    @rule(data=st.data(), share=st.integers(1, 120))
    def refund(self, data: st.DataObject, share: int) -> None:
        payment = data.draw(st.sampled_from(sorted(self.known)))
        known = self.known[payment]
        amount = max(1, known.amount * share // 100)
        made = self.do(create_refund, command=CreateRefund(payment=payment, amount=amount))
        if made is not None:
            assert amount <= known.may_capture
            known.refunds[made.id] = amount

    @precondition(lambda self: self.known)
    @rule(data=st.data(), success=st.booleans())
    def authenticate(self, data: st.DataObject, *, success: bool) -> None:
        found = self.world.shop._charge(data.draw(st.sampled_from(sorted(self.known))), "needs_action")
        if found is not None:
            bank, charge = found
            self.world.shop._at(bank, lambda desk: charges.complete_action(desk, charge, success=success))

    @rule()
    def people_decide(self) -> None:
        self.world.people.work()

    @rule(number=st.integers(0, 1))
    def crash(self, number: int) -> None:
        self.world.workers[number].die(1)

    @rule(number=st.integers(0, 1))
    def sleep(self, number: int) -> None:
        self.world.workers[number].sleep(12)

    @rule(ticks=st.integers(1, 8))
    def tick(self, ticks: int) -> None:
        for _ in range(ticks):
            self.world.tick()

    @rule(seconds=st.sampled_from((5, 60, 1000, 90_000)))
    def time_passes(self, seconds: int) -> None:
        self.world.timeline.pass_by(seconds)
        self.world.tick()

    @invariant()
    def agree(self) -> None:
        with self.world.database.begin() as tx:
            for payment_id, known in self.known.items():
                payment = tx.session.get_one(Payment, payment_id)
                assert known.captured <= payment.amount_captured <= known.may_capture
                assert payment.amount_refunded + payment.amount_refunding <= sum(known.refunds.values())
                assert known.ended in ("", payment.status), "what has ended stays ended"
                known.captured = payment.amount_captured
                known.ended = payment.status if is_terminal(payment.status) else ""

    @invariant()
    def nothing_is_broken(self) -> None:
        assert [str(broken) for broken in self.world.check(rest=False)] == []

    def all_refunds_have_ended(self) -> None:
        with self.world.database.begin() as tx:
            for known in self.known.values():
                for refund, amount in known.refunds.items():
                    found = tx.session.get_one(Refund, refund)
                    assert (found.amount, found.status in FINAL) == (amount, True)


@pytest.mark.timeout(600)
def test_whatever_is_done_in_whatever_order_the_model_and_both_books_agree(database_url: str, tmp_path: Path) -> None:
    run_state_machine_as_test(
        lambda: Machine(database_url, tmp_path),
        settings=settings(
            max_examples=6,
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
