"""FEEL types: does a value have one, and can it be brought to one."""

from datetime import date
from typing import Any

from app.feel.syntax import Type
from app.feel.temporal import as_moment
from app.feel.values import Function, Range, kind

NAMES = frozenset(
    {
        "Any", "Null", "number", "string", "boolean", "date", "time", "date and time", "days and time duration",
        "years and months duration", "list", "context", "range", "function", "dateTime", "dayTimeDuration",
        "yearMonthDuration", "day time duration", "year month duration",
    }
)  # fmt: skip
_SAME = {
    "dateTime": "date and time",
    "dayTimeDuration": "days and time duration",
    "day time duration": "days and time duration",
    "yearMonthDuration": "years and months duration",
    "year month duration": "years and months duration",
    "Null": "null",
}
ANY = Type("Any")
_CONTAINERS = frozenset({list, dict})


def has_type(value: Any, wanted: Type) -> bool:
    """Whether a value is an instance of a type; only Null has null as an instance."""
    return _has(value, wanted, {})


def _has(value: Any, wanted: Type, known: dict[tuple[int, int], bool]) -> bool:
    """`known` are containers that were looked at: one that is held in many places is looked at once."""
    name = _SAME.get(wanted.name, wanted.name)
    if name == "Any":
        return value is not None
    if kind(value) != name:
        return False
    if type(value) is Range:
        ends = [end for end in (value.start, value.end) if end is not None]
        return all(_has(end, argument, known) for argument in wanted.arguments for end in ends)
    if isinstance(value, Function) and wanted.result is not None:
        return len(value.parameters) == len(wanted.arguments)
    if not wanted.deep or type(value) not in _CONTAINERS:
        return True
    place = (id(value), id(wanted))
    if place not in known:
        known[place] = _parts_fit(value, wanted, known)
    return known[place]


def _parts_fit(value: Any, wanted: Type, known: dict[tuple[int, int], bool]) -> bool:
    if type(value) is list:
        parts = [(item, argument) for argument in wanted.arguments for item in value]
    else:
        fields = wanted.fields or ()
        if any(key not in value for key, _ in fields):
            return False
        parts = [(value[key], inner) for key, inner in fields]
    return all(part is None or _has(part, inner, known) for part, inner in parts)


def conform(value: Any, wanted: Type) -> Any:
    """A value brought to a type, else null: a lone value becomes a list of one and back, a date its midnight at UTC."""
    if value is None or wanted == ANY or has_type(value, wanted):
        return value
    if wanted.name == "list":
        item = conform(value, wanted.arguments[0]) if wanted.arguments else value
        return None if item is None else [item]
    if type(value) is list and len(value) == 1:
        return conform(value[0], wanted)
    if type(value) is date and _SAME.get(wanted.name, wanted.name) == "date and time":
        return as_moment(value)
    return None
