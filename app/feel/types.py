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


def has_type(value: Any, wanted: Type) -> bool:
    """Whether a value is an instance of a type; only Null has null as an instance."""
    name = _SAME.get(wanted.name, wanted.name)
    if name == "Any":
        return value is not None
    if kind(value) != name:
        return False
    if type(value) is list:
        return all(_element(item, argument) for argument in wanted.arguments for item in value)
    if type(value) is dict:
        return all(key in value and _element(value[key], inner) for key, inner in wanted.fields or ())
    if type(value) is Range:
        ends = [end for end in (value.start, value.end) if end is not None]
        return all(has_type(end, argument) for argument in wanted.arguments for end in ends)
    if isinstance(value, Function) and wanted.result is not None:
        return len(value.parameters) == len(wanted.arguments)
    return True


def _element(value: Any, wanted: Type) -> bool:
    return value is None or has_type(value, wanted)


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
