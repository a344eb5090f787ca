"""Operations: what a service task may call, each declared once as a typed Python function.

The declaration is the contract everywhere: the deployment gate checks diagrams against it, the modeler's element
templates are written from it, and the worker validates parameters and results with it.

An operation runs inside the step's transaction. It either returns its result at once, or returns an Effect: something
to be done with no transaction open (a gateway call), whose intent it has written in that same transaction.
"""

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import AppError
from app.kit.database import Tx


class Params(BaseModel):
    """Base of every operation's parameters: unknown names are refused, so a misspelt one is found at deployment."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Result(BaseModel):
    """Base of every operation's result; its fields become the variables an output mapping can read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OperationError(Exception):
    """A BPMN error: a boundary event may catch `code`. `facts` become variables of the path that handles it."""

    def __init__(self, code: str, message: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.facts = dict(facts or {})


class InvalidParameters(AppError):
    code = "invalid_parameters"
    title = "The operation was called with parameters it does not take"
    status = 422


class UnknownOperation(AppError):
    code = "unknown_operation"
    title = "There is no such operation"
    status = 422


T = TypeVar("T")


@dataclass(frozen=True)
class OperationContext:
    """Who calls: one activation of one element of one instance.

    `activation` is the same text after every crash and reload, so a key derived from it names one logical operation
    for ever. `subject` is the id of what the instance is about (`pay_…`, `ref_…`, `dis_…`).
    """

    tx: Tx
    now: datetime
    merchant_id: str
    instance_id: str
    activation: str
    element: str
    subject: str
    resources: Mapping[type, object] = field(default_factory=dict)

    def use(self, kind: type[T]) -> T:
        """A service that was wired at start-up, such as the gateway registry."""
        return cast(T, self.resources[kind])


@runtime_checkable
class Effect(Protocol):
    """Work outside any transaction. `lane` names what limits it (a gateway), so one slow lane never starves others."""

    @property
    def lane(self) -> str: ...

    def call(self) -> object:
        """Do it, with no transaction open. Expected failures are part of the answer, never exceptions."""
        ...

    def finish(self, context: OperationContext, answer: object) -> Result:
        """Book the answer in a new transaction; raises OperationError for what the diagram handles."""
        ...


Handler = Callable[[OperationContext, Any], Result | Effect]


@dataclass(frozen=True)
class Operation:
    """One declared operation. `errors` lists every BPMN error it may throw, with a sentence for the analyst."""

    name: str
    title: str
    description: str
    group: str
    params: type[Params]
    result: type[Result]
    errors: Mapping[str, str]
    moves_money: bool
    handler: Handler

    @cached_property
    def optional(self) -> frozenset[str]:
        """The parameters that have a default."""
        return frozenset(name for name, field in self.params.model_fields.items() if not field.is_required())

    def parse(self, values: Mapping[str, Any]) -> Params:
        """The parameters. For one that has a default, null says that it is not given."""
        given = {name: value for name, value in values.items() if value is not None or name not in self.optional}
        try:
            return self.params.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "parameters"
            raise InvalidParameters(f"{self.name}: {where}: {first['msg']}") from None


F = TypeVar("F", bound=Handler)


class Registry:
    """All operations by name."""

    def __init__(self) -> None:
        self._operations: dict[str, Operation] = {}

    def operation(
        self, name: str, *, title: str, errors: Mapping[str, str] | None = None, moves_money: bool = False
    ) -> Callable[[F], F]:
        """Declare the decorated function as operation `name`, e.g. `payment.authorize`."""

        def declare(handler: F) -> F:
            hints = typing.get_type_hints(handler)
            second = list(inspect.signature(handler).parameters)[1]
            assert name not in self._operations, f"operation {name} is declared twice"
            self._operations[name] = Operation(
                name=name,
                title=title,
                description=inspect.getdoc(handler) or "",
                group=name.partition(".")[0],
                params=hints[second],
                result=_result_of(hints["return"]),
                errors=dict(errors or {}),
                moves_money=moves_money,
                handler=handler,
            )
            return handler

        return declare

    def get(self, name: str) -> Operation:
        try:
            return self._operations[name]
        except KeyError:
            raise UnknownOperation(f"There is no operation {name!r}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._operations

    def __iter__(self) -> Iterator[Operation]:
        return iter(sorted(self._operations.values(), key=lambda operation: operation.name))


def _result_of(hint: object) -> type[Result]:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if isinstance(option, type) and issubclass(option, Result):
            return option
    raise TypeError(f"an operation must say which Result it returns, not {hint!r}")


#: The registry that `handlers/` fills when it is imported.
registry = Registry()
operation = registry.operation
