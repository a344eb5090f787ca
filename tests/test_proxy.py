"""The proxy does what it says, seen from a client of a server that counts what reached it."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from threading import Thread

import pytest

from tests.proxy import FaultProxy, Kind, fault_proxy


class Echo:
    """Answers every message with itself in capitals."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received: list[bytes] = []
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(1000):
                    self.received.append(data)
                    connection.sendall(data.upper())

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as echo:
        yield echo


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with fault_proxy("127.0.0.1", echo.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.5) as client:
        yield client


def ask(client: socket.socket, message: bytes) -> bytes:
    client.sendall(message)
    return client.recv(1000)


def test_without_a_fault_everything_passes(client: socket.socket) -> None:
    assert [ask(client, message) for message in (b"one", b"two")] == [b"ONE", b"TWO"]


def test_a_fault_waits_for_the_bytes_it_is_meant_for(proxy: FaultProxy, client: socket.socket, echo: Echo) -> None:
    proxy.arm(Kind.DROP, b"commit")
    assert ask(client, b"begin") == b"BEGIN"
    assert (ask(client, b"commit"), proxy.struck) == (b"", 1)
    assert echo.received == [b"begin", b"commit"]


def test_a_lost_request_never_arrives(proxy: FaultProxy, client: socket.socket, echo: Echo) -> None:
    proxy.arm(Kind.LOSE)
    assert ask(client, b"one") == b""
    assert echo.received == []


def test_silence_keeps_the_connection_and_the_answer(proxy: FaultProxy, client: socket.socket, echo: Echo) -> None:
    proxy.arm(Kind.SILENCE)
    with pytest.raises(TimeoutError):
        ask(client, b"one")
    assert echo.received == [b"one"]


def test_a_reset_is_a_reset(proxy: FaultProxy, client: socket.socket, echo: Echo) -> None:
    proxy.arm(Kind.RESET)
    with pytest.raises(ConnectionResetError):
        ask(client, b"one")
    assert echo.received == [b"one"]


def test_an_answer_is_cut_where_it_was_asked(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.arm(Kind.TRUNCATE, size=2)
    assert (ask(client, b"one"), client.recv(10)) == (b"ON", b"")


def test_a_delayed_answer_comes_late_and_whole(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.arm(Kind.DELAY, seconds=0.2)
    started = time.monotonic()
    assert ask(client, b"one") == b"ONE"
    assert time.monotonic() - started >= 0.2
    assert ask(client, b"two") == b"TWO"


def test_open_connections_can_be_cut(proxy: FaultProxy, client: socket.socket) -> None:
    assert ask(client, b"one") == b"ONE"
    proxy.cut()
    assert client.recv(10) == b""
