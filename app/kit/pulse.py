"""Proof that this process was awake all the time. One that slept must not send what it had prepared before.

A worker that was stopped for longer than its leases last has lost its instances to another one, even when it is well
awake and renewing again; so it is the gap that counts, not the last beat.
"""

from collections.abc import Callable
from time import monotonic

#: A longer silence between two beats is sleep. It must be shorter than a lease minus the time between renewals.
GAP_SECONDS = 4.5


class Pulse:
    """Beaten by whoever renews the leases, with the moment before it asked for the renewal. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.moment = clock
        self._unbroken = (float("inf"), float("-inf"))

    def beat(self, at: float | None = None) -> None:
        """Leases are known to hold as of `at`, a reading of the clock."""
        moment = self.moment() if at is None else at
        since, last = self._unbroken
        # One assignment, so that readers on other threads see both or neither.
        self._unbroken = (since if moment - last <= GAP_SECONDS else moment, moment)

    def unbroken_since(self, moment: float) -> bool:
        """Whether the process was awake from `moment`, a reading of the clock, until now."""
        since, last = self._unbroken
        return since <= moment and self.moment() - last <= GAP_SECONDS
