"""A whole day over real HTTP: the web, a worker and two sandboxes; every story ends as its name says."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from werkzeug.serving import make_server

from app.access.actor import Role, system
from app.access.api_keys import create_key, create_token
from app.access.models import User
from app.bootstrap import web_app
from app.cli import cli
from app.demo import NothingRuns
from app.errors import Unavailable
from app.payments.models import Payment
from app.traffic import day, follow
from app.traffic.mix import STORIES, Story
from app.traffic.orders import Order, orders
from app.traffic.shop import SHOP, Place, Refused, Shop
from tests.house import MERCHANT, House

ENDS = {
    "3-D Secure failed": "failed",
    "3-D Secure abandoned": "requires_action",
    "declined later": "failed",
    "declined: no funds": "failed",
    "declined: do not honor": "failed",
    "declined: stolen card": "failed",
    "declined: expired card": "failed",
    "blocked by a rule": "failed",
    "no answer, not charged": "failed",
    "authorized only": "requires_capture",
    "canceled": "canceled",
    "canceled without answer": "canceled",
    "capture refused": "failed",
    "review rejected": "canceled",
    "large review half approved": "requires_review",
    "review waiting": "requires_review",
}


@pytest.fixture
def where(house: House) -> Iterator[Place]:
    """The house with its web open and a worker that takes its turns by itself."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            if not house.loop.turn() + house.chores.turn():
                time.sleep(0.02)

    worker = threading.Thread(target=work)
    worker.start()
    sandboxes = {sandbox.config.name: sandbox.base_url for sandbox in house.sandboxes}
    with web(house) as url:
        yield Place(url, secrets(house), sandboxes)
    stop.set()
    worker.join()


@contextmanager
def web(house: House, port: int = 0) -> Iterator[str]:
    server = make_server("127.0.0.1", port, web_app(replace(house.wired, metrics=CollectorRegistry())), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    server.server_close()
    thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def secrets(house: House) -> dict[str, str]:
    people = [house.person(name, Role.REVIEWER) for name in ("reviewer", "reviewer2")]
    with house.database.begin() as tx:
        found = {SHOP: create_key(tx, system(MERCHANT), "shop", [Role.INTEGRATOR]).secret}
        for name, person in zip(("reviewer", "reviewer2"), people, strict=True):
            found[name] = create_token(tx, tx.session.get_one(User, person.id), "demo").secret
    return found


@pytest.fixture
def shop(where: Place) -> Iterator[Shop]:
    opened = Shop(where, patience_seconds=20)
    yield opened
    opened.close()


def one_of_each() -> list[Order]:
    """One order for every story, under the numbers they have in the day."""
    found: dict[Story, Order] = {}
    for order in orders(1, sum(story.weight for story in STORIES)):
        found.setdefault(order.story, order)
    return list(found.values())


def test_every_story_ends_as_its_name_says_the_books_agree_and_once_more_only_replays(house: House, shop: Shop) -> None:
    sent = one_of_each()
    ended: list[None] = []
    assert day.send(shop, sent, 50, lambda: ended.append(None)) == []
    assert len(ended) == len(STORIES)

    found = day.settle(shop, sent, 60)
    assert (found.moving, found.incidents) == (0, 0)
    assert {name: list(statuses) for name, statuses in found.payments.items()} == {
        story.name: [ENDS.get(story.name, "succeeded")] for story in STORIES
    }
    assert found.refunds == {"succeeded": 7, "failed": 3, "requires_approval": 1, "canceled": 1}
    assert found.disputes == {"won": 2, "needs_response": 2, "lost": 1, "accepted": 1}
    house.check_books()

    charges = len(house.charges())
    before = shop.tally.sent, shop.tally.replayed
    assert day.send(shop, sent, 500, lambda: None) == []
    assert shop.tally.sent - before[0] == shop.tally.replayed - before[1]
    assert day.settle(shop, sent, 10) == found
    assert len(house.charges()) == charges


def test_a_request_goes_out_again_with_its_key_until_the_web_is_back(shop: Shop, where: Place, house: House) -> None:
    port = free_port()
    early = Shop(replace(where, base_url=f"http://127.0.0.1:{port}"), patience_seconds=20)
    with pytest.raises(NothingRuns, match="make up"):
        early.must_answer()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(early.post, "/v1/payments", "demo-early", _waiting())
        time.sleep(0.5)
        with web(house, port):
            early.must_answer()
            made = answer.result(10)
    assert early.tally.repeated > 0
    assert early.tally.sent == 1
    assert [one["id"] for one in shop.every("/v1/payments")] == [made["id"]]
    early.close()


def test_a_request_that_is_never_answered_ends_with_a_sentence(where: Place) -> None:
    away = Shop(replace(where, base_url=f"http://127.0.0.1:{free_port()}"), patience_seconds=0.3)
    with pytest.raises(Unavailable, match="did not answer for"):
        away.get("/v1/payments")
    away.close()


def test_what_the_api_refuses_is_told_in_its_words_and_stops_nothing_else(shop: Shop) -> None:
    with pytest.raises(Refused, match="refund") as refused:
        shop.post("/v1/refunds", "demo-none", {"payment": "pay_nowhere"})
    assert refused.value.extra["code"] == "payment_not_found"

    good, bad = orders(6, 2)
    bad = replace(bad, currency="XXX")
    wrong = day.send(shop, [bad, replace(good, story=STORIES[0])], 50, lambda: None)
    assert len(wrong) == 1
    assert "/v1/payments" in wrong[0]


def test_a_stopped_run_gives_up_waiting_at_once(shop: Shop) -> None:
    shop.stop()
    with pytest.raises(Unavailable, match="stopped"):
        follow.reach(shop, shop.post("/v1/payments", "demo-stop", _waiting())["id"], "requires_capture")


def _waiting() -> dict[str, object]:
    return {"amount": 100, "currency": "EUR", "confirm": False}


def test_the_command_sends_a_day_and_prints_what_became_of_it_and_both_books(
    house: House, where: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {
        "base_url": where.base_url,
        "api_key": where.secrets[SHOP],
        "users": {name: {"token": secret} for name, secret in where.secrets.items() if name != SHOP},
        "sandboxes": [{"name": name, "url": url, "api_key": "sk_test_key"} for name, url in where.sandboxes.items()],
    }
    (tmp_path / "demo.json").write_bytes(orjson.dumps(told))
    monkeypatch.setenv("SLUICE_VAR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", house.database.url)

    result = CliRunner().invoke(cli, ["demo", "--payments", "4", "--rate", "50", "--seed", "9"], catch_exceptions=False)

    assert result.exit_code == 0, result.output
    for order in orders(9, 4):
        assert order.story.name in result.output
    assert "sandbox_a" in result.output
    assert result.output.endswith("The books agree.\n")
    with house.database.begin() as tx:
        assert len(tx.session.scalars(select(Payment)).all()) == 4
