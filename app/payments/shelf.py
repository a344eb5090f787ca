"""Payments a worker has just had in its hands, kept with their attempts until they come back from the gateway.

Under the payment's lock the numbers of the transactions that wrote the rows tell whether anybody else has changed one
since. If so, all of it is read anew.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

from app.payments.models import Attempt, Payment

LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """The versions of a payment's rows under its lock; `mine` is that of what this transaction writes."""

    payment_id: str
    version: int
    mine: int
    attempts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Lain:
    """A payment as its last transaction left it. A row is as it was when its version is one of these."""

    payment: Payment
    attempts: dict[str, Attempt]
    versions: Mapping[str, frozenset[int]]

    def agrees(self, found: Found) -> bool:
        if found.attempts.keys() != self.attempts.keys():
            return False
        seen = {**found.attempts, found.payment_id: found.version}
        return all(version in self.versions[one] for one, version in seen.items())


class Shelf:
    """At most LIMIT payments, the oldest go first. Each is taken by one transaction and comes back with its commit."""

    def __init__(self) -> None:
        self._lain: OrderedDict[str, Lain] = OrderedDict()
        self._lock = Lock()

    def take(self, found: Found) -> Lain | None:
        """What lies here, if it is as it was."""
        with self._lock:
            lain = self._lain.pop(found.payment_id, None)
        return lain if lain is not None and lain.agrees(found) else None

    def put(self, found: Found, payment: Payment, attempts: dict[str, Attempt]) -> None:
        """After the commit: a row has the version it was found with, or that of the transaction."""
        before = {**found.attempts, found.payment_id: found.version}
        versions = {
            one: frozenset((before[one], found.mine)) if one in before else frozenset((found.mine,))
            for one in (found.payment_id, *attempts)
        }
        with self._lock:
            self._lain[found.payment_id] = Lain(payment, attempts, versions)
            while len(self._lain) > LIMIT:
                self._lain.popitem(last=False)
