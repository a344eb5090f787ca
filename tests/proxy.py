"""A TCP proxy that does to a connection what networks do: for gateways, PostgreSQL and Redis alike.

A fault is armed for the next bytes a client sends that contain `when`; it strikes either before they are passed on or
when the answer to them comes, so that a test chooses whether the other side has acted.
"""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock, Thread


class Kind(StrEnum):
    LOSE = "lose"  # close without passing the request on
    DROP = "drop"  # pass it on, close when the answer comes
    SILENCE = "silence"  # pass it on, keep the answer and the connection
    RESET = "reset"  # pass it on, reset the connection when the answer comes
    TRUNCATE = "truncate"  # pass on `size` bytes of the answer, then close
    DELAY = "delay"  # pass on the answer `seconds` later


@dataclass(frozen=True)
class Fault:
    kind: Kind
    when: bytes = b""
    seconds: float = 0
    size: int = 0


class _Closed(Exception):
    """The fault ended the connection."""


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: "FaultProxy", client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self.client = client
        self.server = server
        self._struck: Fault | None = None
        self._reset = False

    def requests(self) -> None:
        self._pump(self.client, self._request)

    def answers(self) -> None:
        self._pump(self.server, self._answer)

    def _pump(self, source: socket.socket, pass_on: Callable[[bytes], None]) -> None:
        try:
            while data := source.recv(65536):
                pass_on(data)
        except (OSError, _Closed):
            pass  # whoever closed first ended it for both
        finally:
            self.close()

    def _request(self, data: bytes) -> None:
        if self._proxy.blackhole:
            return
        self._struck = self._proxy.take(data) or self._struck
        if self._struck and self._struck.kind is Kind.LOSE:
            raise _Closed
        self.server.sendall(data)

    def _answer(self, data: bytes) -> None:
        if self._proxy.blackhole:
            return
        match self._struck:
            case Fault(Kind.SILENCE):
                return
            case Fault(Kind.DROP):
                raise _Closed
            case Fault(Kind.RESET):
                # Closing with nothing to linger for is a reset, once no thread waits in recv() any more; whichever
                # thread closes first must not say goodbye before.
                self._reset = True
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.client.shutdown(socket.SHUT_RD)
                self.client.close()
                raise _Closed
            case Fault(Kind.TRUNCATE, size=size):
                self.client.sendall(data[:size])
                raise _Closed
            case Fault(Kind.DELAY, seconds=seconds):
                self._struck = None
                time.sleep(seconds)
        self.client.sendall(data)

    def close(self) -> None:
        for end in (self.client, self.server):
            if not (self._reset and end is self.client):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            end.close()


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and passes everything on to `host:port`.

    As for PostgreSQL's own programs, a `host` that is a folder holds a socket named after the port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._lock = Lock()
        self._armed: list[Fault] = []
        self._links: list[_Link] = []
        #: While set, whatever is sent in either direction is swallowed, on connections old and new.
        self.blackhole = False
        #: How many faults have struck.
        self.struck = 0
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def arm(self, kind: Kind, when: bytes = b"", *, times: int = 1, seconds: float = 0, size: int = 0) -> None:
        with self._lock:
            self._armed += [Fault(kind, when, seconds, size)] * times

    def take(self, data: bytes) -> Fault | None:
        """The first armed fault that `data` triggers; it is used up."""
        with self._lock:
            fault = next((each for each in self._armed if each.when in data), None)
            if fault is not None:
                self._armed.remove(fault)
                self.struck += 1
            return fault

    def cut(self) -> None:
        """End every open connection at once."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def close(self) -> None:
        # A blocked accept() wakes up only when the socket is shut down, closing alone leaves it waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _connect(self) -> socket.socket:
        host, port = self._target
        if not host.startswith("/"):
            return socket.create_connection(self._target, timeout=5)
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = _Link(self, client, server)
            with self._lock:
                self._links.append(link)
            for pump in (link.requests, link.answers):
                thread = Thread(target=pump, daemon=True)
                self._threads.append(thread)
                thread.start()


@contextmanager
def fault_proxy(host: str, port: int) -> Iterator[FaultProxy]:
    proxy = FaultProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
