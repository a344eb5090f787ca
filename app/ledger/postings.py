"""One function per business fact: what it moves between which accounts. An unknown outcome posts nothing.

Amounts are positive; the direction is in the function. Facts of an attempt are booked under the attempt's id, those
of a refund or dispute under theirs, so the same news told twice is booked once.
"""

from dataclasses import dataclass

from app.kit.database import Tx
from app.kit.money import Money
from app.ledger.accounts import CHARGEBACK_LOSSES, PAYABLE, REFUNDS_IN_FLIGHT, Layer, clearing, fees, withheld
from app.ledger.service import Fact, Line, post, posting_id, transfer


@dataclass(frozen=True, slots=True)
class Book:
    """Where facts are booked: whose books, about which payment, at which gateway the money lies."""

    tx: Tx
    merchant_id: str
    payment_id: str
    gateway: str

    def _post(
        self, kind: str, source_type: str, source_id: str, lines: tuple[Line, ...], reverses: str | None = None
    ) -> None:
        fact = Fact(self.merchant_id, kind, source_type, source_id, self.payment_id, reverses)
        post(self.tx, fact, lines)

    def authorized(self, attempt_id: str, amount: Money) -> None:
        lines = transfer(clearing(self.gateway), PAYABLE, amount, Layer.PENDING)
        self._post("authorized", "attempt", attempt_id, lines)

    def captured(self, attempt_id: str, amount: Money) -> None:
        """Part of what was pending becomes ours; with a final capture `released` books the rest."""
        pending = transfer(PAYABLE, clearing(self.gateway), amount, Layer.PENDING)
        posted = transfer(clearing(self.gateway), PAYABLE, amount)
        self._post("captured", "attempt", attempt_id, pending + posted)

    def released(self, source_type: str, source_id: str, amount: Money) -> None:
        """A hold is given back: by a void or a final capture (`attempt`), or because it ran out (`payment`)."""
        lines = transfer(PAYABLE, clearing(self.gateway), amount, Layer.PENDING)
        self._post("released", source_type, source_id, lines)

    def refund_requested(self, refund_id: str, amount: Money) -> None:
        self._post("refund_requested", "refund", refund_id, transfer(PAYABLE, REFUNDS_IN_FLIGHT, amount))

    def refund_succeeded(self, refund_id: str, amount: Money) -> None:
        lines = transfer(REFUNDS_IN_FLIGHT, clearing(self.gateway), amount)
        self._post("refund_succeeded", "refund", refund_id, lines)

    def refund_dropped(self, refund_id: str, amount: Money) -> None:
        """A refund that never arrived, failed or called off, goes back to what we owe the merchant."""
        reverses = posting_id(self.tx, "refund", refund_id, "refund_requested")
        lines = transfer(REFUNDS_IN_FLIGHT, PAYABLE, amount)
        self._post("refund_dropped", "refund", refund_id, lines, reverses)

    def refund_failed_late(self, refund_id: str, amount: Money) -> None:
        """A refund that had succeeded came back."""
        reverses = posting_id(self.tx, "refund", refund_id, "refund_succeeded")
        lines = transfer(clearing(self.gateway), PAYABLE, amount)
        self._post("refund_failed_late", "refund", refund_id, lines, reverses)

    def dispute_withdrawn(self, dispute_id: str, stage: str, amount: Money) -> None:
        """The gateway took the amount. Each stage can take it once, so the stage is part of the source."""
        lines = transfer(withheld(self.gateway), clearing(self.gateway), amount)
        self._post("dispute_withdrawn", "dispute", f"{dispute_id}:{stage}", lines)

    def dispute_fee(self, dispute_id: str, amount: Money, total: Money) -> None:
        """The gateway charged `amount` more, maybe twice in one stage; `total`, which only grows, tells them apart."""
        lines = transfer(fees(self.gateway), clearing(self.gateway), amount)
        self._post("dispute_fee", "dispute", f"{dispute_id}:{total.minor}", lines)

    def dispute_won(self, dispute_id: str, stage: str, amount: Money) -> None:
        lines = transfer(clearing(self.gateway), withheld(self.gateway), amount)
        self._post("dispute_won", "dispute", f"{dispute_id}:{stage}", lines)

    def dispute_lost(self, dispute_id: str, stage: str, amount: Money) -> None:
        lines = transfer(CHARGEBACK_LOSSES, withheld(self.gateway), amount)
        self._post("dispute_lost", "dispute", f"{dispute_id}:{stage}", lines)

    def dispute_reopened(self, dispute_id: str, stage: str, amount: Money) -> None:
        """What was given up as lost is fought for again in a later stage."""
        lines = transfer(withheld(self.gateway), CHARGEBACK_LOSSES, amount)
        self._post("dispute_reopened", "dispute", f"{dispute_id}:{stage}", lines)
