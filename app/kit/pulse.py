"""Proof that this process was awake a moment ago. A process that slept must not send what it had prepared before."""

from time import monotonic


class Pulse:
    """Beaten by whoever renews the leases, with the moment before it asked for the renewal."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def beat(self, at: float | None = None) -> None:
        """Leases are known to hold as of `at`, a reading of the monotonic clock."""
        self._last = monotonic() if at is None else at

    def within(self, seconds: float) -> bool:
        return monotonic() - self._last <= seconds
