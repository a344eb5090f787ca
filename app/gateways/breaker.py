"""A circuit breaker: after several failures in a row nobody calls for a while, then one call finds out.

While it is open a call that has not been sent is known not to have been sent, which is worth more than another
timeout: the flow goes on elsewhere at once. Every process has its own view; nothing is shared, so nothing can be lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic


@dataclass(frozen=True, slots=True)
class Rule:
    """Open after `failures` in a row, for `first_pause` seconds, then twice as long each time the probe fails."""

    failures: int = 5
    first_pause: float = 1.0
    longest_pause: float = 60.0


class Breaker:
    def __init__(self, rule: Rule | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._rule = rule or Rule()
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._pause = 0.0
        self._closed_at = 0.0
        self._probing = False

    @property
    def open(self) -> bool:
        """Open, or half-open: not proven to be well again."""
        return self._pause > 0

    def admit(self) -> bool:
        """Whether a call may be made now; the caller then tells `succeeded` or `failed`."""
        with self._lock:
            if not self._pause:
                return True
            if self._probing or self._clock() < self._closed_at:
                return False
            self._probing = True
            return True

    def succeeded(self) -> None:
        """Any answer proves that the gateway answers."""
        with self._lock:
            self._failures, self._pause, self._probing = 0, 0.0, False

    def failed(self) -> None:
        with self._lock:
            if self._pause and not self._probing:
                return  # it was sent before the others failed, and says nothing new
            self._failures += 1
            if self._probing or self._failures >= self._rule.failures:
                self._pause = min(self._pause * 2 or self._rule.first_pause, self._rule.longest_pause)
                self._closed_at = self._clock() + self._pause
                self._probing = False
