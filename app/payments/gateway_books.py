"""Our books against a gateway's own, charge by charge and to the minor unit. It finds differences and changes nothing.

However many charges there are: of what was compared only the keys, the totals and the differences are kept.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from app.errors import AppError
from app.gateways.port import BookedCharge, Capability, CouldNotAsk, Gateway
from app.kit.database import Database, Tx
from app.payments.our_charges import COLUMNS, OurCharge, authorized_since, our_charges
from app.payments.reconcile import Difference

EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH: Final = 100
#: How far a gateway's clock and ours may be apart, so that what was begun at the edge may lie outside of its period.
_CLOCKS_DIFFER_BY: Final = timedelta(minutes=5)


class BooksUnreadable(AppError):
    code = "gateway_books_unreadable"
    title = "The gateway does not show its books"
    status = 502


@dataclass(frozen=True, slots=True)
class Total:
    """One column of one currency in both books, in minor units."""

    currency: str
    what: str
    ours: int
    theirs: int


class Comparison:
    """Both books since a moment. What was done after the gateway was asked need not be in its books."""

    def __init__(self, gateway: str, since: datetime, asked_at: datetime) -> None:
        self.gateway = gateway
        self.since = since
        self.found: list[Difference] = []
        self.read = 0
        #: How many of them somebody else made there.
        self.foreign = 0
        self._asked_at = asked_at
        self._seen: set[str] = set()
        self._ours: Counter[tuple[str, str]] = Counter()
        self._theirs: Counter[tuple[str, str]] = Counter()

    @property
    def differences(self) -> list[Difference]:
        return [difference for difference in self.found if not difference.may_go]

    @property
    def passing(self) -> list[Difference]:
        """Those that may go away by themselves."""
        return [difference for difference in self.found if difference.may_go]

    def totals(self) -> Iterator[Total]:
        for currency in sorted({currency for currency, _ in self._ours.keys() | self._theirs.keys()}):
            for column in COLUMNS:
                place = (currency, column)
                yield Total(currency, column, self._ours[place], self._theirs[place])

    def listed(self, tx: Tx, charges: Sequence[BookedCharge]) -> None:
        """Compare some of the charges in the gateway's books with ours of the same keys, whenever those began."""
        self.read += len(charges)
        keys = {charge.key for charge in charges if charge.key}
        ours = our_charges(tx, self.gateway, keys, self._asked_at)
        for theirs in charges:
            if not theirs.key:
                self.foreign += 1
                continue
            known = ours.get(theirs.key)
            # A key has one effect: whatever else carries it is none of ours, and does not stand for the one we know.
            is_other = known is not None and known.reference not in ("", theirs.charge)
            if is_other or theirs.key in self._seen:
                known = None
            else:
                self._seen.add(theirs.key)
            self._compare(theirs.key, known, theirs)

    def unlisted(self, tx: Tx) -> None:
        """Compare those of ours that should have been listed and were not."""
        since = self.since + _CLOCKS_DIFFER_BY
        missing = (key for key in authorized_since(tx, self.gateway, since) if key not in self._seen)
        while keys := set(islice(missing, _BATCH)):
            for charge in our_charges(tx, self.gateway, keys, self._asked_at).values():
                self._compare(charge.key, charge, None)

    def _compare(self, key: str, ours: OurCharge | None, theirs: BookedCharge | None) -> None:
        payment = theirs.reference if theirs else ""
        for column in COLUMNS:
            left = ours.sums[column] if ours else 0
            right: int | None = getattr(theirs, column) if theirs else 0
            if left is None or right is None:
                continue
            if ours:
                self._ours[ours.currency, column] += left
            if theirs:
                self._theirs[theirs.currency, column] += right
            if left != right:
                undecided, unseen = (ours.undecided[column], ours.unseen[column]) if ours else (0, 0)
                self.found.append(Difference(key, column, left, right, undecided, unseen, payment))
        if ours and theirs and ours.currency != theirs.currency:
            what = f"currency ({ours.currency}, {theirs.currency})"
            self.found.append(Difference(key, what, None, None, payment=payment))


def verify_books(tx: Tx, gateway: str, charges: Iterable[BookedCharge]) -> list[Difference]:
    """Compare with all that a gateway ever booked."""
    comparison = Comparison(gateway, EVER, tx.now())
    remaining = iter(charges)
    while batch := list(islice(remaining, _BATCH)):
        comparison.listed(tx, batch)
    comparison.unlisted(tx)
    return sorted(comparison.found, key=lambda difference: difference.subject)


def compare(
    database: Database, gateway: Gateway, days: int | None, progress: Callable[[Comparison], None]
) -> Comparison:
    """Compare what was charged in the last `days`, or ever, page by page; BooksUnreadable when one cannot be read.

    No transaction is open while the gateway is asked.
    """
    with database.begin() as tx:
        asked_at = tx.now()
    comparison = Comparison(gateway.name, EVER if days is None else asked_at - timedelta(days=days), asked_at)
    try:
        charges = gateway.books(comparison.since)
        while batch := list(islice(charges, _BATCH)):
            with database.begin() as tx:
                comparison.listed(tx, batch)
            progress(comparison)
    except CouldNotAsk as error:
        raise BooksUnreadable(f"{error.detail}. {comparison.read} charges were read") from None
    with database.begin() as tx:
        comparison.unlisted(tx)
    return comparison


def shows_books(gateway: Gateway) -> bool:
    return Capability.BOOKS in gateway.capabilities
