"""Read a refused body to its end, so that the answer reaches who is still sending it.

A server that closes a connection with bytes unread resets it, and a client that writes its whole body before it reads
(most libraries do) then sees a broken pipe instead of the sentence that says what was wrong.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Who sends more than this unasked is cut off after all.
MOST = 64 * 1024 * 1024
_PIECE = 64 * 1024


class Draining:
    """A WSGI application whose answers are followed by what is left of the request's body, unread but received."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        answer = self._app(environ, start_response)
        # Without the mark, the server's stream does not end where the body does, and reading on would wait for ever.
        return _Answer(answer, environ["wsgi.input"].read) if environ.get("wsgi.input_terminated") else answer


class _Answer:
    def __init__(self, answer: Iterable[bytes], read: Callable[[int], bytes]) -> None:
        self._answer = answer
        self._read = read

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        close: Any = getattr(self._answer, "close", None)
        if close is not None:
            close()
        left = MOST
        while left > 0 and (piece := self._read(_PIECE)):
            left -= len(piece)
