"""Against gunicorn itself, for what happens to unread bytes is the server's affair."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest

from app.kit.draining import Draining
from app.settings import ROOT

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def refusing(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("413 Too large", [("Content-Type", "text/plain"), ("Content-Length", "10"), ("Connection", "close")])
    return [b"too large\n"]


drained = Draining(refusing)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    address = ("127.0.0.1", free_port())
    command = [sys.executable, "-m", "gunicorn", "tests.kit.test_draining:drained", "--worker-class", "gthread"]
    with subprocess.Popen([*command, "--bind", f"127.0.0.1:{address[1]}"], cwd=ROOT, stderr=subprocess.DEVNULL) as run:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection(address, timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield address
        run.terminate()


def test_who_sends_everything_before_reading_is_told_why_it_is_refused(server: tuple[str, int]) -> None:
    body = b"x" * 10_000_000
    with socket.create_connection(server, timeout=20) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % len(body))
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.endswith(b"too large\n")
