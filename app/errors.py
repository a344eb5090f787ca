"""What can go wrong, as one family: every error a caller can act on has a stable code and an HTTP status.

A subclass lives in the room that raises it. `app/api/problems.py` renders it as an RFC 9457 problem,
the console as a page; nothing else decides a status.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with the input: `field` is a dotted path, an element id or a row number as text."""

    field: str
    message: str
    code: str = "invalid"


class AppError(Exception):
    """Base of every expected failure. `extra` carries what the caller needs to act on it, such as who holds a task."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"
    status: ClassVar[int] = 500

    def __init__(
        self, detail: str = "", *, errors: Sequence[FieldError] = (), extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.extra = dict(extra or {})


class InvalidInput(AppError):
    code = "invalid_input"
    title = "The input is not valid"
    status = 422


class NotFound(AppError):
    code = "not_found"
    title = "There is no such thing"
    status = 404


class Conflict(AppError):
    code = "conflict"
    title = "The thing changed meanwhile"
    status = 409


class Forbidden(AppError):
    code = "forbidden"
    title = "You may not do this"
    status = 403


class FourEyes(Forbidden):
    code = "four_eyes"
    title = "Another person must decide this"


class Unauthenticated(AppError):
    code = "unauthenticated"
    title = "Sign in or send a valid key"
    status = 401


class Unavailable(AppError):
    code = "unavailable"
    title = "Try again shortly"
    status = 503
