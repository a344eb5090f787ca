"""Signing in and out, the forgery check, headers, and what a browser remembers."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.access import sessions
from app.console.identity import COOKIE
from app.kit.clock import ShiftedClock
from tests.console.conftest import Visitor

Come = Callable[[str], Visitor]


def test_who_is_not_signed_in_is_led_to_the_door_and_back(visitor: Come) -> None:
    nobody = visitor("")
    sent = nobody.get("/payments?status=failed")
    assert sent.status_code == 303
    assert sent.location == "/sign-in?next=%2Fpayments%3Fstatus%3Dfailed"
    arrived = nobody.post(
        "/sign-in", email="operator@mer-weir.example", password="open the sluice gate", next="/payments?status=failed"
    )
    assert arrived.location == "/payments?status=failed"
    assert "order-" in nobody.read("/payments")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\t//evil.example",
        "/\t\\evil.example",
        "/\v//evil.example",
        "/\n/[",
    ],
)
def test_nobody_is_sent_to_another_site_after_signing_in(visitor: Come, target: str) -> None:
    arrived = visitor("").post(
        "/sign-in", email="operator@mer-weir.example", password="open the sluice gate", next=target
    )
    assert arrived.location == "/"


def test_a_wrong_password_is_told_without_telling_who_exists(visitor: Come) -> None:
    nobody = visitor("")
    wrong = nobody.sign_in("operator", "not this one at all")
    unknown = nobody.sign_in("stranger", "not this one at all")
    assert wrong.status_code == unknown.status_code == 401
    assert "is not right" in wrong.text
    assert "is not right" in unknown.text
    assert COOKIE not in nobody.get("/sign-in").headers.get("Set-Cookie", "")


def test_too_many_wrong_passwords_say_how_long_to_wait(visitor: Come) -> None:
    nobody = visitor("")
    for _ in range(5):
        nobody.sign_in("operator", "not this one at all")
    locked = nobody.sign_in("operator")
    assert locked.status_code == 429
    assert "Try again in" in locked.text


def test_the_session_cookie_is_out_of_reach_of_scripts(visitor: Come) -> None:
    arrived = visitor("").sign_in("reviewer")
    cookie = next(line for line in arrived.headers.getlist("Set-Cookie") if line.startswith(COOKIE))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie


def test_after_signing_out_the_old_session_is_worth_nothing(visitor: Come) -> None:
    reviewer = visitor("reviewer")
    kept = reviewer.client.get_cookie(COOKIE)
    assert kept is not None
    assert reviewer.post("/sign-out").location == "/sign-in"
    reviewer.client.set_cookie(COOKIE, kept.value)
    assert reviewer.get("/review").status_code == 303


def test_an_idle_session_ends(visitor: Come, clock: ShiftedClock) -> None:
    reviewer = visitor("reviewer")
    clock.advance(sessions.IDLE + timedelta(minutes=1))
    assert reviewer.get("/review").location == "/sign-in?next=%2Freview"


@pytest.mark.parametrize(
    "path",
    [
        "/sign-in",
        "/sign-out",
        "/preferences",
        "/review/next",
        "/payments/pay_1/capture",
        "/flows/new",
        "/settings/keys",
    ],
)
def test_a_post_without_a_token_is_refused(visitor: Come, path: str) -> None:
    refused = visitor("admin").client.post(path, data={})
    assert refused.status_code == 400
    assert "another session" in refused.text


def test_a_token_of_somebody_else_is_refused(visitor: Come) -> None:
    reviewer, other = visitor("reviewer"), visitor("reviewer2")
    stolen = other.read("/review").split('name="csrf_token" value="')[1].split('"')[0]
    assert reviewer.client.post("/review/next", data={"csrf_token": stolen}).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/payments?search=%00", "/payments.csv?search=%00", "/payments?after=%00", "/payments/%00", "/events?after=%00",
        "/disputes/%00", "/review?process=%00", "/review/%00", "/flows/%00", "/flows/card-payment?kind=%00",
        "/instances/%00/state", "/definitions/%00/source",
    ],
)  # fmt: skip
def test_what_the_database_cannot_hold_is_refused_at_the_door(visitor: Come, path: str) -> None:
    assert visitor("operator").get(path).status_code in (404, 422)


def test_a_card_number_typed_into_a_form_is_refused_and_not_repeated(visitor: Come) -> None:
    admin = visitor("admin")
    answer = admin.post("/settings/keys", name="card 4111 1111 1111 1111", roles="integrator")
    assert answer.status_code == 422
    assert "4111" not in answer.text
    assert "4111" not in admin.read("/settings/keys")


def test_a_password_may_look_like_a_card_number(visitor: Come) -> None:
    answer = visitor("").post("/sign-in", email="nobody@example.com", password="4111111111111111")
    assert answer.status_code == 401


def test_every_page_carries_the_headers(visitor: Come) -> None:
    for path in ("/sign-in", "/review", "/nowhere"):
        headers = visitor("reviewer").get(path).headers
        assert "'unsafe-inline'" not in headers["Content-Security-Policy"], path
        assert "script-src 'self';" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"


def test_only_styles_are_let_through_where_a_diagram_is_drawn(visitor: Come) -> None:
    policy = visitor("analyst").get("/flows").headers["Content-Security-Policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self';" in policy


def test_own_files_are_kept_by_browsers_and_need_nobody(visitor: Come) -> None:
    with visitor("").get("/static/console.css") as sheet:
        assert sheet.status_code == 200
        assert "immutable" in sheet.headers["Cache-Control"]


def test_the_language_follows_the_person(visitor: Come) -> None:
    reviewer = visitor("reviewer")
    assert 'lang="en"' in reviewer.read("/review")
    reviewer.post("/preferences", language="zh", back="/review")
    assert 'lang="zh-Hans"' in reviewer.read("/review")
    assert "审核台" in visitor("reviewer").read("/review")
    assert 'lang="en"' in visitor("reviewer2").read("/review")


def test_the_door_speaks_the_browsers_language(visitor: Come) -> None:
    page = visitor("").get("/sign-in", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert "登录" in page.text


def test_the_theme_is_kept_and_the_system_is_the_default(visitor: Come) -> None:
    reviewer = visitor("reviewer")
    assert "data-theme" not in reviewer.read("/review")
    reviewer.post("/preferences", theme="dark", back="/review")
    assert 'data-theme="dark"' in reviewer.read("/review")
    reviewer.post("/preferences", theme="system", back="/review")
    assert "data-theme" not in reviewer.read("/review")
