"""Our books against themselves and against a gateway's, to the cent. It finds differences and changes nothing."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import or_, select

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
    """One thing on which two books disagree: `ours` and `theirs` in minor units, or None where one has no such line."""

    subject: str
    what: str
    ours: int | None
    theirs: int | None

    def __str__(self) -> str:
        return f"{self.subject}: {self.what} is {self.ours} in our books and {self.theirs} in the other"


def verify_ledger(tx: Tx) -> list[str]:
    """The ledger by itself, and every payment's amounts against the ledger's; a sentence for each problem."""
    problems = ledger.verify(tx)
    for payments in _pages(tx):
        balances = ledger.balances_of(tx, [payment.id for payment in payments])
        for payment in payments:
            problems += [str(difference) for difference in _against_ledger(payment, balances[payment.id])]
    return problems


def _pages(tx: Tx) -> Iterator[Sequence[Payment]]:
    after = ""
    while True:
        page = tx.session.scalars(select(Payment).where(Payment.id > after).order_by(Payment.id).limit(_PAGE)).all()
        if not page:
            return
        yield page
        after = page[-1].id


def _against_ledger(payment: Payment, balances: Mapping[tuple[str, str], int]) -> Iterator[Difference]:
    settled = payment.amount_captured - payment.amount_refunding - payment.amount_refunded
    disputed = sum(
        amount for (account, _), amount in balances.items() if account.startswith("disputes:")
    ) + balances.get((CHARGEBACK_LOSSES.text, str(Layer.POSTED)), 0)
    wanted = (
        (
            "authorized",
            payment.amount_capturable + payment.amount_capturing,
            -_of(balances, PAYABLE.text, Layer.PENDING),
        ),
        ("owed to the merchant", settled, -_of(balances, PAYABLE.text, Layer.POSTED)),
        ("refunds in flight", payment.amount_refunding, -_of(balances, REFUNDS_IN_FLIGHT.text, Layer.POSTED)),
        ("disputed", payment.amount_disputed, disputed),
    )
    for what, ours, theirs in wanted:
        if ours != theirs:
            yield Difference(payment.id, what, ours, theirs)


def _of(balances: Mapping[tuple[str, str], int], account: str, layer: Layer) -> int:
    return balances.get((account, str(layer)), 0)


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


def undecided_charges(tx: Tx, gateway: str) -> set[str]:
    """Keys of the charges whose payment has an attempt there that is not decided: the gateway may know more than we."""
    undecided = or_(Attempt.state != "finished", Attempt.outcome.in_(UNRESOLVED))
    payments = select(Attempt.payment_id).where(Attempt.gateway == gateway, undecided)
    keys = select(Attempt.id).where(Attempt.operation == "authorize", Attempt.payment_id.in_(payments))
    return set(tx.session.scalars(keys))


@dataclass(frozen=True, slots=True)
class OurCharge:
    """What we did to one charge; `key` is the attempt that authorized it, `sums` has every column."""

    key: str
    currency: str
    sums: Mapping[str, int]


def our_charges(tx: Tx, gateway: str) -> Iterator[OurCharge]:
    """Per approved authorization at the gateway: what our approved attempts did, and what disputes hold back."""
    attempts = tx.session.execute(
        select(Attempt, Payment.amount_disputed)
        .join(Payment, Payment.id == Attempt.payment_id)
        .where(Attempt.gateway == gateway, Attempt.outcome == "approved", Attempt.operation.in_(list(_COLUMN)))
    ).all()
    by_charge: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for attempt, disputed in attempts:
        charge = attempt.gateway_reference if attempt.operation == "authorize" else attempt.charge
        by_charge[charge][_COLUMN[attempt.operation]] += attempt.amount
        by_charge[charge]["disputed"] = disputed
    for attempt, _ in attempts:
        if attempt.operation == "authorize":
            yield OurCharge(attempt.id, attempt.currency, by_charge[attempt.gateway_reference])


def _compare(key: str, ours: OurCharge | None, theirs: Mapping[str, Any] | None) -> Iterator[Difference]:
    for column in COLUMNS:
        left = ours.sums[column] if ours is not None else 0
        right = int(theirs.get(column, left)) if theirs is not None else 0
        if left != right:
            yield Difference(key, column, left, right)
    if ours is not None and theirs is not None and ours.currency != theirs["currency"]:
        yield Difference(key, f"currency ({ours.currency}, {theirs['currency']})", None, None)
