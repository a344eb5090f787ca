"""Where time comes from. Everything that asks for the time is given a Clock, so tests move it by hand."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place that reads the machine's clock


class ShiftedClock:
    """The machine's clock plus a distance that can be moved: the sandbox and tests travel through weeks with it."""

    def __init__(self) -> None:
        self.shift = timedelta()
        self._source = SystemClock()

    def now(self) -> datetime:
        return self._source.now() + self.shift

    def advance(self, by: timedelta) -> None:
        self.shift += by
