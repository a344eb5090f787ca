"""The standard functions by name: each has one or more forms with typed parameters.

A declaration such as `@function("substring", "string: string", "start position: number", "length?: number")` gives
names for named arguments, types for the check and the coercion, and which parameters may be left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.feel.scope import Run
from app.feel.syntax import Type
from app.feel.types import conform
from app.feel.values import Function, kind

_MISSING = object()
_SIZED = frozenset({str, list, dict})


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: Type
    optional: bool
    nullable: bool


@dataclass(frozen=True, slots=True)
class Form:
    """One way to call a function. A variadic form gathers all further arguments in its last parameter."""

    name: str
    parameters: tuple[Parameter, ...]
    variadic: bool
    body: Callable[..., Any]

    def takes(self, count: int) -> bool:
        required = sum(not parameter.optional for parameter in self.parameters)
        return required <= count and (self.variadic or count <= len(self.parameters))

    def arrange(self, names: tuple[str, ...]) -> list[int | None] | None:
        """Which argument goes to which parameter; None when the names do not fit this form."""
        known = [parameter.name for parameter in self.parameters]
        if len(set(names)) != len(names) or not set(names) <= set(known):
            return None
        order = [names.index(name) if name in names else None for name in known]
        missing = any(
            index is None and not parameter.optional for index, parameter in zip(order, self.parameters, strict=True)
        )
        return None if missing else order

    def fits(self, arguments: list[Any]) -> bool:
        return all(
            value is None or value is _MISSING or conform(value, parameter.type) is not None
            for value, parameter in zip(arguments, self.parameters, strict=False)
        )

    def call(self, run: Run, at: int, arguments: list[Any]) -> Any:
        run.charge(1 + sum(len(value) // 16 for value in arguments if type(value) in _SIZED), at)
        checked: list[Any] = []
        for index, value in enumerate(arguments):
            parameter = self.parameters[min(index, len(self.parameters) - 1)]
            if value is _MISSING:
                checked.append(None)
                continue
            fitted = conform(value, parameter.type)
            if fitted is None and not (parameter.nullable and value is None):
                run.null(at, f'{self.name}(): "{parameter.name}" must be a {parameter.type.name}, not {kind(value)}.')
                return None
            checked.append(fitted)
        result = self.body(run, *checked)
        if result is None:
            run.null(at, f"{self.name}() has no result for these values.")
        elif type(result) is str:
            run.charge(len(result) // 64, at)
            run.text_of(result, at)
        elif type(result) is list:
            run.list_of(result, at)
        return result


BUILTINS: dict[str, tuple[Form, ...]] = {}


def function(name: str, *parameters: str, variadic: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a standard function. Its body takes the run, then the checked arguments."""

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        form = Form(name, tuple(_parameter(parameter) for parameter in parameters), variadic, body)
        BUILTINS[name] = (*BUILTINS.get(name, ()), form)
        return body

    return register


def _parameter(declaration: str) -> Parameter:
    name, _, type_name = declaration.partition(": ")
    nullable = type_name == "Any" or type_name.endswith("?")
    return Parameter(name.rstrip("?"), Type(type_name.rstrip("?")), name.endswith("?"), nullable)


@dataclass(frozen=True, slots=True)
class Target:
    """The forms a call may mean, told apart by number or names now and by types when it runs."""

    forms: tuple[Form, ...]
    orders: tuple[list[int | None] | None, ...]

    def call(self, run: Run, at: int, arguments: list[Any]) -> Any:
        for form, order in zip(self.forms[:-1], self.orders[:-1], strict=True):
            arranged = _arranged(arguments, order)
            if form.fits(arranged):
                return form.call(run, at, arranged)
        return self.forms[-1].call(run, at, _arranged(arguments, self.orders[-1]))


def fitting(name: str, count: int, names: tuple[str, ...] | None) -> Target | None:
    """What a call with this many arguments, or with these names, may mean."""
    forms = BUILTINS.get(name, ())
    if names is None:
        found = tuple(form for form in forms if form.takes(count))
        return Target(found, (None,) * len(found)) if found else None
    ordered = [(form, order) for form in forms if (order := form.arrange(names)) is not None]
    return Target(tuple(form for form, _ in ordered), tuple(order for _, order in ordered)) if ordered else None


def _arranged(arguments: list[Any], order: list[int | None] | None) -> list[Any]:
    if order is None:
        return arguments
    return [_MISSING if index is None else arguments[index] for index in order]


def builtin_value(name: str) -> Function | None:
    """A standard function as a value, to be handed to `sort` and the like."""
    forms = BUILTINS.get(name)
    if forms is None:
        return None

    def call(run: Run, at: int, arguments: list[Any]) -> Any:
        found = fitting(name, len(arguments), None)
        return found.call(run, at, arguments) if found else None

    return Function(tuple(parameter.name for parameter in forms[0].parameters), call)
