"""One payment under random operations, beside a model of a few integers: amounts, ledger and both books agree."""

from dataclasses import dataclass
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.operations import OperationError
from app.refunds.service import RefundExceedsCaptured
from tests.till import Till

METHODS = ("pm_card_visa", "pm_card_capture_timeout", "pm_card_capture_fails", "pm_card_refund_timeout")


@dataclass
class Model:
    capturable: int = 0
    capturing: int = 0
    captured: int = 0
    refunding: int = 0
    refunded: int = 0


class OnePayment(RuleBasedStateMachine):
    till: ClassVar[Till]

    @initialize(method=st.sampled_from(METHODS))
    def authorize(self, method: str) -> None:
        self.method = method
        self.model = Model(capturable=1000)
        self.unknown = ""
        self.refunds: list[str] = []
        self.payment = self.till.create(method, capture_method="manual")
        self.till.run("payment.authorize", self.payment, gateway="sandbox_a")

    @precondition(lambda self: not self.unknown)
    @rule(amount=st.integers(1, 1100), final=st.booleans())
    def capture(self, amount: int, final: bool) -> None:
        model = self.model
        try:
            self.till.run("payment.capture", self.payment, amount=amount, final=final)
        except OperationError as error:
            self._was_refused(error, amount, final)
            return
        assert amount <= model.capturable
        self._took(amount, final)

    def _was_refused(self, refusal: OperationError, amount: int, final: bool) -> None:
        model = self.model
        if refusal.code == "CAPTURE_EXCEEDS_AUTHORIZED":
            assert amount > model.capturable
        elif refusal.code == "CAPTURE_DECLINED":
            assert self.method == "pm_card_capture_fails"
        else:
            assert (refusal.code, self.method) == ("OUTCOME_UNKNOWN", "pm_card_capture_timeout")
            self.unknown, self.final = str(refusal.facts["attempt"]), final
            model.capturable, model.capturing = model.capturable - amount, amount

    def _took(self, amount: int, final: bool) -> None:
        self.model.captured += amount
        self.model.capturable = 0 if final else self.model.capturable - amount

    @precondition(lambda self: self.unknown)
    @rule()
    def look_up(self) -> None:
        assert self.till.run("payment.lookup", self.payment, attempt=self.unknown).resolution == "approved"
        amount, self.model.capturing, self.unknown = self.model.capturing, 0, ""
        self.model.captured += amount
        if self.final:
            self.model.capturable = 0

    @precondition(lambda self: not self.unknown)
    @rule()
    def void(self) -> None:
        self.till.run("payment.void", self.payment)
        self.model.capturable = 0

    @precondition(lambda self: self.unknown)
    @rule()
    def void_is_refused_while_unknown(self) -> None:
        assert self.till.fails("payment.void", self.payment).code == "OUTCOME_UNKNOWN"

    @rule(amount=st.integers(1, 1100))
    def ask_for_a_refund(self, amount: int) -> None:
        model = self.model
        left = model.captured - model.refunding - model.refunded
        try:
            self.refunds.append(self.till.refund(self.payment, amount))
        except RefundExceedsCaptured:
            assert amount > left
            return
        assert amount <= left
        model.refunding += amount

    @precondition(lambda self: self.refunds)
    @rule()
    def send_a_refund(self) -> None:
        refund = self.refunds.pop()
        try:
            self.till.run("refund.send", refund)
        except OperationError as error:
            if self.method != "pm_card_refund_timeout":
                raise
            self.till.run("payment.lookup", refund, attempt=error.facts["attempt"])
        amount = self.till.get_refund(refund).amount
        self.model.refunding -= amount
        self.model.refunded += amount

    @precondition(lambda self: self.refunds)
    @rule()
    def call_a_refund_off(self) -> None:
        refund = self.refunds.pop()
        self.till.run("refund.transition", refund, to="canceled")
        self.model.refunding -= self.till.get_refund(refund).amount

    @invariant()
    def the_amounts_are_the_models(self) -> None:
        found = self.till.payment(self.payment)
        assert (
            Model(
                found.amount_capturable,
                found.amount_capturing,
                found.amount_captured,
                found.amount_refunding,
                found.amount_refunded,
            )
            == self.model
        )

    @invariant()
    def the_ledger_agrees(self) -> None:
        assert self.till.ledger_problems() == []

    def teardown(self) -> None:
        if getattr(self, "unknown", ""):
            self.look_up()
        assert self.till.differences() == []


def test_amounts_ledger_and_both_books_agree_whatever_is_done(till: Till) -> None:
    run_state_machine_as_test(
        type("ThisPayment", (OnePayment,), {"till": till}),
        settings=settings(
            max_examples=12,
            stateful_step_count=10,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
