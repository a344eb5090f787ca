"""A merchant, a real HTTP receiver that answers as it is told, and webhooks that may reach it."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.access.actor import Actor, Role
from app.access.merchants import create_merchant
from app.events.endpoints import Endpoints
from app.events.outbox import emit
from app.events.webhooks import DeliveryAnswer, Webhooks
from app.kit.clock import SystemClock
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


@contextmanager
def serving(state: Receiver, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """`state` behind a real server on a free port, over TLS when a context is given."""

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

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """A client that refuses our certificate is part of a test, not worth a traceback."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.port = server.server_port
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serving(Receiver()) as state:
        yield state


def certificate_for(host: str, folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's TLS context with a certificate for `host`, and the path of the file that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = SystemClock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = folder / "ca.pem", folder / "key.pem"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return context, str(ca_file)


@dataclass
class Shop:
    """The merchant's administrator, and the machinery as the worker drives it."""

    database: Database
    actor: Actor
    endpoints: Endpoints
    webhooks: Webhooks

    def emit(self, type_: str = "payment.succeeded", object_id: str = "pay_1") -> str:
        with self.database.begin() as tx:
            return emit(tx, self.actor.merchant_id, type_, object_id, {"id": object_id}, "system")

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
