"""Comparisons, `between`, `in` and unary tests as closures; comparing with a constant is the case made fast."""

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from app.feel.environment import Environment
from app.feel.numbers import subtract
from app.feel.scope import Code, Scope
from app.feel.syntax import Between, Comparison, In, ListOf, Literal, Name, Negate, Node, RangeOf, Test, Tests, walk
from app.feel.values import NUMBERS, Range, equal, every, kind, member, order, some, volume

_SMALL = 2**63
Verdict = bool | None
Relation = Callable[[Any, Any], Verdict]
Match = Callable[[Scope, Any], Verdict]


def _unequal(left: Any, right: Any) -> Verdict:
    same = equal(left, right)
    return None if same is None else not same


def _less(left: Any, right: Any) -> Verdict:
    sign = order(left, right)
    return None if sign is None else sign < 0


def _greater(left: Any, right: Any) -> Verdict:
    sign = order(left, right)
    return None if sign is None else sign > 0


def _at_most(left: Any, right: Any) -> Verdict:
    return some((_less(left, right), equal(left, right))) if order(left, right) is not None else None


def _at_least(left: Any, right: Any) -> Verdict:
    return some((_greater(left, right), equal(left, right))) if order(left, right) is not None else None


RELATIONS: dict[str, Relation] = {
    "=": equal,
    "!=": _unequal,
    "<": _less,
    "<=": _at_most,
    ">": _greater,
    ">=": _at_least,
}


def comparison(node: Comparison, env: Environment) -> Code:
    left, constant = env.compile(node.left), constant_of(node.right)
    if type(constant) in NUMBERS:
        with_number = _with_number(node, left, constant)
        if isinstance(node.left, Name) and env.is_free(node.left.name):
            return _named_with_number(node.left.name, node, with_number, constant)
        return with_number
    if type(constant) is str and node.operator in ("=", "!="):
        return _with_text(node, left, constant)
    right, relation = env.compile(node.right), RELATIONS[node.operator]

    def compare(scope: Scope) -> Verdict:
        a, b = left(scope), right(scope)
        if type(a) is list or type(a) is dict:
            scope.run.charge(min(volume(a), volume(b)) // 8, node.at)
        result = relation(a, b)
        if result is None:
            explain(scope, node, a, b)
        return result

    return compare


def explain(scope: Scope, node: Node, left: Any, right: Any) -> None:
    if scope.run.notes is not None:
        scope.run.null(node.at, f"A {kind(left)} cannot be compared with a {kind(right)}.")


def _with_number(node: Comparison, left: Code, constant: Any) -> Code:
    relation = RELATIONS[node.operator]
    quick = _QUICK[node.operator]

    def compare(scope: Scope) -> Verdict:
        value = left(scope)
        if type(value) is int or type(value) is Decimal:
            return quick(value, constant)
        result = relation(value, constant)
        if result is None:
            explain(scope, node, value, constant)
        return result

    return compare


def _named_with_number(name: str, node: Comparison, compare: Code, constant: Any) -> Code:
    """A variable beside a number, most of what conditions are made of: an int is compared where it lies.

    Rounding an int to 34 digits, which converting it would do, moves it past no constant that is written in fewer.
    """
    quick = _QUICK[node.operator]

    def direct(scope: Scope) -> Verdict:
        value = scope.variables.get(name)
        return quick(value, constant) if type(value) is int else compare(scope)

    return direct if -_SMALL < constant < _SMALL else compare


_QUICK: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _with_text(node: Comparison, left: Code, constant: str) -> Code:
    expected = node.operator == "="

    def compare(scope: Scope) -> Verdict:
        value = left(scope)
        if type(value) is str:
            return (value == constant) is expected
        if value is None:
            return not expected
        explain(scope, node, value, constant)
        return None

    return compare


def constant_of(node: Node) -> Any:
    """The number, text or temporal value a node stands for by itself, else None."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Negate) and isinstance(node.operand, Literal) and type(node.operand.value) in NUMBERS:
        return subtract(0, node.operand.value)
    return None


def constant_range(node: Node) -> Range | None:
    """The range between two constants, which is the same in every evaluation."""
    if not isinstance(node, RangeOf) or node.start is None or node.end is None:
        return None
    start, end = constant_of(node.start), constant_of(node.end)
    return None if order(start, end) is None else Range(start, end, node.start_included, node.end_included)


def between(node: Between, env: Environment) -> Code:
    value, low, high = env.compile(node.value), env.compile(node.low), env.compile(node.high)

    def compare(scope: Scope) -> Verdict:
        middle, bottom, top = value(scope), low(scope), high(scope)
        result = every((_at_least(middle, bottom), _at_most(middle, top)))
        if result is None:
            explain(scope, node, middle, bottom)
        return result

    return compare


def in_tests(node: In, env: Environment) -> Code:
    value, match = env.compile(node.value), any_of(node.tests, env.binding("?"))
    speaks = any(_speaks_of_input(test.operand) for test in node.tests)
    texts = _texts(node.tests)

    def contained(scope: Scope) -> Verdict:
        candidate = value(scope)
        if texts is not None and type(candidate) is str:
            return candidate in texts
        result = match(scope.inner({"?": candidate}) if speaks else scope, candidate)
        if result is None:
            scope.run.null(node.at, f"A {kind(candidate)} cannot be compared with what follows in.")
        return result

    return contained


def any_of(tests: tuple[Test, ...], env: Environment) -> Match:
    """Whether any of the tests holds for a value; a list of constant texts is looked up in one go."""
    matches = [_test(test, env) for test in tests]
    if len(matches) == 1:
        generic = matches[0]
    else:
        cost = len(matches) // 16

        def generic(scope: Scope, value: Any) -> Verdict:
            scope.run.charge(cost)
            unknown = False
            for match in matches:
                result = match(scope, value)
                if result is True:
                    return True
                unknown = unknown or result is not False
            return None if unknown else False

    texts = _texts(tests)
    if texts is None:
        return generic

    def lookup(scope: Scope, value: Any) -> Verdict:
        return value in texts if type(value) is str else generic(scope, value)

    return lookup


def _texts(tests: tuple[Test, ...]) -> frozenset[str] | None:
    """The constants of the tests when all are texts, written one by one or as one list."""
    if any(test.operator for test in tests):
        return None
    nodes: tuple[Node, ...] = tuple(test.operand for test in tests)
    if len(nodes) == 1 and isinstance(nodes[0], ListOf):
        nodes = nodes[0].items
    constants = [constant_of(node) for node in nodes]
    if not constants or any(type(constant) is not str for constant in constants):
        return None
    return frozenset(constants)


def _test(test: Test, env: Environment) -> Match:
    operand = env.compile(test.operand)
    if test.operator:
        return _relation_test(test, operand)
    bounds = constant_range(test.operand)
    if bounds is not None and type(bounds.start) in NUMBERS:
        return _range_test(bounds)
    if _speaks_of_input(test.operand):
        return lambda scope, value: _holds(scope, test, value, operand(scope))
    if isinstance(test.operand, Literal):
        constant = test.operand.value
        return lambda _scope, value: equal(value, constant)

    def satisfied(scope: Scope, value: Any) -> Verdict:
        result = operand(scope)
        scope.run.charge(volume(result) // 8, test.at)
        return _satisfies(value, result)

    return satisfied


def _speaks_of_input(node: Node) -> bool:
    return any(isinstance(part, Name) and part.name == "?" for part, _ in walk(node))


def _relation_test(test: Test, operand: Code) -> Match:
    relation, constant = RELATIONS[test.operator], constant_of(test.operand)
    if type(constant) not in NUMBERS:
        return lambda scope, value: relation(value, operand(scope))
    quick = _QUICK[test.operator]

    def compare(_scope: Scope, value: Any) -> Verdict:
        if type(value) is int or type(value) is Decimal:
            return quick(value, constant)
        return relation(value, constant)

    return compare


def _range_test(bounds: Range) -> Match:
    above = operator.le if bounds.start_included else operator.lt
    below = operator.le if bounds.end_included else operator.lt
    start, end = bounds.start, bounds.end

    def contained(_scope: Scope, value: Any) -> Verdict:
        if type(value) is int or type(value) is Decimal:
            return bool(above(start, value) and below(value, end))
        return member(value, bounds)

    return contained


def _holds(scope: Scope, test: Test, value: Any, result: Any) -> Verdict:
    """A test that speaks of `?` itself gives a verdict; any other value it gives is compared with the input."""
    if type(result) is bool or result is None:
        return result
    scope.run.charge(volume(result) // 8, test.at)
    return member(value, result)


def _satisfies(value: Any, result: Any) -> Verdict:
    if type(result) is bool and type(value) is not bool and value is not None:
        return result
    return member(value, result)


def unary_tests(node: Tests, env: Environment) -> Match:
    if not node.tests:
        return lambda _scope, _value: True
    match = any_of(node.tests, env)
    if not node.negated:
        return match

    def negated(scope: Scope, value: Any) -> Verdict:
        result = match(scope, value)
        return None if result is None else not result

    return negated
