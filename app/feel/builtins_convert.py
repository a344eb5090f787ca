"""Standard functions that turn values into texts, numbers and ranges."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from app.feel import temporal
from app.feel.arithmetic import negate
from app.feel.errors import FeelError
from app.feel.numbers import Number, literal, plain
from app.feel.parser import parse_expression
from app.feel.registry import function
from app.feel.scope import Run
from app.feel.syntax import Call, Literal, Name, Negate, Node, RangeOf
from app.feel.values import NUMBERS, Function, Months, Range, order

_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SEPARATORS = (" ", ",", ".")
#: Characters of a text that may be a range: two literals and their brackets.
_MAX_RANGE = 300


@function("number", "from: Any", "grouping separator?: string?", "decimal separator?: string?")
def number(_run: Run, text: Any, grouping: str | None = None, point: str | None = None) -> Number | None:
    if type(text) in NUMBERS:
        value: Number = text
        return value if grouping is None and point is None else None
    if type(text) is not str or (grouping not in (None, *_SEPARATORS)) or point not in (None, ".", ","):
        return None
    if grouping is not None and grouping == (point or "."):
        return None
    digits = text.replace(grouping, "") if grouping else text
    digits = digits.replace(point, ".") if point else digits
    return literal(digits) if _NUMBER.fullmatch(digits) else None


@function("string", "from: Any")
def string(run: Run, value: Any) -> str | None:
    if value is None:
        return None
    return value if type(value) is str else written(run, value)


def written(run: Run, value: Any) -> str:
    """A value as FEEL text; texts inside lists and contexts are quoted."""
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind in NUMBERS:
        return plain(value)
    if kind is str:
        run.charge(len(value) // 64)
        return run.text_of(_quoted(value))
    if kind is list:
        run.charge(1 + len(value) // 4)
        return f"[{_joined(run, (written(run, item) for item in value))}]"
    if kind is dict:
        run.charge(1 + len(value) // 4)
        return f"{{{_joined(run, (f'{_key(run, key)}: {written(run, item)}' for key, item in value.items()))}}}"
    return f"function({', '.join(value.parameters)})" if kind is Function else temporal.show(value)


def _joined(run: Run, parts: Iterator[str]) -> str:
    """The parts with commas, given up before they are too long together and not after."""
    kept: list[str] = []
    size = 0
    for part in parts:
        size += len(part) + 2
        run.check_length(size)
        kept.append(part)
    run.charge(size // 64)
    return ", ".join(kept)


def _key(run: Run, key: str) -> str:
    run.charge(len(key) // 64)
    return key if key and all(part.isidentifier() for part in key.split(" ")) else _quoted(key)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@function("duration", "from: Any")
def duration(_run: Run, text: Any) -> timedelta | Months | None:
    if type(text) is timedelta or type(text) is Months:
        return text
    return temporal.read_duration(text) if type(text) is str else None


_READERS = {
    "date": temporal.read_date,
    "time": temporal.read_time,
    "date and time": temporal.read_moment,
    "duration": temporal.read_duration,
}


@function("range", "from: string")
def range_(run: Run, text: str) -> Range | None:
    """The text of a range between literals, such as "[1..5)" or "(@"2026-01-01"..@"2026-02-01"]"."""
    if len(text) > _MAX_RANGE:
        return None
    run.charge(len(text))
    try:
        node = parse_expression(text, frozenset(), frozenset(_READERS))
    except FeelError:
        return None
    if not isinstance(node, RangeOf):
        return None
    ends = [_constant(one) for one in (node.start, node.end) if one is not None and not _is_null(one)]
    if not ends or order(ends[0], ends[-1]) in (None, 1):
        return None
    start, end = _constant(node.start), _constant(node.end)
    return Range(start, end, node.start_included, node.end_included, node.start is None, node.end is None)


def _is_null(node: Node) -> bool:
    return isinstance(node, Literal) and node.value is None


def _constant(node: Node | None) -> Any:
    """The value of a literal, a negated one, or a call such as `date("2026-01-01")`; None for anything else."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Negate) and isinstance(node.operand, Literal):
        return negate(node.operand.value)
    if isinstance(node, Call) and isinstance(node.function, Name) and len(node.arguments) == 1:
        read, argument = _READERS.get(node.function.name), node.arguments[0]
        if read is not None and isinstance(argument, Literal) and type(argument.value) is str:
            return read(argument.value)
    return None
