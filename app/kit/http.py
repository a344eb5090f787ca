"""One HTTP exchange that always ends in a value: an answer, or what is known about not having one.

Every socket of a call is watched, so "no byte can have left" is observed and not inferred from the kind of error.
Nothing is retried, no redirect is followed, and one deadline covers sending and every byte of the answer: a server
that drips cannot stretch it. Only the resolution of names is outside of it, the system's resolver has its own limit.
"""

import http.client
import io
import socket
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util import Url, parse_url

DEFAULT_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; one that announced no length is complete when the server closed. `headers` in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No usable answer. `sent` is False only when surely not one byte of the request had left."""

    sent: bool
    message: str


@dataclass(slots=True)
class _Call:
    deadline: float
    sent: bool = False

    def remaining(self) -> float:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("The time for the whole call is over")
        return remaining


# The connection is made deep inside urllib3's pool; this is how it learns which call it serves.
_current_call: ContextVar[_Call] = ContextVar("current_call")


class _WatchedReader(io.RawIOBase):
    """Bytes of one answer, each wait bounded by what is left of the call."""

    def __init__(self, sock: socket.socket, call: _Call) -> None:
        self._sock = sock
        self._source = sock.makefile("rb", buffering=0)
        self._call = call

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._call.remaining())
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _WatchedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_WatchedReader(sock, _current_call.get()))

    def begin(self) -> None:
        super().begin()
        if self.msg.defects:
            raise http.client.HTTPException(f"The headers are broken: {self.msg.defects[0]}")


class _WatchedConnection(HTTPConnection):
    response_class = _WatchedResponse

    def send(self, data: Any) -> None:
        _note_sending(self)
        super().send(data)


class _WatchedTlsConnection(HTTPSConnection):
    response_class = _WatchedResponse

    def send(self, data: Any) -> None:
        _note_sending(self)
        super().send(data)


def _note_sending(connection: HTTPConnection) -> None:
    """Connect first, so that a failure to connect is not counted as sending, then note that bytes leave now."""
    if connection.sock is None:
        connection.connect()
    call = _current_call.get()
    connection.sock.settimeout(call.remaining())
    call.sent = True


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


#: Per server: as many as may be in use at once (`calls_per_gateway`), for opening one anew costs more than keeping it.
_KEPT_OPEN: Final = 256


class _WatchedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTlsConnection


class HttpClient:
    """Keeps connections open between calls; safe to share between threads."""

    def __init__(
        self, *, connect_seconds: float, total_seconds: float, max_bytes: int = DEFAULT_MAX_BYTES, ca_file: str = ""
    ) -> None:
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._max_bytes = max_bytes
        self._pools = urllib3.PoolManager(maxsize=_KEPT_OPEN, retries=False, ca_certs=ca_file or None)
        self._pools.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedTlsPool}

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, *, address: str = ""
    ) -> Answer | NoAnswer:
        """With `address` (a checked IP address) the connection goes there, whatever the host's name resolves to now;
        the name is still what the server is asked for and what its certificate must carry.
        """
        call = _Call(time.monotonic() + self._total_seconds)
        token = _current_call.set(call)
        try:
            return self._exchange(method, url, headers, body, address)
        except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            return NoAnswer(call.sent, f"{type(error).__name__}: {error}"[:300])
        finally:
            _current_call.reset(token)

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, address: str
    ) -> Answer | NoAnswer:
        target = parse_url(url)
        response = self._pool(target, address).urlopen(
            method,
            target.request_uri,
            body=body,
            headers={**headers, "accept-encoding": "identity", "host": target.netloc or ""},
            assert_same_host=False,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=self._connect_seconds, total=self._total_seconds),
        )
        complete = False
        try:
            content = b""
            # Only a read that meets the end compares what came with the length that was announced.
            while len(content) <= self._max_bytes and (more := response.read(self._max_bytes + 1 - len(content))):
                content += more
            complete = len(content) <= self._max_bytes
        finally:
            # A connection whose answer was not read to its end can serve nobody else.
            if complete:
                response.release_conn()
            else:
                response.close()
        if not complete:
            return NoAnswer(sent=True, message=f"The answer is longer than {self._max_bytes} bytes")
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)

    def _pool(self, target: Url, address: str) -> HTTPConnectionPool:
        if not address:
            return self._pools.connection_from_host(target.host, target.port, target.scheme)
        named = {"server_hostname": target.host, "assert_hostname": target.host}
        return self._pools.connection_from_host(address, target.port, target.scheme, named)

    def close(self) -> None:
        self._pools.clear()
