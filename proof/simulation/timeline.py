"""Made-up time, and what is to happen in it: one clock for database, worker, gateway and everybody who waits."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)


class Timeline:
    """A Clock, and the Source of ids. No two readings are equal, so whatever is ordered by time has one order."""

    def __init__(self, seed: int) -> None:
        self._now = BEGIN
        self._random = Random(f"ids:{seed}")
        self._plans: list[tuple[datetime, int, Callable[[], None]]] = []
        self._number = count()

    def now(self) -> datetime:
        self._now += _INSTANT
        return self._now

    @property
    def here(self) -> datetime:
        """The moment it is, without moving."""
        return self._now

    @property
    def seconds(self) -> float:
        """Since the begin, without moving: what a monotonic clock would show."""
        return (self._now - BEGIN).total_seconds()

    def moment(self) -> float:
        return self.seconds

    def milliseconds(self) -> int:
        return int(self._now.timestamp() * 1000)

    def randbytes(self, n: int, /) -> bytes:
        return self._random.randbytes(n)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        at = self._now + timedelta(seconds=seconds)
        heapq.heappush(self._plans, (at, next(self._number), action))

    def next(self) -> datetime | None:
        """When the first plan is due."""
        return self._plans[0][0] if self._plans else None

    def go_to(self, moment: datetime) -> int:
        """Let time pass until `moment`, carrying out what is planned on the way; how many plans there were."""
        done = 0
        while self._plans and self._plans[0][0] <= moment:
            at, _, action = heapq.heappop(self._plans)
            self._now = max(self._now, at)
            action()
            done += 1
        self._now = max(self._now, moment)
        return done

    def pass_by(self, seconds: float) -> int:
        return self.go_to(self._now + timedelta(seconds=seconds))
