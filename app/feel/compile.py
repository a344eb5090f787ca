"""Trees to closures. Nothing of the text is ever given to Python to execute.

The names bound around a node are known while compiling; a name that nothing binds reads the variables directly,
which is the fast path of almost every condition.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from app.feel.arithmetic import OPERATIONS, negate
from app.feel.compile_calls import call, function_value
from app.feel.compile_compare import Match, between, comparison, constant_of, constant_range, in_tests, unary_tests
from app.feel.compile_loops import filtered, for_loop, quantified
from app.feel.convert import to_feel
from app.feel.environment import Environment
from app.feel.registry import builtin_value
from app.feel.scope import Code, Scope
from app.feel.syntax import (
    Arithmetic,
    Between,
    Call,
    Comparison,
    ContextOf,
    Filter,
    For,
    FunctionOf,
    If,
    In,
    InstanceOf,
    ListOf,
    Literal,
    Logic,
    Name,
    Negate,
    Node,
    Path,
    Quantified,
    RangeOf,
    Tests,
)
from app.feel.temporal import property_of
from app.feel.types import has_type
from app.feel.values import Range, kind, order, volume

_SCALARS = frozenset({str, bool, Decimal, date, time, datetime, timedelta})
_SMALL = 2**63


def compile_node(node: Node, declared: frozenset[str]) -> Code:
    return _compile(node, Environment(_compile, declared))


def compile_tests(node: Tests, declared: frozenset[str]) -> Match:
    return unary_tests(node, Environment(_compile, declared, bound=frozenset("?")))


def _compile(node: Node, env: Environment) -> Code:
    return _COMPILERS[type(node)](node, env)


def _literal(node: Literal, _env: Environment) -> Code:
    value = node.value
    return lambda _scope: value


def _name(node: Name, env: Environment) -> Code:
    name, standard = node.name, builtin_value(node.name)
    if not env.is_free(name):
        return _local(node)

    def read(scope: Scope) -> Any:
        value = scope.variables.get(name)
        if type(value) is int:
            return value if -_SMALL < value < _SMALL else to_feel(value)
        if type(value) in _SCALARS:
            return value
        return scope.load(name) if value is not None else missing(scope)

    def missing(scope: Scope) -> Any:
        if standard is not None and name not in scope.variables:
            return standard
        scope.run.null(node.at, f'"{name}" is null or not known here.')
        return None

    return read


def _local(node: Name) -> Code:
    """A name that a frame around may bind: looked up from the inside out while running."""
    name, standard = node.name, builtin_value(node.name)

    def read(scope: Scope) -> Any:
        at: Scope | None = scope
        while at is not None and at.frame is not None:
            if name in at.frame:
                return at.frame[name]
            at = at.parent
        if name in scope.variables:
            return scope.load(name)
        if standard is None:
            scope.run.null(node.at, f'"{name}" is not known here.')
        return standard

    return read


def _path(node: Path, env: Environment) -> Code:
    steps: list[Path] = []
    base: Node = node
    while isinstance(base, Path):
        steps.append(base)
        base = base.base
    steps.reverse()
    names = [step.name for step in steps]
    start = env.compile(base)

    def follow(scope: Scope) -> Any:
        value = start(scope)
        for step in steps:
            value = _entry(scope, step, value)
        return value

    if isinstance(base, Name) and env.is_free(base.name):
        return _quick_path(base.name, names, follow)
    return follow


def _quick_path(first: str, names: list[str], follow: Code) -> Code:
    """Walk through plain contexts without converting what lies beside the way; anything unusual takes the long way."""

    def read(scope: Scope) -> Any:
        value: Any = scope.variables.get(first)
        for name in names:
            if type(value) is not dict:
                return follow(scope)
            value = value.get(name)
        if type(value) is str or type(value) is bool or (type(value) is int and -_SMALL < value < _SMALL):
            return value
        return follow(scope) if value is None or type(value) is dict or type(value) is list else to_feel(value)

    return read


def _entry(scope: Scope, step: Path, value: Any) -> Any:
    """One step of a path: an entry of a context, of every item of a list, or a property of a value."""
    name = step.name
    if type(value) is dict:
        if name not in value:
            scope.run.null(step.at, f'The context has no entry "{name}".')
        return value.get(name)
    if type(value) is list:
        scope.run.charge(1 + len(value) // 8, step.at)
        return [_entry(scope, step, item) for item in value]
    result = _range_property(value, name) if type(value) is Range else property_of(value, name)
    if result is None:
        scope.run.null(step.at, f'A value of type {kind(value)} has no "{name}".')
    return result


def _range_property(value: Range, name: str) -> Any:
    return {
        "start": value.start,
        "end": value.end,
        "start included": value.start_included,
        "end included": value.end_included,
    }.get(name)


def _negate(node: Negate, env: Environment) -> Code:
    constant = constant_of(node)
    if constant is not None:
        return lambda _scope: constant
    operand = env.compile(node.operand)

    def run(scope: Scope) -> Any:
        value = operand(scope)
        result = negate(value)
        if result is None:
            scope.run.null(node.at, f"A {kind(value)} cannot be negated.")
        return result

    return run


def _arithmetic(node: Arithmetic, env: Environment) -> Code:
    left, right, operation = env.compile(node.left), env.compile(node.right), OPERATIONS[node.operator]

    def run(scope: Scope) -> Any:
        a, b = left(scope), right(scope)
        result = operation(a, b)
        if result is None:
            scope.run.null(node.at, f'"{node.operator}" has no result for {kind(a)} and {kind(b)} with these values.')
        elif type(result) is str:
            scope.run.charge(len(result) // 64, node.at)
            scope.run.text_of(result, node.at)
        return result

    return run


def _logic(node: Logic, env: Environment) -> Code:
    parts, decisive = [env.compile(part) for part in node.parts], node.operator == "or"

    def run(scope: Scope) -> Any:
        unknown = False
        for part in parts:
            value = part(scope)
            if value is decisive:
                return decisive
            if type(value) is not bool:
                unknown = True
        if unknown:
            scope.run.null(node.at, f'A part of "{node.operator}" is neither true nor false.')
            return None
        return not decisive

    return run


def _if(node: If, env: Environment) -> Code:
    condition, then, otherwise = env.compile(node.condition), env.compile(node.then), env.compile(node.otherwise)
    return lambda scope: then(scope) if condition(scope) is True else otherwise(scope)


def _list(node: ListOf, env: Environment) -> Code:
    items = [env.compile(item) for item in node.items]
    return lambda scope: [item(scope) for item in items]


def _context(node: ContextOf, env: Environment) -> Code:
    keys = [key for key, _ in node.entries]
    inner = env.binding(keys)
    entries = [(key, inner.compile(entry)) for key, entry in node.entries]
    duplicate = len(set(keys)) < len(keys)

    def run(scope: Scope) -> dict[str, Any] | None:
        if duplicate:
            scope.run.null(node.at, "The context has two entries of one name.")
            return None
        frame: dict[str, Any] = {}
        inside = scope.inner(frame)
        for key, entry in entries:
            frame[key] = entry(inside)
        return frame

    return run


def _range(node: RangeOf, env: Environment) -> Code:
    constant = constant_range(node)
    if constant is not None:
        return lambda _scope: constant
    start = env.compile(node.start) if node.start else None
    end = env.compile(node.end) if node.end else None

    def run(scope: Scope) -> Range | None:
        low, high = start(scope) if start else None, end(scope) if end else None
        ends = [value for value in (low, high) if value is not None]
        if ends and order(ends[0], ends[-1]) is None:
            scope.run.null(node.at, f"A range cannot run from {kind(low)} to {kind(high)}.")
            return None
        return Range(low, high, node.start_included, node.end_included, start is None, end is None)

    return run


def _instance(node: InstanceOf, env: Environment) -> Code:
    value, wanted = env.compile(node.value), node.type
    if not wanted.deep:
        return lambda scope: has_type(value(scope), wanted)

    def run(scope: Scope) -> bool:
        tested = value(scope)
        scope.run.charge(volume(tested) // 2, node.at)
        return has_type(tested, wanted)

    return run


_COMPILERS: dict[type[Node], Callable[..., Code]] = {
    Literal: _literal,
    Name: _name,
    Path: _path,
    Filter: filtered,
    Call: call,
    Negate: _negate,
    Arithmetic: _arithmetic,
    Comparison: comparison,
    Logic: _logic,
    Between: between,
    In: in_tests,
    If: _if,
    For: for_loop,
    Quantified: quantified,
    ListOf: _list,
    ContextOf: _context,
    RangeOf: _range,
    FunctionOf: function_value,
    InstanceOf: _instance,
}
