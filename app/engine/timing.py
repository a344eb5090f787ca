"""ISO 8601 times as diagrams use them: dates with an offset, durations by the calendar, repeating intervals.

SpiffWorkflow reads naive dates in the host's zone and a negative duration as positive; this file does neither.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.engine.expressions import EvaluationFailed

_DURATION = re.compile(
    r"(?P<sign>-?)P(?=.)(?:(?P<years>\d{1,4})Y)?(?:(?P<months>\d{1,6})M)?(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,7})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,11})(?:\.(?P<fraction>\d{1,9}))?S)?)?",
    re.ASCII,
)
_PARTS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
_CYCLE = re.compile(r"R(?P<count>\d{0,6})/(?:(?P<begins>\d[^/]*)/)?(?P<interval>P[^/]+)", re.ASCII)


#: Any moment at all: literals are checked against it when a diagram is read.
ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
#: A process that starts by itself more often than this is a loop without end in small steps.
SHORTEST = timedelta(minutes=1)
#: Nor does a reminder repeat in smaller steps than these.
_LEAST = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Duration:
    """Calendar months and exact time, either may be negative."""

    months: int
    rest: timedelta

    def after(self, start: datetime) -> datetime:
        """The moment this long after `start`; a day that a month lacks becomes its last day."""
        try:
            return _add_months(start, self.months) + self.rest
        except (OverflowError, ValueError):
            raise EvaluationFailed("The timer lies beyond the year 9999; use a shorter duration") from None


def _add_months(start: datetime, months: int) -> datetime:
    if not months:
        return start
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, calendar.monthrange(year, month + 1)[1]))


def parse_duration(text: str) -> Duration:
    """`P1M`, `PT30S`, `-PT5M`. Raises EvaluationFailed."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise EvaluationFailed(f"{text!r} is not a duration; write it as in PT30S or P1DT12H")
    parts = {name: int(match[name] or 0) for name in _PARTS}
    sign = -1 if match["sign"] else 1
    micros = int(((match["fraction"] or "") + "000000")[:6])
    rest = timedelta(
        weeks=parts["weeks"],
        days=parts["days"],
        hours=parts["hours"],
        minutes=parts["minutes"],
        seconds=parts["seconds"],
        microseconds=micros,
    )
    return Duration(sign * (parts["years"] * 12 + parts["months"]), sign * rest)


def parse_date(text: str) -> datetime:
    """A moment in UTC. Raises EvaluationFailed for a date without a time or an offset, or one that UTC cannot say."""
    try:
        moment = datetime.fromisoformat(text.partition("@")[0])
    except ValueError:
        raise EvaluationFailed(f"{text!r} is not a date and time; write it as in 2030-01-31T09:00:00Z") from None
    if moment.tzinfo is None:
        raise EvaluationFailed(f"{text!r} has no offset from UTC; write it as in 2030-01-31T09:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise EvaluationFailed(f"{text!r} lies outside the years 1 to 9999 in UTC; use a date within them") from None


@dataclass(frozen=True, slots=True)
class Cycle:
    """`count` firings, None for no end, `interval` apart; the first at `begins`, None for an interval from now."""

    count: int | None
    interval: Duration
    begins: datetime | None = None

    def first(self, now: datetime) -> datetime:
        """When it is due at first: a date that has passed is a round that was missed, so it is due at once."""
        return self.interval.after(now) if self.begins is None else self.begins


def parse_cycle(text: str) -> Cycle:
    """`R3/PT1M`, `R/PT1M`, `R/2030-01-31T09:00:00Z/P1D`.

    Raises EvaluationFailed, also for an interval below a second: it would fire all the time.
    """
    match = _CYCLE.fullmatch(text)
    if match is None:
        raise EvaluationFailed(f"{text!r} is not a repeating interval; write it as in R3/PT1M")
    if match["count"] and not int(match["count"]):
        raise EvaluationFailed(f"{text!r} never fires; write how often it does, as in R3/PT1M, or R/PT1M for no end")
    interval = parse_duration(match["interval"])
    if interval.after(ANY_TIME) < ANY_TIME + _LEAST:
        raise EvaluationFailed(f"{text!r} fires more often than once a second; use a longer interval")
    begins = parse_date(match["begins"]) if match["begins"] else None
    return Cycle(int(match["count"]) if match["count"] else None, interval, begins)


def parse_due(text: str, now: datetime) -> datetime:
    """A moment given as a date and time, or as a duration from `now`. Raises EvaluationFailed."""
    if text.lstrip("-").startswith("P"):
        return parse_duration(text).after(now)
    return parse_date(text)
