"""Our books against themselves, to the cent. It finds differences and changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from app.disputes.models import Dispute
from app.kit.database import Tx
from app.ledger import service as ledger
from app.ledger.accounts import CHARGEBACK_LOSSES, PAYABLE, REFUNDS_IN_FLIGHT, Layer
from app.payments.models import Payment

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which two books disagree: `ours` and `theirs` in minor units, or None where one has no such line.

    `undecided` is how much more ours may become by what nobody knows the outcome of yet, `unseen` how much of ours was
    done so late that theirs need not show it. `payment` is whose it is by their word.
    """

    subject: str
    what: str
    ours: int | None
    theirs: int | None
    undecided: int = 0
    unseen: int = 0
    payment: str = ""

    @property
    def may_go(self) -> str:
        """Why it may go away by itself; "" when it will not."""
        if self.ours is None or self.theirs is None:
            return ""
        if 0 < self.theirs - self.ours <= self.undecided:
            return "its outcome is not known yet"
        return "it was done while the books were read" if 0 < self.ours - self.theirs <= self.unseen else ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.what} is {self.ours} in our books and {self.theirs} in the other"


def verify_ledger(tx: Tx) -> list[str]:
    """The ledger by itself, and every payment's amounts against the ledger's; a sentence for each problem."""
    problems = ledger.verify(tx)
    for payments in _pages(tx):
        balances = ledger.balances_of(tx, [payment.id for payment in payments])
        fees = _dispute_fees(tx, [payment.id for payment in payments])
        for payment in payments:
            found = _against_ledger(payment, fees.get(payment.id, 0), balances[payment.id])
            problems += [str(difference) for difference in found]
    return problems


def _pages(tx: Tx) -> Iterator[Sequence[Payment]]:
    after = ""
    while True:
        page = tx.session.scalars(select(Payment).where(Payment.id > after).order_by(Payment.id).limit(_PAGE)).all()
        if not page:
            return
        yield page
        after = page[-1].id


def _dispute_fees(tx: Tx, payment_ids: Sequence[str]) -> dict[str, int]:
    rows = tx.session.execute(
        select(Dispute.payment_id, func.sum(Dispute.fee))
        .where(Dispute.payment_id.in_(payment_ids))
        .group_by(Dispute.payment_id)
    )
    return {payment_id: int(fee) for payment_id, fee in rows}


def _against_ledger(
    payment: Payment, dispute_fees: int, balances: Mapping[tuple[str, str], int]
) -> Iterator[Difference]:
    settled = payment.amount_captured - payment.amount_refunding - payment.amount_refunded
    disputed = _under(balances, "disputes:") + _of(balances, CHARGEBACK_LOSSES.text, Layer.POSTED)
    wanted = (
        (
            "authorized",
            payment.amount_capturable + payment.amount_capturing,
            -_of(balances, PAYABLE.text, Layer.PENDING),
        ),
        ("owed to the merchant", settled, -_of(balances, PAYABLE.text, Layer.POSTED)),
        ("refunds in flight", payment.amount_refunding, -_of(balances, REFUNDS_IN_FLIGHT.text, Layer.POSTED)),
        ("disputed", payment.amount_disputed, disputed),
        ("charged for disputes", dispute_fees, _under(balances, "fees:")),
    )
    for what, ours, theirs in wanted:
        if ours != theirs:
            yield Difference(payment.id, what, ours, theirs)


def _of(balances: Mapping[tuple[str, str], int], account: str, layer: Layer) -> int:
    return balances.get((account, str(layer)), 0)


def _under(balances: Mapping[tuple[str, str], int], accounts: str) -> int:
    """Over all gateways: what lies on the accounts whose names begin so."""
    return sum(amount for (account, _), amount in balances.items() if account.startswith(accounts))
