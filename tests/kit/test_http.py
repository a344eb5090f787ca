import socket
import struct
import time
from collections.abc import Iterator

import pytest

from app.kit.http import Answer, HttpClient, NoAnswer
from tests.hostile import Behaviour, answers, closed_port, drips, hostile, is_silent, says

TOTAL_SECONDS = 0.6


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(connect_seconds=0.5, total_seconds=TOTAL_SECONDS, max_bytes=1000)
    yield client
    client.close()


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def post(client: HttpClient, url: str) -> Answer | NoAnswer:
    return client.exchange("POST", f"{url}/charges", {"content-type": "text/plain"}, b"pay")


def test_an_answer_comes_back_whole(client: HttpClient) -> None:
    with hostile(answers(201, b"done", "X-Thing: 7")) as server:
        answer = post(client, server.url)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.headers["x-thing"]) == (201, b"done", "7")
    assert server.requests[0].endswith(b"\r\n\r\npay")


def test_a_refused_connection_is_surely_not_sent(client: HttpClient) -> None:
    answer = post(client, closed_port())
    assert isinstance(answer, NoAnswer)
    assert not answer.sent


def test_a_name_that_does_not_resolve_is_surely_not_sent(client: HttpClient) -> None:
    answer = post(client, "http://gateway.invalid")
    assert isinstance(answer, NoAnswer)
    assert not answer.sent


def test_a_failed_tls_handshake_is_surely_not_sent(client: HttpClient) -> None:
    with hostile(says(b"HTTP/1.1 400 plain text here\r\n\r\n"), reads=False) as server:
        answer = post(client, server.url.replace("http:", "https:"))
    assert isinstance(answer, NoAnswer)
    assert not answer.sent


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(says(b""), id="closes without a word"),
        pytest.param(resets, id="resets"),
        pytest.param(is_silent, id="says nothing"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf"), id="breaks off in the body"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\ncontent-le"), id="breaks off in the headers"),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel"), id="breaks off in a chunk"
        ),
        pytest.param(says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), id="sends a bad chunk"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n"), id="speaks another protocol"),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12"), id="has two lengths"
        ),
        pytest.param(says(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500 + b"\r\n"), id="sends too many headers"),
        pytest.param(drips(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"), id="drips headers"),
        pytest.param(drips(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n", b"x"), id="drips the body"),
        pytest.param(answers(200, b"x" * 1001), id="sends more than we take"),
        pytest.param(drips(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 600, 0.01), id="never stops sending"),
    ],
)
def test_whatever_goes_wrong_after_bytes_left_counts_as_sent_once(client: HttpClient, behave: Behaviour) -> None:
    with hostile(behave) as server:
        started = time.monotonic()
        answer = post(client, server.url)
        took = time.monotonic() - started
    assert isinstance(answer, NoAnswer), answer
    assert answer.sent
    assert len(server.requests) == 1
    assert took < TOTAL_SECONDS + 0.4


def test_a_redirect_is_an_answer_and_not_followed(client: HttpClient) -> None:
    with hostile(answers(200, b"elsewhere")) as other, hostile(answers(307, b"", f"location: {other.url}/")) as server:
        answer = post(client, server.url)
    assert isinstance(answer, Answer)
    assert answer.status == 307
    assert other.requests == []


def test_a_compressed_answer_is_not_unpacked(client: HttpClient) -> None:
    with hostile(answers(200, b"\x1f\x8b bomb", "content-encoding: gzip")) as server:
        answer = post(client, server.url)
    assert isinstance(answer, Answer)
    assert answer.body == b"\x1f\x8b bomb"


def test_an_answer_of_exactly_the_largest_size_is_taken(client: HttpClient) -> None:
    with hostile(answers(200, b"x" * 1000)) as server:
        answer = post(client, server.url)
    assert isinstance(answer, Answer)
    assert len(answer.body) == 1000


def test_a_header_that_cannot_be_written_is_surely_not_sent(client: HttpClient) -> None:
    with hostile(answers(200, b"")) as server:
        answer = client.exchange("POST", server.url, {"x-key": "pay\r\nment"}, b"")
    assert isinstance(answer, NoAnswer)
    assert not answer.sent


def test_a_connection_is_kept_for_the_next_call_and_replaced_when_the_server_let_it_go(client: HttpClient) -> None:
    def answers_twice(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1")
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2")

    with hostile(answers_twice) as server:
        bodies = []
        for _ in range(3):
            answer = post(client, server.url)
            assert isinstance(answer, Answer), answer
            bodies.append(answer.body)
            time.sleep(0.05)
    assert bodies == [b"1", b"2", b"1"]
    assert len(server.requests) == 2
