"""The values FEEL knows, and when two of them are equal or ordered.

null None, boolean bool, number int or Decimal, string str, list, context dict, date, time and date and time as in
`datetime`, days and time duration timedelta; those without a Python twin are here. Values are never changed in place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

NUMBERS = frozenset({int, Decimal})
_CONTAINERS = frozenset({list, dict})
ORDERED = frozenset({str, date, datetime, time, timedelta})


@dataclass(frozen=True, slots=True)
class Months:
    """A years and months duration, as a number of months."""

    months: int


@dataclass(frozen=True, slots=True)
class Range:
    """An end is null when it is unknown and when there is no bound; the `_open` flags tell the two apart."""

    start: Any
    end: Any
    start_included: bool = False
    end_included: bool = False
    start_open: bool = False
    end_open: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """Something callable: `parameters` are names for named arguments, `call` takes (run, offset, arguments)."""

    parameters: tuple[str, ...]
    call: Callable[[Any, int, list[Any]], Any]


def kind(value: Any) -> str:
    """The FEEL type of a value by its usual name."""
    return _KINDS.get(type(value), "function")


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    Decimal: "number",
    str: "string",
    list: "list",
    dict: "context",
    date: "date",
    time: "time",
    datetime: "date and time",
    timedelta: "days and time duration",
    Months: "years and months duration",
    Range: "range",
}


def equal(left: Any, right: Any) -> bool | None:
    """Three-valued: values of different types are neither equal nor unequal, unless one is null."""
    if left is None or right is None:
        return left is right
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return bool(left == right)
    if type(left) is not type(right):
        return None
    if type(left) in _CONTAINERS:
        return _equal_containers(left, right, {})
    compare = _EQUAL.get(type(left))
    return bool(left == right) if compare is None else compare(left, right)


def _equal_containers(left: Any, right: Any, known: dict[tuple[int, int], bool | None]) -> bool | None:
    """What is held in many places is compared once, or a few lists that hold each other would take for ever."""
    if left is right:
        return True
    pair = (id(left), id(right))
    if pair not in known:
        known[pair] = _equal_entries(left, right, known)
    return known[pair]


def _equal_entries(left: Any, right: Any, known: dict[tuple[int, int], bool | None]) -> bool | None:
    if len(left) != len(right) or (type(left) is dict and left.keys() != right.keys()):
        return False
    pairs = zip(left, right, strict=True) if type(left) is list else ((left[key], right[key]) for key in left)
    unknown = False
    for one, other in pairs:
        nested = type(one) in _CONTAINERS and type(one) is type(other)
        verdict = _equal_containers(one, other, known) if nested else equal(one, other)
        if verdict is False:
            return False
        unknown = unknown or verdict is None
    return None if unknown else True


def _equal_moments(left: datetime, right: datetime) -> bool | None:
    if (left.tzinfo is None) is not (right.tzinfo is None):
        return None
    # The standard compares date-times by their whole seconds.
    return instant(left) // _SECOND == instant(right) // _SECOND


def _equal_times(left: time, right: time) -> bool | None:
    if (left.tzinfo is None) is not (right.tzinfo is None):
        return None
    return time_of_day(left) == time_of_day(right)


def _equal_ranges(left: Range, right: Range) -> bool | None:
    if (left.start_included, left.end_included, left.start_open, left.end_open) != (
        right.start_included,
        right.end_included,
        right.start_open,
        right.end_open,
    ):
        return False
    return every((equal(left.start, right.start), equal(left.end, right.end)))


_EQUAL: dict[type, Callable[[Any, Any], bool | None]] = {
    datetime: _equal_moments,
    time: _equal_times,
    Range: _equal_ranges,
}


def volume(value: Any) -> int:
    """How many values a container holds, deep: what comparing it costs at most. 0 for anything else."""
    return _volume(value, {})


def _volume(value: Any, known: dict[int, int]) -> int:
    """What is held in many places is counted in each and walked once, or counting would cost what it is to prevent."""
    kind = type(value)
    if kind not in _CONTAINERS:
        return 0
    if id(value) not in known:
        items = value if kind is list else value.values()
        known[id(value)] = len(value) + sum(_volume(item, known) for item in items if type(item) in _CONTAINERS)
    return known[id(value)]


def every(results: Any) -> bool | None:
    unknown = False
    for result in results:
        if result is False:
            return False
        unknown = unknown or result is not True
    return None if unknown else True


def some(results: Any) -> bool | None:
    unknown = False
    for result in results:
        if result is True:
            return True
        unknown = unknown or result is not False
    return None if unknown else False


_REFERENCE = datetime(2000, 1, 1)  # noqa: DTZ001 - a clock face on purpose: instants are counted from it
_SECOND = timedelta(seconds=1)


def instant(moment: datetime) -> timedelta:
    """Where a date and time lies on the line of time (at UTC when it has a zone), as a distance from a fixed point.

    Python compares two date-times of one zone by their clock faces, which is wrong in the hour of a clock change.
    """
    return moment.replace(tzinfo=None) - _REFERENCE - (moment.utcoffset() or timedelta())


def time_of_day(value: time) -> timedelta:
    """Time since midnight, at UTC when the time has an offset; a zone counts with its offset of January."""
    since = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    offset = value.tzinfo.utcoffset(_REFERENCE) if value.tzinfo else None
    return since - offset if offset else since


def order(left: Any, right: Any) -> int | None:
    """-1, 0 or 1; None when the two cannot be ordered."""
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return int(left > right) - int(left < right)
    if type(left) is not type(right):
        return None
    if type(left) is Months:
        return order(left.months, right.months)
    if type(left) not in ORDERED:
        return None
    if type(left) is datetime or type(left) is time:
        if (left.tzinfo is None) is not (right.tzinfo is None):
            return None
        reading: Callable[[Any], Any] = instant if type(left) is datetime else time_of_day
        left, right = reading(left), reading(right)
    return int(left > right) - int(left < right)


def within(value: Any, bounds: Range) -> bool | None:
    """Whether a value lies in a range; null when it cannot be compared with an end."""
    return every((_above(value, bounds), _below(value, bounds)))


def _above(value: Any, bounds: Range) -> bool | None:
    if bounds.start_open:
        return order(value, bounds.end) is not None or None
    sign = order(value, bounds.start)
    return None if sign is None else sign > 0 or (sign == 0 and bounds.start_included)


def _below(value: Any, bounds: Range) -> bool | None:
    if bounds.end_open:
        return order(value, bounds.start) is not None or None
    sign = order(value, bounds.end)
    return None if sign is None else sign < 0 or (sign == 0 and bounds.end_included)


def member(value: Any, test: Any) -> bool | None:
    """`value in test`: inside a range, equal to (or inside) an element of a list, or equal."""
    if type(test) is Range and type(value) is not Range:
        return within(value, test)
    if type(test) is not list:
        return equal(value, test)
    if type(value) is list and equal(value, test):
        return True
    return some(member(value, element) for element in test) if test else False
