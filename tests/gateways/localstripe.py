"""A process of `localstripe` from PyPI, which plays Stripe's API, on a free port. Nothing of it is imported."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3

from tests.fixtures_sandbox import until
from tests.hostile import closed_port

KEY = "sk_test_contract_secret_value"


class LocalStripe:
    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._http = urllib3.PoolManager(retries=False)

    def request(self, method: str, path: str, **form: Any) -> Any:
        """What Stripe would show in its dashboard, or what only this server can do."""
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/x-www-form-urlencoded"}
        body = urlencode(form) if form else None
        answer = self._http.request(method, self.url + path, headers=headers, body=body, timeout=10)
        assert answer.status == 200, answer.data
        return answer.json() if answer.data else None

    def intents(self, key: str) -> list[dict[str, Any]]:
        """Every payment that carries our key."""
        shown = self.request("GET", "/v1/payment_intents?limit=100")["data"]
        return [each for each in shown if each["metadata"].get("sluice_attempt") == key]

    def refunds(self, intent: str) -> list[dict[str, Any]]:
        return list(self.request("GET", f"/v1/refunds?payment_intent={intent}")["data"])

    def authenticate(self, intent: str, *, success: bool) -> None:
        """What the customer does at the bank."""
        secret = self.request("GET", f"/v1/payment_intents/{intent}")["client_secret"]
        path = f"/v1/payment_intents/{intent}/_authenticate"
        self.request("POST", path, success=str(success).lower(), client_secret=secret)

    def card(self, number: str) -> str:
        """A payment method made of one of Stripe's test card numbers."""
        card = {"card[number]": number, "card[exp_month]": 12, "card[exp_year]": 2040, "card[cvc]": "123"}
        return str(self.request("POST", "/v1/payment_methods", type="card", **card)["id"])

    def answers(self) -> bool:
        try:
            self._http.request("GET", self.url, timeout=1)
        except urllib3.exceptions.HTTPError:
            return False
        return True

    def close(self) -> None:
        self._http.clear()


# It keeps what it knows in one file of the whole machine, which another process, or another user, may be writing.
_IN_ITS_OWN_FOLDER = """
import builtins, runpy, sys
kept, opened = sys.argv.pop(1), builtins.open
builtins.open = lambda file, *how, **more: opened(kept if file == "/tmp/localstripe.pickle" else file, *how, **more)
runpy.run_module("localstripe", run_name="__main__", alter_sys=True)
"""


@contextmanager
def local_stripe(folder: Path) -> Iterator[LocalStripe]:
    port = int(closed_port().rpartition(":")[2])
    log = folder / "localstripe.log"
    with log.open("wb") as output:
        options = ["--port", str(port), "--from-scratch"]
        command = [sys.executable, "-c", _IN_ITS_OWN_FOLDER, str(folder / "kept"), *options]
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    server = LocalStripe(port)
    try:
        until(lambda: server.answers() or process.poll() is not None, seconds=30)
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        server.close()
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def stripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    with local_stripe(tmp_path_factory.mktemp("localstripe")) as server:
        yield server
