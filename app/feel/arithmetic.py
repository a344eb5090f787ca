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
        return temporal.shift(left, negate(right))
    return _span_sum(left, negate(right))


def _span_sum(left: Any, right: Any) -> Any:
    if type(left) is Months and type(right) is Months:
        return Months(left.months + right.months)
    if type(left) is timedelta and type(right) is timedelta:
        try:
            return left + right
        except OverflowError:
            return None
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
    if type(value) is int or type(value) is timedelta:
        return -value
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
