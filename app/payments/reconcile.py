"""Our books against themselves and against a gateway's, to the cent. It finds differences and changes nothing."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, or_, select

from app.disputes.models import Dispute
from app.kit.database import Tx
from app.ledger import service as ledger
from app.ledger.accounts import CHARGEBACK_LOSSES, PAYABLE, REFUNDS_IN_FLIGHT, Layer
from app.payments.models import Attempt, Payment
from app.payments.outcomes import UNRESOLVED

_PAGE: Final = 500
_COLUMN: Final = {"authorize": "authorized", "capture": "captured", "refund": "refunded", "void": "voided"}
#: What both books tell of a charge, in minor units.
COLUMNS: Final = (*_COLUMN.values(), "disputed")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which two books disagree: `ours` and `theirs` in minor units, or None where one has no such line.

    `undecided` is how much more ours may become by what nobody knows the outcome of yet.
    """

    subject: str
    what: str
    ours: int | None
    theirs: int | None
    undecided: int = 0

    @property
    def may_go(self) -> bool:
        """Whether what is not decided yet is enough to explain it."""
        return self.ours is not None and self.theirs is not None and 0 < self.theirs - self.ours <= self.undecided

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


def verify_books(tx: Tx, gateway: str, charges: Iterable[Mapping[str, Any]]) -> list[Difference]:
    """Compare with a gateway's own books.

    `charges`: each with `key` (the attempt's id), `reference`, `authorized`, `captured`, `refunded`, `voided` in minor
    units, `currency` and, where the gateway tells it, `disputed`. What is not decided yet (pending, unknown, under
    way) is left aside on our side only, so an effect that we do not know of is a difference.
    """
    theirs = {str(charge["key"]): charge for charge in charges}
    ours = {charge.key: charge for charge in our_charges(tx, gateway)}
    differences: list[Difference] = []
    for key in sorted(theirs.keys() | ours.keys()):
        differences += _compare(key, ours.get(key), theirs.get(key))
    return differences


@dataclass(frozen=True, slots=True)
class OurCharge:
    """What we did to one charge; `key` is the attempt that authorized it, `sums` and `undecided` have every column.

    `undecided` is what may be added to `sums` once it is known what became of it.
    """

    key: str
    currency: str
    sums: Mapping[str, int]
    undecided: Mapping[str, int]


def our_charges(tx: Tx, gateway: str) -> Iterator[OurCharge]:
    """Per authorization at the gateway that is approved or not decided: what our attempts did, and what is disputed."""
    undecided = or_(Attempt.state == "begun", Attempt.outcome.in_(UNRESOLVED))
    rows = tx.session.execute(
        select(Attempt, Payment.gateway_reference, Payment.amount_disputed)
        .join(Payment, Payment.id == Attempt.payment_id)
        .where(
            Attempt.gateway == gateway,
            Attempt.operation.in_(list(_COLUMN)),
            or_(Attempt.outcome == "approved", undecided),
        )
    ).all()
    done: dict[str, Counter[str]] = defaultdict(Counter)
    open_: dict[str, Counter[str]] = defaultdict(Counter)
    for attempt, _, _ in rows:
        if attempt.operation != "authorize":
            sums = done if attempt.outcome == "approved" else open_
            sums[attempt.charge][_COLUMN[attempt.operation]] += attempt.amount
    nothing = dict.fromkeys(COLUMNS, 0)
    for attempt, charge, disputed in rows:
        if attempt.operation != "authorize":
            continue
        known, unknown = done[attempt.gateway_reference], open_[attempt.gateway_reference]
        own = {"authorized": attempt.amount, "disputed": disputed if charge == attempt.gateway_reference else 0}
        if attempt.outcome == "approved":
            yield OurCharge(attempt.id, attempt.currency, {**nothing, **known, **own}, {**nothing, **unknown})
        else:
            yield OurCharge(attempt.id, attempt.currency, nothing, {**nothing, **(known + unknown), **own})


def _compare(key: str, ours: OurCharge | None, theirs: Mapping[str, Any] | None) -> Iterator[Difference]:
    for column in COLUMNS:
        left = ours.sums[column] if ours is not None else 0
        right = int(theirs.get(column, left)) if theirs is not None else 0
        if left != right:
            yield Difference(key, column, left, right, ours.undecided[column] if ours is not None else 0)
    if ours is not None and theirs is not None and ours.currency != theirs["currency"]:
        yield Difference(key, f"currency ({ours.currency}, {theirs['currency']})", None, None)
