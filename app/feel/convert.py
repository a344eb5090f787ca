"""The border between JSON and FEEL values.

A number leaves as an int, or with a fraction as the double nearest to it: orjson can write that, and its shortest form
reads back as the same digits when there are at most 15 of them. Nothing ever computes with that double.
"""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from app.feel.errors import FeelError, TooLarge
from app.feel.numbers import CONTEXT
from app.feel.temporal import show
from app.feel.values import Function, Months, Range

_LARGEST = 2**63
#: Characters of one value that leaves FEEL, counted wherever they would be written; an item costs as much as twenty.
#: Whatever fits into the body of a request stays below.
MAX_JSON = 3_000_000
_ITEM = 20
#: Lists and contexts inside each other: orjson writes 254 levels, and a state puts its own around those of a value.
MAX_NESTED = 100
_TOO_DEEP = f"A value holds lists or contexts more than {MAX_NESTED} levels deep; work on less nested data."
_PLAIN = frozenset({bool, str, type(None), date, datetime, time, timedelta, Months, Range, Function})


def to_feel(value: Any) -> Any:
    """JSON-like Python to a FEEL value, deep and idempotent: floats become the decimals they show, tuples lists.

    An object FEEL has no type for becomes null. Containers that need no change are returned as they are. FeelError for
    what is nested deeper than MAX_NESTED.
    """
    return _taken(value, 0)


def _taken(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -(10**34) < value < 10**34 else CONTEXT.create_decimal(value)
    if depth > MAX_NESTED:
        raise FeelError(_TOO_DEEP)
    if kind is list:
        items = [_taken(item, depth + 1) for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    if kind is dict:
        entries = {key if type(key) is str else str(key): _taken(entry, depth + 1) for key, entry in value.items()}
        same = all(key in value and entry is value[key] for key, entry in entries.items())
        return value if same else entries
    return _foreign(value, depth)


def _foreign(value: Any, depth: int) -> Any:
    if isinstance(value, Decimal | float):
        number = CONTEXT.create_decimal(value if isinstance(value, Decimal) else repr(value))
        return number if number.is_finite() else None
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _taken(int(value), depth)
    if isinstance(value, Mapping):
        return _taken(dict(value), depth)
    if isinstance(value, tuple | set | frozenset | list):
        return _taken(list(value), depth)
    return None


def to_json(value: Any, most: int = MAX_JSON) -> Any:
    """A FEEL value as fresh JSON-like Python that orjson can write; temporal values and ranges as their FEEL text.

    A number beyond the doubles (1e308) and a function have no JSON and become null. TooLarge for what would be larger
    than `most` (a few lists that hold each other ten times over are small as values and endless when written out),
    FeelError for what is nested deeper than MAX_NESTED, and for a text with the character NUL.
    """
    return _written(value, [most], 0)


def _written(value: Any, left: list[int], depth: int) -> Any:
    """`left` is how much may still be written: a list of one number, the same for the whole walk."""
    kind = type(value)
    left[0] -= len(value) + _ITEM if kind is str else _ITEM
    if left[0] < 0:
        raise TooLarge(f"A value grew beyond {MAX_JSON // _ITEM} items or {MAX_JSON} characters.")
    if value is None or kind is bool:
        return value
    if kind is str:
        return _storable(value)
    if kind is int or kind is Decimal:
        return _number(value)
    if depth > MAX_NESTED:
        raise FeelError(_TOO_DEEP)
    if kind is list:
        return [_written(item, left, depth + 1) for item in value]
    if kind is dict:
        left[0] -= sum(map(len, value))
        return {_storable(key): _written(entry, left, depth + 1) for key, entry in value.items()}
    if kind is Function:
        return None
    shown = show(value)
    left[0] -= len(shown)
    return _storable(shown)


def _storable(text: str) -> str:
    if "\0" in text:
        raise FeelError("A text holds the character NUL, which no database stores; take it out.")
    return text


def _number(value: int | Decimal) -> int | float | None:
    if -_LARGEST <= value < _LARGEST and value == int(value):
        return int(value)
    carried = float(value)
    return carried if isfinite(carried) else None
