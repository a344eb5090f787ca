"""Declaring a route once: method, path, schemas, roles and errors, beside the one function that does the work.

The declaration drives everything else: authentication, validation, idempotency, the OpenAPI document, the reference
page, and the tests that go over all routes.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict, Field

from app.access.actor import Actor, Role
from app.api.context import ApiContext
from app.errors import AppError
from app.kit.database import Json, Tx
from app.kit.paging import MAX_LIMIT, Page

T = TypeVar("T")


class Body(BaseModel):
    """Base of the bodies that have no command of a room: unknown names and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """Base of query parameters; they arrive as text, so they are converted."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Listing(Query):
    limit: int = Field(20, ge=1, le=MAX_LIMIT, description="How many to return")
    after: str | None = Field(None, max_length=300, description="The `next` of the page before")


def by_name(rows: Iterable[T], name: Callable[[T], str], query: Listing) -> Page[T]:
    """One page of what is few enough to be read whole, in the order of its names, which are the cursors."""
    rest = sorted((row for row in rows if query.after is None or name(row) > query.after), key=name)
    more = len(rest) > query.limit
    return Page(rest[: query.limit], name(rest[query.limit - 1]) if more else None)


class View(BaseModel):
    """Base of answers: what clients may rely on. More fields may be added, none is renamed."""

    model_config = ConfigDict(extra="allow", frozen=True)


@dataclass(frozen=True)
class Upload:
    """A body that is not JSON: one file as the whole body, or several as multipart/form-data."""

    media_types: Sequence[str]
    max_bytes: int
    description: str = ""


@dataclass(frozen=True)
class File:
    name: str
    content: bytes


@dataclass(frozen=True)
class Call:
    """One request, past authentication and validation."""

    tx: Tx
    actor: Actor
    context: ApiContext


@dataclass(frozen=True)
class Rest:
    """What `Prefer: wait=N` waits for, and how the answer looks afterwards."""

    instance_id: str
    show: Callable[[Tx], Json]


@dataclass(frozen=True)
class Answer:
    """A handler's answer where the plain JSON object is not enough. `content` of another `media_type` is sent as is."""

    body: Json = field(default_factory=dict)
    status: int | None = None
    content: bytes | None = None
    media_type: str = "application/json"
    rest: Rest | None = None


Handler = Callable[..., Json | Answer]


@dataclass(frozen=True)
class Route:
    """`path` names its parts in braces; the handler gets them by these names, and `body` and `query` likewise.

    `also` are further statuses with the same shape of answer.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    description: str = ""
    body: type[BaseModel] | Upload | None = None
    example: Json | None = None
    query: type[Query] | None = None
    response: type[View] | None = None
    listed: bool = False
    status: int = 200
    also: tuple[int, ...] = ()
    media_type: str = "application/json"
    roles: tuple[Role, ...] = ()
    needs_key: bool = False
    waits: bool = False
    errors: tuple[type[AppError], ...] = ()

    @property
    def name(self) -> str:
        """Stable over versions: the endpoint in Flask and the operationId in OpenAPI."""
        return self.handler.__name__

    @property
    def parts(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def rule(self) -> str:
        """The path in Flask's notation."""
        return re.sub(r"{(\w+)}", r"<\1>", self.path)

    @property
    def signature(self) -> str:
        return f"{self.method} {self.path}"


H = TypeVar("H", bound=Handler)


class Declared(TypedDict, total=False):
    """The fields of Route that a declaration may give by name."""

    body: type[BaseModel] | Upload | None
    example: Json
    query: type[Query] | None
    response: type[View] | None
    listed: bool
    status: int
    also: tuple[int, ...]
    media_type: str
    roles: tuple[Role, ...]
    needs_key: bool
    waits: bool
    errors: tuple[type[AppError], ...]


class Resource:
    """The routes of one kind of thing, collected by decorating their functions."""

    def __init__(self, tag: str, description: str) -> None:
        self.tag = tag
        self.description = description
        self.routes: list[Route] = []

    def route(self, method: str, path: str, *, summary: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare the decorated function; `declared` are fields of Route, its docstring the description."""

        def declare(handler: H) -> H:
            text = " ".join((handler.__doc__ or "").split())
            self.routes.append(Route(method, path, handler, summary, self.tag, text, **declared))
            return handler

        return declare
