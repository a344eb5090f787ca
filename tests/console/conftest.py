"""A console on a seeded merchant, and a visitor who uses it as a browser without scripts would."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Thread

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from app.console.blueprint import create_console
from app.console.context import ConsoleContext, ConsoleSettings
from app.events.endpoints import Endpoints
from app.events.webhooks import Webhooks
from app.kit.clock import ShiftedClock, SystemClock
from app.kit.database import Database
from app.kit.http import HttpClient
from app.kit.sealing import Sealer
from tests.console.seed import PASSWORD, Seeded, seed

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Visitor:
    """Follows forms like a browser: every POST carries the token that the page it came from had."""

    def __init__(self, client: FlaskClient, merchant: str) -> None:
        self.client = client
        self._domain = merchant.replace("_", "-")

    def get(self, path: str, **options: object) -> TestResponse:
        return self.client.get(path, **options)

    def read(self, path: str) -> str:
        """The page's text; it must be there."""
        response = self.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code}"
        return response.text

    def post(self, path: str, **fields: object) -> TestResponse:
        page = self.get("/settings/profile", follow_redirects=True).text
        found = _TOKEN.search(page)
        assert found is not None
        return self.client.post(path, data={**fields, "csrf_token": found[1]})

    def sign_in(self, word: str, password: str = PASSWORD) -> TestResponse:
        return self.post("/sign-in", email=f"{word}@{self._domain}.example", password=password)


def build(database: Database, clock: ShiftedClock | SystemClock) -> Flask:
    app = Flask("sluice-test", static_folder=None)
    app.config.update(SECRET_KEY="tests only", TESTING=True)
    endpoints = Endpoints(Sealer({"k1": bytes(32)}, "k1"), allow_private=True)
    webhooks = Webhooks(endpoints, HttpClient(connect_seconds=1, total_seconds=2, max_bytes=4096))
    settings = ConsoleSettings(secure_cookies=False, base_url="http://localhost")
    app.register_blueprint(create_console(ConsoleContext(database, clock, settings, endpoints, webhooks)))
    return app


@pytest.fixture
def seeded(database: Database, clock: ShiftedClock) -> Seeded:
    """Seeded at noon, so that what happened an hour ago happened today."""
    now = clock.now()
    clock.advance(now.replace(hour=12, minute=0, second=0) + timedelta(days=1) - now)
    return seed(database, clock.now())


@pytest.fixture
def app(database: Database, clock: ShiftedClock, seeded: Seeded, built_islands: None) -> Flask:
    return build(database, clock)


@pytest.fixture
def visitor(app: Flask, seeded: Seeded) -> Callable[[str], Visitor]:
    """`visitor("reviewer")` is signed in as that person; `visitor("")` is nobody."""

    def come(word: str) -> Visitor:
        one = Visitor(app.test_client(), seeded.merchant)
        if word:
            assert one.sign_in(word).status_code == 303
        return one

    return come


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - named by the class it overrides
        pass


@pytest.fixture
def address(app: Flask, built_islands: None) -> Iterator[str]:
    """The console served to a real browser."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
