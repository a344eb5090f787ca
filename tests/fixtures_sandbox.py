"""Sandboxes for tests: `sandbox()` starts one in this process on a free port, with books in a temporary folder.

Use it with `from tests.fixtures_sandbox import sandbox` in a conftest, or as a plugin.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

import pytest
import urllib3

from app.gateways.sandbox import SandboxGateway, build
from app.kit.crypto import new_signing_secret
from app.sandbox.config import SandboxConfig
from app.sandbox.server import RunningSandbox

Json = dict[str, Any]


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true value of `condition`; an assertion when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"Nothing came of it within {seconds} seconds")


class SandboxServer:
    """A running sandbox and its admin interface, over real HTTP."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self._http = urllib3.PoolManager(retries=False)
        self._gateways: list[SandboxGateway] = []
        self._running: RunningSandbox | None = RunningSandbox(config)
        self.base_url = self._running.base_url

    def gateway(self, **options: Any) -> SandboxGateway:
        """An adapter connected to this sandbox; closed together with it."""
        settings = {
            "base_url": self.base_url,
            "api_key": self.config.api_key,
            "webhook_secrets": self._secrets,
            **options,
        }
        gateway = build(self.config.name, settings)
        self._gateways.append(gateway)
        return gateway

    @property
    def _secrets(self) -> tuple[str, ...]:
        return (self.config.webhook_secret,)

    def request(self, method: str, path: str, body: Json | None = None, **headers: str) -> tuple[int, Any]:
        """Any request, with the API key; status and decoded body."""
        given = {"authorization": f"Bearer {self.config.api_key}", **headers}
        content = None if body is None else json.dumps(body).encode()
        answer = self._http.request(method, self.base_url + path, body=content, headers=given, timeout=10)
        is_json = answer.headers.get("content-type") == "application/json"
        return answer.status, answer.json() if is_json else answer.data.decode()

    def post(self, path: str, key: str, **body: Any) -> tuple[int, Json]:
        return self.request("POST", path, body, **{"idempotency-key": key})

    def pay(self, key: str, payment_method: str = "pm_card_visa", amount: int = 1000, **more: Any) -> tuple[int, Json]:
        body = {
            "reference": f"pay_{key}",
            "amount": amount,
            "currency": "EUR",
            "payment_method": payment_method,
            **more,
        }
        return self.post("/v1/charges", key, **body)

    def admin(self, verb: str, path: str, /, **body: Any) -> Json:
        status, answer = self.request(verb, f"/admin/{path}", body if verb == "POST" else None)
        assert status < 300, answer
        return dict(answer)

    def charges(self) -> list[Json]:
        return list(self.admin("GET", "books")["charges"])

    def charge(self, key: str) -> Json:
        (found,) = [charge for charge in self.charges() if charge["key"] == key]
        return found

    def advance(self, **timedelta: float) -> None:
        in_seconds = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
        self.admin("POST", "clock", advance_seconds=sum(in_seconds[unit] * n for unit, n in timedelta.items()))

    def fault(self, fault: str, operation: str = "any", method: str = "", count: int = 1) -> None:
        self.admin("POST", "faults", fault=fault, operation=operation, method=method, count=count)

    def authenticate(self, charge: str, *, success: bool = True) -> Json:
        return self.admin("POST", f"charges/{charge}/authenticate", success=success)

    def dispute(self, charge: str, stage: str = "chargeback", **more: Any) -> Json:
        return self.admin("POST", f"charges/{charge}/dispute", stage=stage, **more)

    def decide(self, dispute: str, status: str) -> Json:
        return self.admin("POST", f"disputes/{dispute}/decide", status=status)

    def pre_arbitration(self, dispute: str) -> Json:
        return self.admin("POST", f"disputes/{dispute}/pre_arbitration")

    def fail_refund(self, refund: str) -> Json:
        return self.admin("POST", f"refunds/{refund}/fail")

    def replay(self, event: str) -> None:
        self.admin("POST", "webhooks/replay", event=event)

    def events(self, kind: str = "") -> list[Json]:
        return [event for event in self.admin("GET", "events")["events"] if event["type"].startswith(kind)]

    def times_received(self, operation: str, key: str) -> int:
        return int(self.admin("GET", "requests")["by_key"].get(f"{operation}:{key}", 0))

    def settlement(self, date: str = "") -> str:
        status, text = self.request("GET", f"/v1/settlements?date={date}")
        assert status == 200, text
        return str(text)

    def restart(self) -> None:
        """Stop and start over on the same address and books."""
        self.stop()
        self._running = RunningSandbox(self.config, port=int(self.base_url.rpartition(":")[2]))

    def stop(self) -> None:
        if self._running is not None:
            self._running.close()
            self._running = None

    def close(self) -> None:
        for gateway in self._gateways:
            gateway.close()
        self._http.clear()
        self.stop()


class SandboxFactory(Protocol):
    def __call__(self, name: str = "sandbox_a", **config: Any) -> SandboxServer: ...


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxFactory]:
    """Start sandboxes: `sandbox("sandbox_b", healthy_for=frozenset({"pm_card_unavailable"}))`."""
    started: list[SandboxServer] = []

    def start(name: str = "sandbox_a", **config: Any) -> SandboxServer:
        plain = SandboxConfig(name, tmp_path / name, "sk_test_key", webhook_secret=new_signing_secret())
        server = SandboxServer(replace(plain, **config))
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return dict(json.loads(self.body))


@dataclass
class WebhookReceiver:
    """A real HTTP server that keeps what it is sent. `status` is what it answers; it can be down and come back."""

    port: int = 0
    status: int = 204
    received: list[Received] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/sandbox"

    def types(self) -> list[str]:
        return [received.json["type"] for received in self.received]

    def open(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.received.append(Received({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Stay quiet: the test asks what was received."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    receiver.open()
    yield receiver
    receiver.close()
