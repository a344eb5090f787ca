import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from app.kit.crypto import new_signing_secret
from app.sandbox.config import SandboxConfig
from app.sandbox.server import create_app
from tests.fixtures_sandbox import WebhookReceiver, until

BODY = {"reference": "pay_1", "amount": 1000, "currency": "EUR"}


@contextmanager
def process(data: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "app.sandbox", "--name", "sandbox_a", "--data", str(data), "--api-key", "k"]
    running = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        line = running.stdout.readline()
        assert "listens on" in line
        yield running, line.split()[-1]
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def call(http: urllib3.PoolManager, url: str, key: str = "", **body: Any) -> tuple[int, Any]:
    headers = {"authorization": "Bearer k", "idempotency-key": key}
    answer = http.request("POST" if key else "GET", url, json=body if key else None, headers=headers, timeout=5)
    return answer.status, answer.json()


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as http:
        yield http


def test_killing_the_process_loses_nothing_it_answered(tmp_path: Path, http: urllib3.PoolManager) -> None:
    answered: dict[str, str] = {}
    with process(tmp_path) as (running, url):

        def charge_until_it_dies(caller: int) -> None:
            for number in range(10_000):
                key = f"k{caller}-{number}"
                try:
                    status, body = call(http, f"{url}/v1/charges", key, **BODY, payment_method="pm_card_visa")
                except urllib3.exceptions.HTTPError:
                    return
                assert status == 201
                answered[key] = body["id"]

        callers = [threading.Thread(target=charge_until_it_dies, args=(number,)) for number in range(4)]
        for caller in callers:
            caller.start()
        until(lambda: len(answered) > 60, 30)
        os.kill(running.pid, signal.SIGKILL)
        for caller in callers:
            caller.join()
    with process(tmp_path) as (_, url):
        _, books = call(http, f"{url}/admin/books")
        kept = {charge["key"]: charge["id"] for charge in books["charges"]}
        assert answered.items() <= kept.items()
        assert len(kept) <= len(answered) + len(callers)
        first = next(iter(answered))
        repeated = call(http, f"{url}/v1/charges", first, **BODY, payment_method="pm_card_visa")
        assert (repeated[0], repeated[1]["id"]) == (201, answered[first])


def test_what_was_going_to_happen_still_happens_after_a_kill(
    tmp_path: Path, http: urllib3.PoolManager, receiver: WebhookReceiver
) -> None:
    hooks = ("--webhook-url", receiver.url, "--webhook-secret", new_signing_secret(), "--settle-seconds", "1")
    with process(tmp_path, *hooks) as (running, url):
        assert call(http, f"{url}/admin/clock", "-", advance_seconds=86400)[0] == 200
        assert call(http, f"{url}/v1/charges", "k1", **BODY, payment_method="pm_card_pending")[1]["status"] == "pending"
        running.kill()
    with process(tmp_path, *hooks) as (_, url):
        until(lambda: receiver.received)
        assert receiver.received[0].json["data"]["status"] == "authorized"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_when_asked_even_while_a_caller_is_held(
    tmp_path: Path, http: urllib3.PoolManager, stop: signal.Signals
) -> None:
    ended = []
    with process(tmp_path) as (running, url):

        def waits_for_ever() -> None:
            try:
                call(http, f"{url}/v1/charges", "k1", **BODY, payment_method="pm_card_timeout_lost")
            except urllib3.exceptions.HTTPError as error:
                ended.append(error)

        caller = threading.Thread(target=waits_for_ever)
        caller.start()
        until(lambda: call(http, f"{url}/admin/requests")[1]["by_key"])
        running.send_signal(stop)
        assert running.wait(5) == 0
        caller.join(5)
    assert isinstance(ended[0], urllib3.exceptions.ProtocolError)


def test_a_webhook_address_needs_a_secret(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.sandbox", "--name", "a", "--data", str(tmp_path), "--api-key", "k"]
    ended = subprocess.run(
        [*command, "--webhook-url", "http://127.0.0.1:9"], capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "signing secret" in ended.stderr


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403), ("8.8.8.8", 403)])
def test_the_admin_interface_answers_to_this_machine_only(tmp_path: Path, address: str, status: int) -> None:
    app = create_app(SandboxConfig("sandbox_a", tmp_path, "k"))
    answer = app.test_client().get("/admin/books", environ_base={"REMOTE_ADDR": address})
    app.extensions["sandbox"].close()
    assert answer.status_code == status
