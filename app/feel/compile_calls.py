"""Calls and function definitions as closures."""

from typing import Any

from app.feel.environment import Environment
from app.feel.registry import BUILTINS, fitting
from app.feel.scope import Code, Run, Scope
from app.feel.syntax import Call, FunctionOf, Name, Type, weight
from app.feel.types import ANY, conform
from app.feel.values import Function, kind, volume


def call(node: Call, env: Environment) -> Code:
    name = node.function.name if isinstance(node.function, Name) else None
    arguments = [env.compile(argument) for argument in node.arguments]
    standard = _standard(node, name, arguments) if name in BUILTINS else None
    if standard and name and env.is_free(name) and name not in env.declared:
        return standard
    target = env.compile(node.function)

    def run(scope: Scope) -> Any:
        function = target(scope)
        if standard and not isinstance(function, Function):
            # A variable named like a standard function, `date` say, does not take the function away.
            return standard(scope)
        if not isinstance(function, Function):
            scope.run.null(node.at, f"{name or 'What is called'} is not a function but {kind(function)}.")
            return None
        values = _ordered(scope, node, function, [argument(scope) for argument in arguments])
        return None if values is None else function.call(scope.run, node.at, values)

    return run


def _standard(node: Call, name: str | None, arguments: list[Code]) -> Code:
    name = name or ""
    found = fitting(name, len(arguments), node.names)
    if found is None:

        def misfit(scope: Scope) -> None:
            scope.run.null(node.at, f"{name}() does not take these arguments.")

        return misfit
    return lambda scope: found.call(scope.run, node.at, [argument(scope) for argument in arguments])


def _ordered(scope: Scope, node: Call, function: Function, values: list[Any]) -> list[Any] | None:
    """The arguments in the order of the parameters; None when count or names do not fit."""
    if node.names is None:
        return values
    if set(node.names) != set(function.parameters) or len(node.names) != len(function.parameters):
        scope.run.null(node.at, f"The named arguments do not fit; the parameters are {', '.join(function.parameters)}.")
        return None
    given = dict(zip(node.names, values, strict=True))
    return [given[name] for name in function.parameters]


def function_value(node: FunctionOf, env: Environment) -> Code:
    names = tuple(name for name, _ in node.parameters)
    types = tuple(wanted or ANY for _, wanted in node.parameters)
    body, cost = env.binding(names).compile(node.body), weight(node.body)

    def define(scope: Scope) -> Function:
        def invoke(run: Run, at: int, arguments: list[Any]) -> Any:
            values = _typed(run, at, types, arguments)
            if values is None:
                return None
            run.charge(cost, at)
            run.calls += 1
            if run.calls > run.limits.calls:
                raise run.exceeded(f"Functions call each other more than {run.limits.calls} levels deep.", at)
            result = body(Scope(scope.variables, run, dict(zip(names, values, strict=True)), scope))
            run.calls -= 1
            return result

        return Function(names, invoke)

    return define


def _typed(run: Run, at: int, types: tuple[Type, ...], arguments: list[Any]) -> list[Any] | None:
    if len(arguments) != len(types):
        run.null(at, f"The function takes {len(types)} arguments, not {len(arguments)}.")
        return None
    run.charge(sum(volume(value) // 2 for value, wanted in zip(arguments, types, strict=True) if wanted.deep), at)
    values = [conform(value, wanted) for value, wanted in zip(arguments, types, strict=True)]
    for value, argument, wanted in zip(values, arguments, types, strict=True):
        if value is None and argument is not None:
            run.null(at, f"The function wants a {wanted.name}, not {kind(argument)}.")
            return None
    return values
