"""The arithmetic operators over all types: numbers, texts, points in time and durations."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from app.feel import numbers, temporal
from app.feel.values import NUMBERS, Months

_MOMENTS = frozenset({date, time, datetime})
_SPANS = frozenset({timedelta, Months})


def add(left: Any, right: Any) -> Any:
    kinds = type(left), type(right)
    if kinds[0] in NUMBERS and kinds[1] in NUMBERS:
        return numbers.add(left, right)
    if kinds == (str, str):
        return left + right
    if kinds[0] in _MOMENTS and kinds[1] in _SPANS:
        return temporal.shift(left, right)
    if kinds[0] in _SPANS and kinds[1] in _MOMENTS:
        return temporal.shift(right, left)
    return _span_sum(left, right)


def subtract(left: Any, right: Any) -> Any:
    kinds = type(left), type(right)
    if kinds[0] in NUMBERS and kinds[1] in NUMBERS:
        return numbers.subtract(left, right)
    if kinds[0] in _MOMENTS and kinds[1] in _MOMENTS:
        return temporal.difference(left, right)
    if kinds[1] not in _SPANS:
        return None
    if kinds[0] in _MOMENTS:
        back = negate(right)
        return None if back is None else temporal.shift(left, back)
    if kinds == (Months, Months):
        return temporal.months_of(left.months - right.months)
    return _within_days(lambda: left - right) if kinds == (timedelta, timedelta) else None


def _span_sum(left: Any, right: Any) -> Any:
    if type(left) is Months and type(right) is Months:
        return temporal.months_of(left.months + right.months)
    if type(left) is timedelta and type(right) is timedelta:
        return _within_days(lambda: left + right)
    return None


def _within_days(calculate: Callable[[], timedelta]) -> timedelta | None:
    """A days and time duration; None beyond the 999,999,999 days Python can hold."""
    try:
        return calculate()
    except OverflowError:
        return None


def multiply(left: Any, right: Any) -> Any:
    kinds = type(left), type(right)
    if kinds[0] in NUMBERS and kinds[1] in NUMBERS:
        return numbers.multiply(left, right)
    if kinds[0] in _SPANS and kinds[1] in NUMBERS:
        return temporal.scale(left, right)
    if kinds[0] in NUMBERS and kinds[1] in _SPANS:
        return temporal.scale(right, left)
    return None


def divide(left: Any, right: Any) -> Any:
    kinds = type(left), type(right)
    if kinds[0] in NUMBERS and kinds[1] in NUMBERS:
        return numbers.divide(left, right)
    if kinds[0] in _SPANS and kinds[1] in NUMBERS:
        return temporal.scale(left, right, by_division=True)
    if kinds == (timedelta, timedelta):
        return numbers.divide(temporal.seconds_of(left), temporal.seconds_of(right))
    if kinds == (Months, Months):
        return numbers.divide(left.months, right.months)
    return None


def power(left: Any, right: Any) -> Any:
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return numbers.power(left, right)
    return None


def negate(value: Any) -> Any:
    if type(value) is int:
        return -value
    if type(value) is timedelta:
        return _within_days(lambda: -value)
    if type(value) is Months:
        return Months(-value.months)
    return numbers.subtract(0, value) if type(value) in NUMBERS else None


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "**": power,
}
