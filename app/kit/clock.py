"""Where time comes from. Everything that asks for the time is given a Clock, so tests move it by hand."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


def rfc3339(at: datetime) -> str:
    """A moment as every view shows it: RFC 3339 in UTC, such as `2026-11-23T08:30:00.5Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place that reads the machine's clock


class ShiftedClock:
    """A clock, the machine's by default, plus a distance that can be moved: how the sandbox and tests travel."""

    def __init__(self, source: Clock | None = None) -> None:
        self.shift = timedelta()
        self._source = source or SystemClock()

    def now(self) -> datetime:
        return self._source.now() + self.shift

    def advance(self, by: timedelta) -> None:
        self.shift += by
