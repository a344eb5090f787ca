"""What is wired from settings: what must be set, and whom a web takes its callers for."""

import pytest
from flask import Flask, request
from pydantic import SecretStr

from app.bootstrap import NotConfigured, web_app, wire
from app.kit.database import Database
from app.kit.keys import new_cookie_key, new_master_key
from app.settings import Settings

KEYS = {"secret_key": SecretStr(new_cookie_key()), "master_key": SecretStr(new_master_key())}
FORWARDED = {"X-Forwarded-For": "198.51.100.9, 203.0.113.7", "X-Forwarded-Proto": "https"}


def settings(database: Database, **more: object) -> Settings:
    return Settings(database_url=database.url).model_copy(update={**KEYS, **more})


def web(database: Database, proxies: int) -> Flask:
    return web_app(wire(settings(database, trusted_proxies=proxies), database))


@pytest.mark.parametrize(
    ("key", "name"), [("secret_key", "SLUICE_SECRET_KEY"), ("master_key", "SLUICE_MASTER_KEY")], ids=["cookies", "rows"]
)
def test_a_web_without_a_key_does_not_start(database: Database, key: str, name: str) -> None:
    with pytest.raises(NotConfigured, match=name):
        web_app(wire(settings(database, **{key: SecretStr("")}), database))


@pytest.mark.parametrize(
    ("proxies", "seen"),
    [(0, ("127.0.0.1", "http")), (1, ("203.0.113.7", "https")), (2, ("198.51.100.9", "http"))],
)
def test_only_what_proxies_of_ours_have_written_is_believed(
    database: Database, proxies: int, seen: tuple[str, str]
) -> None:
    app = web(database, proxies)
    app.add_url_rule("/seen", "seen", lambda: [request.remote_addr, request.scheme])
    assert tuple(app.test_client().get("/seen", headers=FORWARDED).get_json()) == seen


def test_behind_a_proxy_browsers_are_told_to_come_back_over_tls(database: Database) -> None:
    shown = web(database, 1).test_client().get("/sign-in", headers=FORWARDED)
    assert "max-age" in shown.headers["Strict-Transport-Security"]
