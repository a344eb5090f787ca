"""The merchant of the simulation and its customers: orders, and what follows each of them.

A story is a generator: it does something, then yields the seconds until it goes on. What it is refused is no news.
"""

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.access.actor import Actor
from app.errors import AppError
from app.kit.database import Database, Tx
from app.payments import service
from app.payments.commands import CreatePayment
from app.payments.models import Attempt, Payment
from app.refunds.commands import CreateRefund
from app.refunds.service import create_refund
from app.sandbox import charges, disputes
from app.sandbox.desk import Desk
from app.sandbox.records import Dispute
from proof.simulation.bank import CARD_NUMBER, Bank
from proof.simulation.timeline import Timeline

Story = Generator[float, None, None]
_CARDS: Final = 5000
_DECISIONS: Final = ("won", "lost")
#: (weight, payment method, captured on request, what follows)
Mix = tuple[int, str, bool, str]
MIX: Final[tuple[Mix, ...]] = (
    (30, "pm_card_visa", False, "nothing"),
    (5, "pm_card_mastercard", False, "cancel_anytime"),
    (7, "pm_card_3ds", False, "authenticate"),
    (3, "pm_card_pending", False, "nothing"),
    (2, "pm_card_pending_declined", False, "nothing"),
    (2, "pm_card_pending", False, "cancel_anytime"),
    (4, "pm_card_insufficient_funds", False, "nothing"),
    (2, "pm_card_stolen", False, "nothing"),
    (1, "pm_card_blocked", False, "nothing"),
    (3, "pm_card_unavailable", False, "nothing"),
    (3, "pm_card_timeout_applied", False, "nothing"),
    (2, "pm_card_timeout_lost", False, "nothing"),
    (5, "pm_card_high_risk", False, "cancel_sometimes"),
    (6, "pm_card_visa", True, "capture"),
    (3, "pm_card_visa", True, "capture_in_parts"),
    (3, "pm_card_visa", True, "cancel"),
    (1, "pm_card_visa", True, "nothing"),
    (2, "pm_card_void_timeout", True, "cancel"),
    (2, "pm_card_capture_fails", False, "nothing"),
    (2, "pm_card_capture_pending", False, "nothing"),
    (2, "pm_card_capture_timeout", True, "capture_in_parts"),
    (6, "pm_card_visa", False, "refund"),
    (2, "pm_card_refund_pending", False, "refund"),
    (2, "pm_card_refund_fails", False, "refund"),
    (2, "pm_card_refund_fails_late", False, "refund"),
    (1, "pm_card_refund_declined", False, "refund"),
    (3, "pm_card_refund_timeout", False, "refund"),
    (3, "pm_card_dispute", False, "dispute"),
    (1, "pm_card_inquiry", False, "dispute"),
)
_WEIGHTS: Final = [row[0] for row in MIX]


@dataclass
class Shop:
    """`accepted` are the payments the shop was told about, `refused` counts the codes of what was refused."""

    database: Database
    timeline: Timeline
    random: Random
    actor: Actor
    banks: dict[str, Bank]
    accepted: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    def order(self) -> None:
        """A customer buys something."""
        _, method, manual, then = self.random.choices(MIX, _WEIGHTS)[0]
        dear = self.random.random() < 0.08
        amount = self.random.randrange(100_000, 900_000) if dear else self.random.randrange(100, 50_000)
        token = method
        if method not in ("pm_card_high_risk", "pm_card_blocked"):
            token = f"{method}{CARD_NUMBER}{self.random.randrange(_CARDS)}"
        command = CreatePayment(
            amount=amount,
            currency=self.random.choice(("EUR", "USD", "JPY", "KWD")),
            payment_method=token,
            capture_method="manual" if manual else "automatic",
        )
        payment = self._do(lambda tx: service.create_payment(tx, self.actor, command))
        if payment is not None:
            self.accepted[payment.id] = method
            self.tell(getattr(self, then)(payment.id, amount))

    def tell(self, story: Story) -> None:
        """Let the story go on until it ends."""
        seconds = next(story, None)
        if seconds is not None:
            self.timeline.after(seconds, lambda: self.tell(story))

    def nothing(self, _payment: str, _amount: int) -> Story:
        yield from ()

    def authenticate(self, payment: str, _amount: int) -> Story:
        for _ in range(5):
            yield self.random.uniform(2, 60)
            found = self._charge(payment, "needs_action")
            if found is not None:
                break
        else:
            return
        if self.random.random() < 0.15:
            return  # never comes back
        bank, charge = found
        success = self.random.random() < 0.8
        self._at(bank, lambda desk: charges.complete_action(desk, charge, success=success))

    def capture(self, payment: str, _amount: int) -> Story:
        yield self.random.uniform(1, 90)
        self._do(lambda tx: service.request_capture(tx, self.actor, payment))
        if self.random.random() < 0.2:
            self._do(lambda tx: service.request_capture(tx, self.actor, payment))

    def capture_in_parts(self, payment: str, amount: int) -> Story:
        for _ in range(self.random.randrange(1, 4)):
            yield self.random.uniform(1, 60)
            part = self.random.randrange(1, amount)
            final = self.random.random() < 0.3
            self._do(partial(service.request_capture, actor=self.actor, payment_id=payment, amount=part, final=final))
        yield from self.cancel(payment, amount)

    def cancel(self, payment: str, _amount: int) -> Story:
        yield self.random.uniform(0.5, 90)
        self._do(lambda tx: service.request_cancel(tx, self.actor, payment, "requested_by_customer"))

    def cancel_anytime(self, payment: str, amount: int) -> Story:
        yield self.random.uniform(0, 3)
        yield from self.cancel(payment, amount)

    def cancel_sometimes(self, payment: str, amount: int) -> Story:
        if self.random.random() < 0.3:
            yield from self.cancel(payment, amount)

    def refund(self, payment: str, amount: int) -> Story:
        yield self.random.uniform(5, 60)
        for _ in range(self.random.randrange(1, 4)):
            part = self.random.choice((None, self.random.randrange(1, amount + 1)))
            command = CreateRefund(payment=payment, amount=part)
            self._do(partial(create_refund, actor=self.actor, command=command))
            yield self.random.uniform(0, 40)

    def dispute(self, payment: str, amount: int) -> Story:
        if self.random.random() < 0.3:
            yield from self.refund(payment, amount)
        yield self.random.uniform(3600, 3 * 86400)
        while found := self._charge(payment, "approved"):
            bank, charge = found
            known = bank.company.books.of_charge(Dispute, charge)
            reviewed = [quarrel for quarrel in known if quarrel.status == "under_review"]
            for quarrel in reviewed:
                self._at(bank, partial(disputes.decide, dispute_id=quarrel.id, status=self.random.choice(_DECISIONS)))
            if reviewed or not any(quarrel.status == "needs_response" for quarrel in known):
                return
            yield 86400

    def _charge(self, payment: str, outcome: str) -> tuple[Bank, str] | None:
        """The bank and its charge of the payment's authorization with this outcome."""
        query = select(Attempt.gateway, Attempt.gateway_reference).where(
            Attempt.payment_id == payment, Attempt.operation == "authorize", Attempt.outcome == outcome
        )
        with self.database.begin() as tx:
            row = tx.session.execute(query).first()
        return (self.banks[row.gateway], row.gateway_reference) if row else None

    def _do(self, work: Callable[[Tx], Payment | object]) -> Payment | None:
        try:
            with self.database.begin() as tx:
                made = work(tx)
        except AppError as refusal:
            self.refused[refusal.code] += 1
            return None
        except OperationalError:
            self.refused["database"] += 1
            return None
        return made if isinstance(made, Payment) else None

    def _at(self, bank: Bank, work: Callable[[Desk], object]) -> None:
        """Be the customer or the card company at the bank."""
        try:
            with bank.company.transaction() as desk:
                work(desk)
        except AppError as refusal:
            self.refused[refusal.code] += 1
