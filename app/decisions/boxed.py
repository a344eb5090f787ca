"""Boxed expressions: contexts, lists, relations, invocations, functions and conditionals around texts and tables."""

from collections.abc import Mapping
from typing import Any

from app.decisions.model import Coercion, Logic, Outcome
from app.feel import Expression
from app.feel.compile_loops import walked
from app.feel.scope import Run
from app.feel.values import Function


def literal(expression: Expression) -> Logic:
    """The inputs of a literal expression are the variables it reads, without the functions among them."""

    def evaluate(run: Run, variables: Mapping[str, Any]) -> Outcome:
        read = {name: variables.get(name) for name in sorted(expression.names)}
        inputs = {name: value for name, value in read.items() if not isinstance(value, Function)}
        return Outcome(expression.value(run, variables), inputs)

    return evaluate


def context(entries: list[tuple[str, Logic, Coercion]]) -> Logic:
    """Later entries see earlier ones; an entry without a name is the result of the whole context."""

    def run_entries(run: Run, variables: Mapping[str, Any]) -> Outcome:
        seen, built = dict(variables), {}
        for name, logic, coerce in entries:
            value = coerce(run, logic(run, seen).value)
            if not name:
                return Outcome(value)
            seen[name] = built[name] = value
        return Outcome(built)

    return run_entries


def list_of(items: list[Logic]) -> Logic:
    return lambda run, variables: Outcome([item(run, variables).value for item in items])


def relation(columns: list[str], rows: list[list[Logic]]) -> Logic:
    return lambda run, variables: Outcome(
        [{column: cell(run, variables).value for column, cell in zip(columns, row, strict=True)} for row in rows]
    )


def conditional(condition: Logic, then: Logic, otherwise: Logic) -> Logic:
    def choose(run: Run, variables: Mapping[str, Any]) -> Outcome:
        return (then if condition(run, variables).value is True else otherwise)(run, variables)

    return choose


def filtered(items: Logic, match: Logic) -> Logic:
    def keep(run: Run, variables: Mapping[str, Any]) -> Outcome:
        values = _listed(items(run, variables).value)
        kept = []
        for item in values or []:
            run.charge(1)
            entries = item if type(item) is dict else {}
            if match(run, {**variables, "item": item, **entries}).value is True:
                kept.append(item)
        return Outcome(None if values is None else kept)

    return keep


def iterated(kind: str, name: str, items: Logic, body: Logic) -> Logic:
    """`for`, `some` or `every` over a list or range: the item has a name, the results so far are `partial`."""

    def each(run: Run, variables: Mapping[str, Any]) -> Outcome:
        values = walked(items(run, variables).value)
        if values is None:
            return Outcome(None)
        results: list[Any] = []
        for value in values:
            run.charge(1 + len(results) // 16)
            results.append(body(run, {**variables, name: value, "partial": list(results)}).value)
        return Outcome(results if kind == "for" else _verdict(kind, results))

    return each


def _verdict(kind: str, results: list[Any]) -> bool | None:
    decisive = kind == "some"
    if any(result is decisive for result in results):
        return decisive
    return not decisive if all(type(result) is bool for result in results) else None


def _listed(value: Any) -> list[Any] | None:
    return value if value is None or type(value) is list else [value]


def function_of(parameters: list[tuple[str, Coercion]], logic: Logic, around: Mapping[str, Any]) -> Function:
    """A function whose body sees its parameters and what is around its definition."""

    def call(run: Run, at: int, arguments: list[Any]) -> Any:
        if len(arguments) != len(parameters):
            run.null(at, f"The function takes {len(parameters)} arguments, not {len(arguments)}.")
            return None
        run.charge(1, at)
        run.calls += 1
        if run.calls > run.limits.calls:
            raise run.exceeded(f"Functions call each other more than {run.limits.calls} levels deep.", at)
        given = {name: coerce(run, value) for (name, coerce), value in zip(parameters, arguments, strict=True)}
        value = logic(run, {**around, **given}).value
        run.calls -= 1
        return value

    return Function(tuple(name for name, _ in parameters), call)


def function_logic(parameters: list[tuple[str, Coercion]], logic: Logic) -> Logic:
    return lambda _run, variables: Outcome(function_of(parameters, logic, variables))


def invocation(target: Expression, bindings: list[tuple[str, Logic]]) -> Logic:
    """A call with named arguments; parameters that are not bound are null."""

    def invoke(run: Run, variables: Mapping[str, Any]) -> Outcome:
        function = target.value(run, variables)
        values = {name: logic(run, variables).value for name, logic in bindings}
        if not isinstance(function, Function) or not values.keys() <= set(function.parameters):
            return Outcome(None, values)
        return Outcome(function.call(run, 0, [values.get(name) for name in function.parameters]), values)

    return invoke
