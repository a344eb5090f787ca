"""A merchant, a real HTTP receiver that answers as it is told, and webhooks that may reach it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from app.access.actor import Actor, Role
from app.access.merchants import create_merchant
from app.events.endpoints import Endpoints
from app.events.outbox import emit
from app.events.webhooks import DeliveryAnswer, Webhooks
from app.kit.database import Database
from app.kit.http import HttpClient
from app.kit.ids import new_id
from app.kit.sealing import Sealer


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers` are given one after the other as (status, headers); the last one is repeated."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=lambda: [(200, {})])
    received: list[Received] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Shop:
    """The merchant's administrator, and the machinery as the worker drives it."""

    database: Database
    actor: Actor
    endpoints: Endpoints
    webhooks: Webhooks

    def emit(self, type_: str = "payment.succeeded", object_id: str = "pay_1") -> str:
        with self.database.begin() as tx:
            return emit(tx, self.actor.merchant_id, type_, object_id, {"id": object_id}, "system").id

    def listen(self, url: str, *types: str) -> tuple[str, str]:
        """The id and the secret of a new endpoint."""
        with self.database.begin() as tx:
            made = self.endpoints.create(tx, self.actor, url, types)
            return made.endpoint.id, made.secret

    def work(self) -> list[DeliveryAnswer]:
        """One turn of the worker: drain, claim, send, book."""
        with self.database.begin() as tx:
            self.webhooks.drain(tx)
        with self.database.begin() as tx:
            jobs = self.webhooks.claim_due(tx)
        answers = []
        for job in jobs:
            answer = self.webhooks.send(job)
            with self.database.begin() as tx:
                self.webhooks.book(tx, job, answer)
            answers.append(answer)
        return answers


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(connect_seconds=2, total_seconds=3)
    yield made
    made.close()


@pytest.fixture
def shop(database: Database, client: HttpClient) -> Shop:
    endpoints = Endpoints(Sealer({"test": bytes(32)}, "test"), allow_private=True)
    with database.begin() as tx:
        merchant = create_merchant(tx, "Shop")
    actor = Actor(new_id("usr"), "Ada", merchant.id, frozenset({Role.ADMIN}))
    return Shop(database, actor, endpoints, Webhooks(endpoints, client, allow_private=True))
