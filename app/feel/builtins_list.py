"""Standard functions on lists."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import cmp_to_key
from typing import Any

from app.feel import arithmetic
from app.feel.numbers import CONTEXT, Number, divide, finite, integer, subtract
from app.feel.registry import function
from app.feel.scope import Run
from app.feel.values import NUMBERS, Function, Months, equal, every, kind, order, some, volume

_HASHED = NUMBERS | {str, bool, date, timedelta, Months, type(None)}
Body = Callable[[Run, list[Any]], Any]


def _listed(name: str) -> Callable[[Body], Body]:
    """Declare a function that takes one list, or its items one by one."""

    def register(body: Body) -> Body:
        function(name, "list: list")(body)
        function(name, "c: Any", variadic=True)(lambda run, *items: body(run, list(items)))
        return body

    return register


def _place(items: list[Any], position: Any, *, slack: int = 0) -> int | None:
    """The index of a position counted from 1, or from the end when negative."""
    index = integer(position)
    if not index or abs(index) > len(items) + slack:
        return None
    return index - 1 if index > 0 else len(items) + index


def _contains(run: Run, items: list[Any], wanted: Any) -> bool:
    run.charge(len(items) * (1 + volume(wanted)) // 8)
    return any(equal(item, wanted) is True for item in items)


@function("list contains", "list: list", "element: Any")
def list_contains(run: Run, items: list[Any], element: Any) -> bool:
    return _contains(run, items, element)


@function("count", "list: list")
def count(_run: Run, items: list[Any]) -> int:
    return len(items)


def _extreme(items: list[Any], wanted: int) -> Any:
    best = items[0] if items else None
    if order(best, best) is None:
        return None
    for item in items[1:]:
        sign = order(item, best)
        if sign is None:
            return None
        best = item if sign == wanted else best
    return best


@_listed("min")
def min_(_run: Run, items: list[Any]) -> Any:
    return _extreme(items, -1)


@_listed("max")
def max_(_run: Run, items: list[Any]) -> Any:
    return _extreme(items, 1)


def _fold(items: list[Any], operation: Any) -> Any:
    total = items[0] if items else None
    for item in items[1:]:
        total = operation(total, item)
    return total


@_listed("sum")
def sum_(run: Run, items: list[Any]) -> Any:
    """Of numbers, or of durations of one kind."""
    run.charge(len(items) // 8)
    if items and (type(items[0]) in (str, bool, list, dict) or arithmetic.subtract(items[0], items[0]) is None):
        return None
    return _fold(items, arithmetic.add)


@_listed("product")
def product(run: Run, items: list[Any]) -> Number | None:
    run.charge(len(items) // 8)
    return _fold(items, arithmetic.multiply) if _numbers(items) else None


@_listed("mean")
def mean(run: Run, items: list[Any]) -> Any:
    return arithmetic.divide(sum_(run, items), len(items)) if items else None


@_listed("median")
def median(_run: Run, items: list[Any]) -> Number | None:
    if not items or not _numbers(items):
        return None
    ranked: list[Number] = sorted(items)
    middle = len(ranked) // 2
    if len(ranked) % 2:
        return ranked[middle]
    both: Number | None = arithmetic.divide(arithmetic.add(ranked[middle - 1], ranked[middle]), 2)
    return both


@_listed("stddev")
def stddev(run: Run, items: list[Any]) -> Number | None:
    """The standard deviation of a sample."""
    if len(items) < 2 or not _numbers(items):
        return None
    run.charge(len(items) // 2)
    middle = mean(run, items)
    squares = [] if middle is None else [arithmetic.power(subtract(item, middle), 2) for item in items]
    if not squares or None in squares:
        return None
    variance = divide(_fold(squares, arithmetic.add), len(items) - 1)
    return None if variance is None else finite(CONTEXT.sqrt(variance))


@_listed("mode")
def mode(_run: Run, items: list[Any]) -> list[Any] | None:
    if not _numbers(items):
        return None
    counts = Counter(items)
    highest = max(counts.values(), default=0)
    return sorted(item for item, times in counts.items() if times == highest)


def _numbers(items: Iterable[Any]) -> bool:
    return all(type(item) in NUMBERS for item in items)


@_listed("all")
def all_(_run: Run, items: list[Any]) -> bool | None:
    return every(items)


@_listed("any")
def any_(_run: Run, items: list[Any]) -> bool | None:
    return some(items)


@function("sublist", "list: list", "start position: number", "length?: number")
def sublist(_run: Run, items: list[Any], start: Any, length: Any = None) -> list[Any] | None:
    first = _place(items, start)
    size = len(items) if length is None else integer(length)
    if first is None or size is None or size < 1 or (length is not None and first + size > len(items)):
        return None
    return items[first : first + size]


@function("append", "list: list", "item: Any", variadic=True)
def append(_run: Run, items: list[Any], *more: Any) -> list[Any]:
    return [*items, *more]


@function("concatenate", "list: list", variadic=True)
def concatenate(run: Run, *lists: list[Any]) -> list[Any]:
    run.charge(sum(len(items) for items in lists) // 16)
    return [item for items in lists for item in items]


@function("insert before", "list: list", "position: number", "newItem: Any")
def insert_before(_run: Run, items: list[Any], position: Any, item: Any) -> list[Any] | None:
    index = _place(items, position)
    return None if index is None else [*items[:index], item, *items[index:]]


@function("remove", "list: list", "position: number")
def remove(_run: Run, items: list[Any], position: Any) -> list[Any] | None:
    index = _place(items, position)
    return None if index is None else [*items[:index], *items[index + 1 :]]


@function("list replace", "list: list", "position: number", "newItem: Any")
@function("list replace", "list: list", "match: function", "newItem: Any")
def list_replace(run: Run, items: list[Any], where: Any, new: Any) -> list[Any] | None:
    """Replace the item at a position, or every item for which `match(item, newItem)` is true."""
    if not isinstance(where, Function):
        index = _place(items, where)
        return None if index is None else [*items[:index], new, *items[index + 1 :]]
    verdicts = [where.call(run, 0, [item, new]) for item in items]
    if any(type(verdict) is not bool for verdict in verdicts):
        return None
    return [new if verdict else item for item, verdict in zip(items, verdicts, strict=True)]


@function("reverse", "list: list")
def reverse(_run: Run, items: list[Any]) -> list[Any]:
    return items[::-1]


@function("index of", "list: list", "match: Any")
def index_of(run: Run, items: list[Any], match: Any) -> list[int]:
    run.charge(len(items) * (1 + volume(match)) // 8)
    return [position for position, item in enumerate(items, 1) if equal(item, match) is True]


def _distinct(run: Run, items: list[Any]) -> list[Any]:
    """Values that are equal exactly when Python says so are looked up; the others are compared one by one."""
    run.charge(len(items) // 8)
    kept: list[Any] = []
    seen: set[tuple[str, Any]] = set()
    others: list[Any] = []
    for item in items:
        if type(item) in _HASHED:
            known = (kind(item), item) in seen
            seen.add((kind(item), item))
        else:
            known = _contains(run, others, item)
            others.append(item)
        if not known:
            kept.append(item)
    return kept


@function("distinct values", "list: list")
def distinct_values(run: Run, items: list[Any]) -> list[Any]:
    return _distinct(run, items)


@function("union", "list: list", variadic=True)
def union(run: Run, *lists: list[Any]) -> list[Any]:
    return _distinct(run, concatenate(run, *lists))


@function("flatten", "list: list")
def flatten(run: Run, items: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in items:
        run.charge(1)
        flat.extend(flatten(run, item) if type(item) is list else [item])
        run.list_of(flat)
    return flat


@function("sort", "list: list", "precedes?: function?")
def sort(run: Run, items: list[Any], precedes: Function | None = None) -> list[Any] | None:
    if precedes is not None:
        # Python's sort asks only whether one item comes before the other, and is stable.
        return sorted(items, key=cmp_to_key(lambda a, b: -1 if precedes.call(run, 0, [a, b]) is True else 0))
    if any(order(item, items[0]) is None for item in items):
        return None
    run.charge(len(items) // 2)
    return sorted(items, key=cmp_to_key(lambda a, b: order(a, b) or 0))
