"""Filters, `for`, `some` and `every` as closures. Every round is charged to the steps of the evaluation."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from app.feel.compile_compare import constant_of
from app.feel.environment import Environment
from app.feel.numbers import integer
from app.feel.scope import Code, Scope
from app.feel.syntax import Domain, Filter, For, Name, Quantified, walk, weight
from app.feel.values import NUMBERS, Range


def element(items: list[Any], index: Any) -> Any:
    """The item at a position counted from 1, or from the end when negative; None when there is none."""
    position = integer(index) if type(index) is int or index == index.to_integral_value() else None
    if not position or abs(position) > len(items):
        return None
    return items[position - 1 if position > 0 else position]


def filtered(node: Filter, env: Environment) -> Code:
    base, constant = env.compile(node.base), constant_of(node.test)
    if type(constant) in NUMBERS:
        return lambda scope: _at(scope, node, _listed(base(scope)), constant)
    test = env.in_filter().compile(node.test)
    cost = weight(node.test)

    def run(scope: Scope) -> Any:
        items = _listed(base(scope))
        if not items:
            return None if type(test(_item_scope(scope, None))) in NUMBERS else []
        kept = []
        for position, item in enumerate(items):
            scope.run.charge(cost, node.at)
            verdict = test(_item_scope(scope, item))
            if position == 0 and type(verdict) in NUMBERS:
                return _at(scope, node, items, verdict)
            if verdict is True:
                kept.append(item)
        return kept

    return run


def _at(scope: Scope, node: Filter, items: list[Any], index: Any) -> Any:
    if scope.run.notes is not None and element(items, index) is None:
        scope.run.null(node.at, f"The list has {len(items)} items; there is none at position {index}.")
    return element(items, index)


def _listed(value: Any) -> list[Any]:
    return value if type(value) is list else [] if value is None else [value]


def _item_scope(scope: Scope, item: Any) -> Scope:
    """Inside a filter the entries of a context come first, then `item`, then what is around."""
    outer = scope.inner({"item": item})
    return outer.inner(item) if type(item) is dict else outer


def for_loop(node: For, env: Environment) -> Code:
    inner, domains = _domains(node.domains, env)
    body = inner.binding(("partial",)).compile(node.body)
    uses_partial = any(isinstance(part, Name) and part.name == "partial" for part, _ in walk(node.body))
    cost = weight(node.body)

    def run(scope: Scope) -> Any:
        results: list[Any] = []
        for round_scope in _rounds(scope, domains, 0):
            if round_scope is None:
                return None
            scope.run.charge(cost, node.at)
            seen = round_scope
            if uses_partial:
                scope.run.charge(len(results) // 16, node.at)
                seen = round_scope.inner({"partial": list(results)})
            results.append(body(seen))
            scope.run.list_of(results, node.at)
        return results

    return run


def quantified(node: Quantified, env: Environment) -> Code:
    inner, domains = _domains(node.domains, env)
    body, cost, decisive = inner.compile(node.body), weight(node.body), not node.every

    def run(scope: Scope) -> Any:
        unknown = False
        for round_scope in _rounds(scope, domains, 0):
            if round_scope is None:
                return None
            scope.run.charge(cost, node.at)
            verdict = body(round_scope)
            if verdict is decisive:
                return decisive
            unknown = unknown or type(verdict) is not bool
        return None if unknown else not decisive

    return run


_Domains = list[tuple[Domain, Code, Code | None]]


def _domains(nodes: tuple[Domain, ...], env: Environment) -> tuple[Environment, _Domains]:
    """The compiled lists; each may use the names of those before it."""
    compiled: _Domains = []
    for node in nodes:
        compiled.append((node, env.compile(node.domain), env.compile(node.end) if node.end else None))
        env = env.binding((node.name,))
    return env, compiled


def _rounds(scope: Scope, domains: _Domains, depth: int) -> Iterator[Scope | None]:
    """A scope for every combination of the lists; None when one of them cannot be walked through."""
    node, domain, end = domains[depth]
    values = _values(domain(scope), end(scope) if end else None, counted=end is not None)
    if values is None:
        scope.run.null(
            node.at, f'What "{node.name}" should run through is not a list or a range of whole numbers or dates.'
        )
        yield None
        return
    for value in values:
        scope.run.charge(1, node.at)
        inner = scope.inner({node.name: value})
        if depth + 1 == len(domains):
            yield inner
        else:
            yield from _rounds(inner, domains, depth + 1)


def _values(start: Any, end: Any, *, counted: bool) -> Iterator[Any] | None:
    return _counted(start, end) if counted else walked(start)


def walked(value: Any) -> Iterator[Any] | None:
    """What a loop over a value runs through; None for null and for a range that cannot be walked through."""
    if type(value) is list:
        return iter(value)
    if type(value) is Range:
        return _range_values(value)
    return None if value is None else iter((value,))


def _range_values(bounds: Range) -> Iterator[Any] | None:
    """A range as a list runs upwards only, without the ends it excludes."""
    first, last = bounds.start, bounds.end
    if _counted(first, last) is None or last < first:
        return None
    dates = type(first) is date
    if dates:
        first, last = first.toordinal(), last.toordinal()
    numbers = range(int(first) + (not bounds.start_included), int(last) + bounds.end_included)
    return map(date.fromordinal, numbers) if dates else iter(numbers)


def _counted(start: Any, end: Any) -> Iterator[Any] | None:
    """Every whole number or day from one to the other, downwards too."""
    if type(start) in NUMBERS and type(end) in NUMBERS:
        first, last = integer(start), integer(end)
        if first is None or last is None or first != start or last != end:
            return None
        return iter(range(first, last + 1) if first <= last else range(first, last - 1, -1))
    if type(start) is date and type(end) is date:
        days = _counted(start.toordinal(), end.toordinal())
        return None if days is None else map(date.fromordinal, days)
    return None
