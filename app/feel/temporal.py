"""Dates, times and durations: reading, writing and calculating, for the years 1 to 9999.

Results outside that span, or that mix local with zoned values, are None. Texts finer than a microsecond are none of
them; what is calculated is cut to microseconds.
"""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from app.feel.numbers import CONTEXT, Number, finite, plain
from app.feel.values import NUMBERS, Months, Range, instant, time_of_day

_DATE = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_TIME = (
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?"
    r"(?:(?P<utc>[zZ])|(?P<offset>[+-][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)|@(?P<zone>[A-Za-z0-9_+/-]+))?"
)
_DATE_FORM = re.compile(_DATE)
_TIME_FORM = re.compile(_TIME)
_MOMENT_FORM = re.compile(f"{_DATE}T{_TIME}")
_DURATION_FORM = re.compile(
    r"(?P<sign>-)?P(?:(?P<days>[0-9]+)D)?"
    r"(?:T(?:(?P<hours>[0-9]+)H)?(?:(?P<minutes>[0-9]+)M)?(?:(?P<seconds>[0-9]+(?:\.[0-9]+)?)S)?)?"
)
_MONTHS_FORM = re.compile(r"(?P<sign>-)?P(?:(?P<years>[0-9]{1,9})Y)?(?:(?P<months>[0-9]{1,10})M)?")
_MAX_OFFSET = timedelta(hours=18)
#: Years of nine digits, the most a text of a duration can say.
_MAX_MONTHS = 999_999_999 * 12 + 11
_MIDNIGHT = time()
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo | None:
    try:
        return UTC if name == "Z" else ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


def offset_of(seconds: Number) -> tzinfo | None:
    delta = timedelta(seconds=int(seconds))
    return None if abs(delta) > _MAX_OFFSET else timezone(delta)


def read_date(text: str) -> date | None:
    match = _DATE_FORM.fullmatch(text)
    return make_date(*(int(part) for part in match.groups())) if match else None


def make_date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except (ValueError, OverflowError):
        return None


def read_time(text: str) -> time | None:
    match = _TIME_FORM.fullmatch(text)
    return _time(match) if match else None


def _time(match: re.Match[str]) -> time | None:
    zone: tzinfo | None = None
    if match["utc"]:
        zone = UTC
    elif match["offset"]:
        zone = _offset(match["offset"])
    elif match["zone"]:
        zone = zone_of(match["zone"])
    if zone is None and (match["offset"] or match["zone"]):
        return None
    micro = _micro(match["fraction"])
    if micro is None:
        return None
    return make_time(int(match["hour"]), int(match["minute"]), int(match["second"]), micro, zone)


def _micro(fraction: str | None) -> int | None:
    """The digits after the point as microseconds; None for a fraction finer than that."""
    digits = (fraction or "").rstrip("0")
    return None if len(digits) > 6 else int(digits.ljust(6, "0"))


def _offset(text: str) -> tzinfo | None:
    hours, minutes, *seconds = (int(part) for part in text[1:].split(":"))
    if minutes > 59 or (seconds and seconds[0] > 59):
        return None
    total = hours * 3600 + minutes * 60 + (seconds[0] if seconds else 0)
    return offset_of(-total if text[0] == "-" else total)


def make_time(hour: int, minute: int, second: int, micro: int, zone: tzinfo | None) -> time | None:
    try:
        return time(hour, minute, second, micro, tzinfo=zone)
    except (ValueError, OverflowError):
        return None


def read_moment(text: str) -> datetime | None:
    """A date and time, or a date alone, which is its midnight."""
    match = _MOMENT_FORM.fullmatch(text)
    if match is None:
        day = read_date(text)
        return datetime.combine(day, _MIDNIGHT) if day else None
    day, clock = make_date(int(match["year"]), int(match["month"]), int(match["day"])), _time(match)
    return datetime.combine(day, clock) if day and clock else None


def read_duration(text: str) -> timedelta | Months | None:
    span = _read_days(text)
    return _read_months(text) if span is None else span


def _read_days(text: str) -> timedelta | None:
    match = _DURATION_FORM.fullmatch(text)
    if match is None or text.endswith(("P", "T")) or any(len(part or "") > 15 for part in match.groups()[:4]):
        return None
    seconds, _, fraction = (match["seconds"] or "0").partition(".")
    micro = _micro(fraction)
    if micro is None:
        return None
    try:
        span = timedelta(
            days=int(match["days"] or 0),
            hours=int(match["hours"] or 0),
            minutes=int(match["minutes"] or 0),
            seconds=int(seconds[:15]),
            microseconds=micro,
        )
        # The shortest span Python holds is a day nearer to zero than the longest.
        return -span if match["sign"] else span
    except OverflowError:
        return None


def _read_months(text: str) -> Months | None:
    match = _MONTHS_FORM.fullmatch(text)
    if match is None or text.endswith("P"):
        return None
    months = int(match["years"] or 0) * 12 + int(match["months"] or 0)
    return months_of(-months if match["sign"] else months)


def months_of(count: int) -> Months | None:
    """A years and months duration; None beyond the years a text can say."""
    return Months(count) if abs(count) <= _MAX_MONTHS else None


def read_any(text: str) -> Any:
    """The value of `@"text"`: its form decides its type. None when it has none of the forms."""
    for read in (read_date, read_time, read_duration):
        value = read(text)
        if value is not None:
            return value
    return read_moment(text)


def show(value: Any) -> str:
    """A temporal value or range as FEEL text."""
    if type(value) is Range:
        return _show_range(value)
    if type(value) is Months:
        return _show_months(value.months)
    if type(value) is timedelta:
        return _show_days(value)
    if type(value) is date:
        return value.isoformat()
    clock: str = value.replace(tzinfo=None).isoformat()
    return (clock.rstrip("0") if value.microsecond else clock) + _show_zone(value.tzinfo)


def _show_zone(zone: tzinfo | None) -> str:
    if zone is None:
        return ""
    if isinstance(zone, ZoneInfo):
        return f"@{zone.key}"
    offset = zone.utcoffset(None)
    if not offset:
        return "Z"
    sign, seconds = ("-", -int(offset.total_seconds())) if offset < timedelta() else ("+", int(offset.total_seconds()))
    rest = f":{seconds % 60:02}" if seconds % 60 else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}{rest}"


def _show_range(value: Range) -> str:
    def end(part: Any) -> str:
        if isinstance(part, str):
            return f'"{part}"'
        return "null" if part is None else plain(part) if type(part) in NUMBERS else f'@"{show(part)}"'

    if value.start_open:
        return f"({'<=' if value.end_included else '<'}{end(value.end)})"
    if value.end_open:
        return f"({'>=' if value.start_included else '>'}{end(value.start)})"
    opening, closing = "[" if value.start_included else "(", "]" if value.end_included else ")"
    return f"{opening}{end(value.start)}..{end(value.end)}{closing}"


def _show_months(months: int) -> str:
    sign, months = ("-", -months) if months < 0 else ("", months)
    years, rest = divmod(months, 12)
    if not months:
        return "P0M"
    return f"{sign}P{f'{years}Y' if years else ''}{f'{rest}M' if rest else ''}"


def _show_days(span: timedelta) -> str:
    sign, span = ("-", -span) if span < timedelta() else ("", span)
    hours, minutes, seconds = span.seconds // 3600, span.seconds // 60 % 60, str(span.seconds % 60)
    if span.microseconds:
        seconds = f"{seconds}.{span.microseconds:06}".rstrip("0")
    parts = ((hours, "H"), (minutes, "M"), (seconds if seconds != "0" else 0, "S"))
    clock = "".join(f"{amount}{unit}" for amount, unit in parts if amount)
    days = f"{span.days}D" if span.days else ""
    return f"{sign}P{days}{f'T{clock}' if clock else ''}" if span else "PT0S"


def seconds_of(span: timedelta) -> Number:
    """The length in seconds, exact."""
    total = span // timedelta(microseconds=1)
    return total // 1_000_000 if total % 1_000_000 == 0 else CONTEXT.divide(total, 1_000_000)


def as_moment(value: Any) -> Any:
    """A date where a date and time is needed is its midnight at UTC; anything else stays."""
    return datetime.combine(value, _MIDNIGHT, UTC) if type(value) is date else value


def shift(value: Any, span: timedelta | Months) -> Any:
    """A date, time or date and time moved by a duration; a date stays a date, a time wraps around midnight."""
    try:
        if isinstance(span, Months):
            return _shift_months(value, span.months)
        if type(value) is date:
            return (datetime.combine(value, _MIDNIGHT) + span).date()
        if type(value) is time:
            wall = timedelta(
                hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
            )
            minutes, rest = divmod((wall + span) % _DAY, timedelta(minutes=1))
            return time(
                minutes // 60, minutes % 60, rest.seconds, rest.microseconds, tzinfo=value.tzinfo, fold=value.fold
            )
        if isinstance(value.tzinfo, ZoneInfo):
            return (value.astimezone(UTC) + span).astimezone(value.tzinfo)
        return value + span
    except (OverflowError, ValueError):
        return None


def _shift_months(value: Any, months: int) -> Any:
    if type(value) is time:
        return None
    year, month = divmod(value.year * 12 + value.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        return None
    return value.replace(year=year, month=month + 1, day=min(value.day, monthrange(year, month + 1)[1]))


def difference(left: Any, right: Any) -> timedelta | None:
    """left minus right for two points in time of one kind."""
    if type(left) is time and type(right) is time:
        return None if (left.tzinfo is None) is not (right.tzinfo is None) else time_of_day(left) - time_of_day(right)
    if type(left) is date and type(right) is date:
        return left - right
    left, right = as_moment(left), as_moment(right)
    if type(left) is not datetime or type(right) is not datetime or (left.tzinfo is None) is not (right.tzinfo is None):
        return None
    return instant(left) - instant(right)


def scale(span: Any, factor: Number, *, by_division: bool = False) -> Any:
    """A duration times or divided by a number; months are cut to whole ones."""
    if by_division and not factor:
        return None
    apply = CONTEXT.divide if by_division else CONTEXT.multiply
    if type(span) is Months:
        months = finite(apply(Decimal(span.months), factor))
        return None if months is None else months_of(int(months))
    micro = finite(apply(Decimal(span // timedelta(microseconds=1)), factor))
    try:
        return None if micro is None or not -(10**21) < micro < 10**21 else timedelta(microseconds=int(micro))
    except OverflowError:
        return None


def property_of(value: Any, name: str) -> Any:
    """`date.year`, `duration.hours` and so on; None when the value has no such property."""
    read = _PROPERTIES.get((type(value), name))
    return read(value) if read else None


def _second(value: Any) -> Number:
    return value.second if not value.microsecond else Decimal(f"{value.second}.{value.microsecond:06}".rstrip("0"))


def _offset_property(value: Any) -> timedelta | None:
    if value.tzinfo is None:
        return None
    offset: timedelta | None = value.utcoffset()
    return offset


def _timezone(value: Any) -> str | None:
    return value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None


def _part(unit: timedelta, size: int) -> Any:
    """A component of a duration carries the sign of the whole."""

    def read(span: timedelta) -> int:
        amount = abs(span) // unit
        amount = amount % size if size else amount
        return -amount if span < timedelta() else amount

    return read


def _duration_seconds(span: timedelta) -> Number | None:
    rest = seconds_of(abs(span) % timedelta(minutes=1))
    return -rest if span < timedelta() else rest


def _months_part(value: Months, *, years: bool) -> int:
    amount = abs(value.months) // 12 if years else abs(value.months) % 12
    return -amount if value.months < 0 else amount


_PROPERTIES: dict[tuple[type, str], Any] = {
    **{
        (kind, name): read
        for kind in (date, datetime)
        for name, read in (
            ("year", lambda value: value.year),
            ("month", lambda value: value.month),
            ("day", lambda value: value.day),
            ("weekday", lambda value: value.isoweekday()),
        )
    },
    **{
        (kind, name): read
        for kind in (time, datetime)
        for name, read in (
            ("hour", lambda value: value.hour),
            ("minute", lambda value: value.minute),
            ("second", _second),
            ("time offset", _offset_property),
            ("timezone", _timezone),
        )
    },
    (timedelta, "days"): _part(_DAY, 0),
    (timedelta, "hours"): _part(timedelta(hours=1), 24),
    (timedelta, "minutes"): _part(timedelta(minutes=1), 60),
    (timedelta, "seconds"): _duration_seconds,
    (Months, "years"): lambda value: _months_part(value, years=True),
    (Months, "months"): lambda value: _months_part(value, years=False),
}
PROPERTY_NAMES = frozenset(name for _, name in _PROPERTIES) | {"start", "end", "start included", "end included"}
