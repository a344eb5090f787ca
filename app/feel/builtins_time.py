"""Standard functions on dates, times and durations. The clock is the one handed to the evaluation."""

from datetime import UTC, date, datetime, time, tzinfo
from typing import Any

from app.feel import temporal
from app.feel.numbers import CONTEXT, Number, integer
from app.feel.registry import function
from app.feel.scope import Run
from app.feel.values import Months

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@function("now")
def now(run: Run) -> datetime | None:
    return run.now


@function("today")
def today(run: Run) -> date | None:
    return run.now.date() if run.now else None


@function("date", "from: Any")
def date_(_run: Run, value: Any) -> date | None:
    if type(value) is str:
        return temporal.read_date(value)
    if type(value) is datetime:
        return value.date()
    return value if type(value) is date else None


@function("date", "year: number", "month: number", "day: number")
def date_of_parts(_run: Run, year: Number, month: Number, day: Number) -> date | None:
    parts = [integer(part) for part in (year, month, day)]
    return temporal.make_date(*(part or 0 for part in parts))


@function("time", "from: Any")
def time_(_run: Run, value: Any) -> time | None:
    if type(value) is str:
        return temporal.read_time(value)
    if type(value) is datetime:
        return value.timetz()
    if type(value) is date:
        return time(tzinfo=UTC)
    return value if type(value) is time else None


@function("time", "hour: number", "minute: number", "second: number", "offset?: days and time duration?")
def time_of_parts(_run: Run, hour: Number, minute: Number, second: Number, offset: Any = None) -> time | None:
    zone = temporal.offset_of(temporal.seconds_of(offset)) if offset is not None else None
    return None if offset is not None and zone is None else _clock(hour, minute, second, zone)


def _clock(hour: Number, minute: Number, second: Number, zone: tzinfo | None) -> time | None:
    hours, minutes, micro = integer(hour), integer(minute), integer(CONTEXT.multiply(second, 1_000_000))
    if hours is None or minutes is None or micro is None or micro < 0:
        return None
    return temporal.make_time(hours, minutes, micro // 1_000_000, micro % 1_000_000, zone)


@function("date and time", "from: Any")
def date_and_time(_run: Run, value: Any) -> datetime | None:
    if type(value) is str:
        return temporal.read_moment(value)
    if type(value) is date:
        return datetime.combine(value, time(), UTC)
    return value if type(value) is datetime else None


@function("date and time", "date: Any", "time: Any")
def date_and_time_of(_run: Run, day: Any, clock: Any) -> datetime | None:
    if type(clock) is not time or type(day) not in (date, datetime):
        return None
    return datetime.combine(day.date() if type(day) is datetime else day, clock)


_PARTS = ("year: number", "month: number", "day: number", "hour: number", "minute: number", "second: number")


@function("date and time", *_PARTS)
@function("date and time", *_PARTS, "offset: days and time duration")
@function("date and time", *_PARTS, "timezone: string")
def date_and_time_of_parts(run: Run, *parts: Any) -> datetime | None:
    zone: tzinfo | None = None
    if len(parts) > 6:
        zone = (
            temporal.zone_of(parts[6]) if type(parts[6]) is str else temporal.offset_of(temporal.seconds_of(parts[6]))
        )
        if zone is None:
            return None
    hour, minute, second = parts[3:6]
    day, clock = date_of_parts(run, *parts[:3]), _clock(hour, minute, second, zone)
    return datetime.combine(day, clock) if day and clock else None


@function("years and months duration", "from: Any", "to: Any")
def years_and_months_duration(_run: Run, start: Any, end: Any) -> Months | None:
    """Whole months between two dates, towards zero."""
    if not isinstance(start, date) or not isinstance(end, date):
        return None
    sign = 1
    if _calendar(start) > _calendar(end):
        start, end, sign = end, start, -1
    months = (end.year - start.year) * 12 + end.month - start.month
    incomplete = _calendar(end)[2:] < _calendar(start)[2:]
    return Months(sign * (months - incomplete))


def _calendar(value: date) -> tuple[Any, ...]:
    clock = value.time() if isinstance(value, datetime) else time()
    return value.year, value.month, value.day, clock


@function("day of year", "date: Any")
def day_of_year(_run: Run, day: Any) -> int | None:
    return day.timetuple().tm_yday if isinstance(day, date) else None


@function("day of week", "date: Any")
def day_of_week(_run: Run, day: Any) -> str | None:
    return _DAYS[day.weekday()] if isinstance(day, date) else None


@function("month of year", "date: Any")
def month_of_year(_run: Run, day: Any) -> str | None:
    return _MONTHS[day.month - 1] if isinstance(day, date) else None


@function("week of year", "date: Any")
def week_of_year(_run: Run, day: Any) -> int | None:
    return day.isocalendar().week if isinstance(day, date) else None
