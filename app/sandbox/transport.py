"""Faults one can only make on the wire: silence, a reset connection, an answer that is none."""

import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler
from werkzeug.wrappers import Response

from app.sandbox.faults import Sight

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_WISH = "sandbox.wish"
_HANDLER = "sandbox.handler"
_LATE_SECONDS = 1.0
_GLANCE_SECONDS = 0.1
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Handler(WSGIRequestHandler):
    """Lets the faults below reach the connection; says nothing about requests, the books tell enough."""

    def make_environ(self) -> "WSGIEnvironment":
        return {**super().make_environ(), _HANDLER: self}

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name werkzeug gives it
        del type, message, args


@dataclass(slots=True)
class _Wish:
    sight: Sight | None = None


def wish(environ: "WSGIEnvironment", sight: Sight) -> None:
    """Ask, from within a request, for what the caller shall see of its answer."""
    environ[_WISH].sight = sight


class Transport:
    """Wraps the application and does to its answers what the views wished."""

    def __init__(self, app: "WSGIApplication", closing: Event, hold_seconds: float) -> None:
        self._app = app
        self._closing = closing
        self._hold_seconds = hold_seconds

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        wished = environ[_WISH] = _Wish()
        response = Response.from_app(self._app, environ, buffered=True)
        match wished.sight:
            case Sight.UNAVAILABLE:
                response = _error(503, "unavailable", "Not available; the request had no effect")
            case Sight.SERVER_ERROR:
                response = _error(500, "internal_error", "Something broke")
            case Sight.GARBAGE:
                response = Response("<html>\x00 a proxy's page", status=200, content_type="text/html")
            case Sight.LATE:
                self._closing.wait(_LATE_SECONDS)
            case Sight.RESET:
                _drop(environ[_HANDLER])
            case Sight.SILENCE:
                self._hold(environ[_HANDLER].connection)
                _drop(environ[_HANDLER])
        return response(environ, start_response)

    def _hold(self, connection: socket.socket) -> None:
        """Say nothing until the caller gives up, the time is over or the server closes."""
        until = time.monotonic() + self._hold_seconds
        while time.monotonic() < until and not self._closing.is_set():
            readable, _, _ = select.select([connection], [], [], _GLANCE_SECONDS)
            if readable and not connection.recv(1, socket.MSG_PEEK):
                return


def _error(status: int, code: str, message: str) -> Response:
    body = f'{{"error": {{"code": "{code}", "message": "{message}"}}}}'
    return Response(body, status=status, content_type="application/json")


def _drop(handler: Handler) -> None:
    """Close with a reset and leave the request unanswered."""
    connection = handler.connection
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    handler.close_connection = True
    os.close(connection.detach())
    raise ConnectionAbortedError("The connection was dropped on purpose")
