"""Servers that misbehave below HTTP, on real sockets: what a gateway's worst day looks like from outside."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

Behaviour = Callable[[socket.socket], None]


class HostileServer:
    """Accepts connections and hands each to `behave`; counts them and keeps the requests it read."""

    def __init__(self, behave: Behaviour, *, reads: bool = True) -> None:
        self._behave = behave
        self._reads = reads
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._open: list[socket.socket] = []
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self._reads:
                    self.requests.append(_read_request(connection))
                self._behave(connection)
            except OSError:
                return  # the caller went away first

    def close(self) -> None:
        # A blocked accept() wakes up only when the socket is shut down, closing alone leaves it waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):  # whoever closed first was right
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return data
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    while lengths and len(body) < lengths[0]:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def hostile(behave: Behaviour, *, reads: bool = True) -> Iterator[HostileServer]:
    server = HostileServer(behave, reads=reads)
    try:
        yield server
    finally:
        server.close()


def says(data: bytes) -> Behaviour:
    """Sends the bytes and closes."""
    return lambda connection: connection.sendall(data)


def answers(status: int, body: bytes, *headers: str) -> Behaviour:
    """A complete, well-formed HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close", *headers]
    return says("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def drips(start: bytes, drop: bytes, pause: float = 0.05) -> Behaviour:
    """Sends `start` and then never quite ends."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            time.sleep(pause)
            connection.sendall(drop)

    return behave


def is_silent(connection: socket.socket) -> None:
    """Waits for the caller to give up."""
    connection.recv(1)


def closed_port() -> str:
    """An address on which surely nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
