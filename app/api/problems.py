"""Every failure as an RFC 9457 problem: expected ones with their code, HTTP's own, and bugs without their insides."""

import orjson
import structlog
from flask import Response, current_app, g
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from app.errors import AppError, NotFound, Unavailable
from app.kit.database import is_away
from app.kit.ids import new_id

MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger()

# What the database refuses for the moment and may accept on the next try.
_PASSING = (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure)


class BadRequest(AppError):
    """The request does not follow HTTP; most often a client library or a proxy on the way is at fault."""

    code = "bad_request"
    title = "The request cannot be understood"
    status = 400


class RateLimited(AppError):
    """Every key has a number of requests per minute. Wait as long as `Retry-After` says, then go on more slowly."""

    code = "rate_limited"
    title = "Too many requests with this key"
    status = 429


class BodyTooLarge(AppError):
    """Send less in one request; the reference names the limit where it is not the usual one."""

    code = "body_too_large"
    title = "The body is larger than this route accepts"
    status = 413


class MethodNotAllowed(AppError):
    """The header `Allow` lists the methods this address knows."""

    code = "method_not_allowed"
    title = "This address does not know the method"
    status = 405


class UnsupportedMediaType(AppError):
    """Set `Content-Type` to what the route takes: `application/json` for nearly all of them."""

    code = "unsupported_media_type"
    title = "The body has a Content-Type this route does not take"
    status = 415


_HTTP_PROBLEMS: dict[int, type[AppError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
    429: RateLimited,
    503: Unavailable,
}


def trace_id() -> str:
    """The id of this request, in the answer's header, in problems and in the log."""
    if "trace_id" not in g:
        g.trace_id = new_id("req")
    return str(g.trace_id)


def render(error: Exception) -> Response:
    """The answer for anything that was raised while a request was handled."""
    if isinstance(error, AppError):
        if error.status >= 500:
            log.error("api.failed", code=error.code, detail=error.detail)
        return respond(error)
    if isinstance(error, HTTPException):
        return _from_http(error)
    if _will_pass(error):
        log.warning("api.unavailable", error=type(error).__name__)
        return respond(Unavailable("The database cannot answer at the moment", extra={"retry_after": 1}))
    log.error("api.unexpected", exc_info=error)
    return respond(AppError("The failure was logged; quote the trace_id when you ask about it"))


def respond(error: AppError) -> Response:
    problem = {
        **error.extra,
        "type": f"/problems/{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "trace_id": trace_id(),
        "errors": [{"field": e.field, "message": e.message, "code": e.code} for e in error.errors],
    }
    response = Response(orjson.dumps(problem, default=str), status=error.status, content_type=MEDIA_TYPE)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if "retry_after" in error.extra:
        response.headers["Retry-After"] = str(error.extra["retry_after"])
    return response


def known_problems() -> dict[str, type[AppError]]:
    """Every declared error by its code; the pages under /problems show them. The sandbox's are somebody else's."""
    found: dict[str, type[AppError]] = {}
    waiting = [AppError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__.startswith("app.") and not kind.__module__.startswith("app.sandbox."):
            found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return dict(sorted(found.items()))


def _from_http(error: HTTPException) -> Response:
    if error.response is not None:
        return current_app.make_response(error.response)
    status = error.code or 500
    kind = _HTTP_PROBLEMS.get(status, BadRequest if status < 500 else AppError)
    response = respond(kind())
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _will_pass(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(error.orig, _PASSING) or is_away(error)
    return isinstance(error, PoolTimeout)
