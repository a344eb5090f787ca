"""Standard functions that relate points and ranges (Allen's relations).

Every end becomes a position: below, at or above its value by a hair, so that one comparison of positions covers points,
open and closed ends alike. A point is a range of one value.
"""

from itertools import product
from typing import Any

from app.feel.registry import function
from app.feel.scope import Run
from app.feel.values import Range, order

Verdict = bool | None
_BELOW_ALL, _ABOVE_ALL = -1, 1


class _Incomparable(Exception):
    pass


Position = tuple[int, Any, int]


def _start(value: Any) -> Position:
    if type(value) is not Range:
        return 0, value, 0
    return (_BELOW_ALL, None, 0) if value.start_open else (0, value.start, 0 if value.start_included else 1)


def _end(value: Any) -> Position:
    if type(value) is not Range:
        return 0, value, 0
    return (_ABOVE_ALL, None, 0) if value.end_open else (0, value.end, 0 if value.end_included else -1)


def _sign(left: Position, right: Position) -> int:
    if left[0] or right[0]:
        return left[0] - right[0]
    sign = order(left[1], right[1])
    if sign is None:
        raise _Incomparable
    return sign or left[2] - right[2]


def _starts_at(one: Any, other: Any) -> int:
    return _sign(_start(one), _start(other))


def _ends_at(one: Any, other: Any) -> int:
    return _sign(_end(one), _end(other))


def _gap(one: Any, other: Any) -> int:
    """Negative when `one` ends before `other` starts."""
    return _sign(_end(one), _start(other))


def _before(one: Any, other: Any) -> bool:
    return _gap(one, other) < 0


def _meets(one: Any, other: Any) -> bool:
    return _gap(one, other) == 0


def _overlaps(one: Any, other: Any) -> bool:
    return _gap(one, other) >= 0 and _gap(other, one) >= 0


def _overlaps_before(one: Any, other: Any) -> bool:
    return _starts_at(one, other) < 0 and _gap(one, other) >= 0 and _ends_at(one, other) <= 0


def _finishes(one: Any, other: Any) -> bool:
    return _ends_at(one, other) == 0 and _starts_at(one, other) >= 0


def _includes(one: Any, other: Any) -> bool:
    return _starts_at(one, other) <= 0 and _ends_at(one, other) >= 0


def _starts(one: Any, other: Any) -> bool:
    return _starts_at(one, other) == 0 and _ends_at(one, other) <= 0


def _coincides(one: Any, other: Any) -> bool:
    return _starts_at(one, other) == 0 and _ends_at(one, other) == 0


def _declare(name: str, relation: Any, first: str, second: str, *, swapped: bool = False) -> None:
    """`first` and `second` are the kinds of the arguments: a "range", or a "point", which may as well be a range."""

    def related(_run: Run, one: Any, other: Any) -> Verdict:
        pairs = ((first, one), (second, other))
        if any(kind == "range" and type(value) is not Range for kind, value in pairs) or one is None or other is None:
            return None
        try:
            return bool(relation(other, one) if swapped else relation(one, other))
        except _Incomparable:
            return None

    for left, right in product(_KINDS[first], _KINDS[second]):
        names = (f"{left}1: Any", f"{right}2: Any") if left == right else (f"{left}: Any", f"{right}: Any")
        function(name, *names)(related)


_KINDS = {"point": ("point", "range"), "range": ("range",)}
_declare("before", _before, "point", "point")
_declare("after", _before, "point", "point", swapped=True)
_declare("meets", _meets, "range", "range")
_declare("met by", _meets, "range", "range", swapped=True)
_declare("overlaps", _overlaps, "range", "range")
_declare("overlaps before", _overlaps_before, "range", "range")
_declare("overlaps after", _overlaps_before, "range", "range", swapped=True)
_declare("finishes", _finishes, "point", "range")
_declare("finished by", _finishes, "range", "point", swapped=True)
_declare("includes", _includes, "range", "point")
_declare("during", _includes, "point", "range", swapped=True)
_declare("starts", _starts, "point", "range")
_declare("started by", _starts, "range", "point", swapped=True)
_declare("coincides", _coincides, "point", "point")
