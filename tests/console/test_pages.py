"""Every page, for every role, in both languages; and no link that leads nowhere."""

import re
from collections.abc import Callable
from html import unescape

import pytest

from app import installation
from app.console.language import catalogue, texts
from app.kit.clock import ShiftedClock
from app.kit.database import Database
from tests.console.conftest import Visitor
from tests.console.seed import PEOPLE, Seeded, seed

Come = Callable[[str], Visitor]

FOR_ALL = [
    "/review",
    "/review?queue=all",
    "/review?queue=mine",
    "/review?queue=second",
    "/review?queue=overdue",
    "/review?queue=escalated",
    "/review?queue=done",
    "/review?queue=unclaimed&currency=CHF",
    "/review/live",
    "/payments",
    "/payments?search=amira&status=succeeded",
    "/payments?search=nothing-like-this",
    "/payments.csv",
    "/disputes",
    "/disputes?status=won",
    "/repairs",
    "/repairs?status=resolved",
    "/repairs/live",
    "/flows",
    "/flows/new",
    "/flows/card-payment",
    "/flows/card-payment?version=3",
    "/flows/review?kind=form",
    "/events",
    "/settings/profile",
]
FOR_ADMINS = ["/settings/users", "/settings/keys", "/settings/webhooks"]
FOR_THOSE_WHO_ANSWER = ["/audit", "/settings/limits"]

_LINK = re.compile(r'href="(/(?!static/)[^"]*)"')


@pytest.mark.parametrize("word", PEOPLE)
def test_every_role_can_read_what_concerns_it(visitor: Come, seeded: Seeded, word: str) -> None:
    person = visitor(word)
    pages = [*FOR_ALL, f"/disputes/{seeded.others['dispute']}"]
    pages += [f"/payments/{seeded.payments[name]}" for name in ("succeeded", "unknown", "stuck", "action", "failed")]
    pages += [f"/payments/{seeded.payments['succeeded']}/{part}" for part in ("top", "rest")]
    pages += [f"/review/{task}" for task in seeded.tasks.values()]
    assert {path: status for path in pages if (status := person.get(path).status_code) != 200} == {}


@pytest.mark.parametrize("word", PEOPLE)
def test_settings_are_for_administrators(visitor: Come, word: str) -> None:
    person = visitor(word)
    wanted = 200 if word == "admin" else 403
    assert [person.get(path).status_code for path in FOR_ADMINS] == [wanted] * len(FOR_ADMINS)


@pytest.mark.parametrize("path", FOR_THOSE_WHO_ANSWER)
def test_the_audit_log_and_limits_are_for_operators_and_administrators(visitor: Come, path: str) -> None:
    statuses = {word: visitor(word).get(path).status_code for word in PEOPLE}
    assert statuses == {
        "reviewer": 403,
        "reviewer2": 403,
        "analyst": 403,
        "analyst2": 403,
        "operator": 200,
        "admin": 200,
    }


def test_every_page_is_there_in_chinese(visitor: Come, seeded: Seeded) -> None:
    admin = visitor("admin")
    admin.post("/preferences", language="zh", back="/review")
    details = [f"/payments/{seeded.payments['succeeded']}", f"/review/{seeded.tasks['open']}"]
    details += [f"/payments/{seeded.payments[name]}" for name in ("flagged", "unknown", "stuck", "held")]
    details += [f"/disputes/{seeded.others['dispute']}", "/repairs/webhooks", "/flows/card-payment"]
    english = {one["en"] for one in catalogue().values() if one["en"] != one["zh"] and " " in one["en"]} | set(texts())
    assert english.intersection(_texts_of(visitor("operator").read("/repairs"))), "in English they would be found"
    left = {}
    for path in [*FOR_ALL, *FOR_ADMINS, *FOR_THOSE_WHO_ANSWER, *details]:
        page = admin.get(path)
        assert page.status_code == 200, path
        found = english.intersection(_texts_of(page.text))
        if found:
            left[path] = sorted(found)
    assert left == {}


def test_while_nothing_is_sent_every_page_tells_those_who_can_act_what_to_do(visitor: Come, database: Database) -> None:
    with database.begin() as tx:
        found = installation.hold(tx, "Its tables were made anew")
    for word in ("operator", "admin"):
        pages = [visitor(word).read(path) for path in ("/review", "/settings/profile")]
        assert all("Nothing is sent" in page and "<code>sluice recover</code>" in page for page in pages)
    assert "Nothing is sent" not in visitor("reviewer").read("/review")
    with database.begin() as tx:
        installation.recovered(tx, tx.session.get_one(installation.Hold, found.id), {"differences": [], "unseen": []})
    assert "sluice release-sending" in visitor("operator").read("/review")
    with database.begin() as tx:
        installation.release(tx, "Olga", "looked", frozenset())
    assert "Nothing is sent" not in visitor("operator").read("/review")


def _texts_of(page: str) -> set[str]:
    """What a person sees or hears: text between tags, and the attributes that are read out."""
    shown = re.sub(
        r"<(script|style|code|pre)\b.*?</\1>|<span class=\"(?:small )?code[^>]*>.*?</span>", "<>", page, flags=re.DOTALL
    )
    between = re.findall(r">([^<>]+)<", shown)
    spoken = re.findall(r'\b(?:aria-label|title|placeholder|alt)="([^"]+)"', shown)
    return {unescape(" ".join(text.split())) for text in (*between, *spoken)}


@pytest.mark.parametrize("word", ["reviewer", "admin"])
def test_no_link_leads_nowhere(visitor: Come, word: str) -> None:
    person = visitor(word)
    seen, waiting = set(), ["/"]
    while waiting and len(seen) < 160:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        response = person.get(path, follow_redirects=True, buffered=True)
        assert response.status_code == 200, path
        if response.mimetype == "text/html":
            waiting += [unescape(link).partition("#")[0] for link in _LINK.findall(response.text)]
    assert len(seen) > 60


@pytest.mark.parametrize(
    "path", ["/nowhere", "/payments/pay_none", "/review/tsk_none", "/disputes/dis_none", "/flows/none"]
)
def test_what_is_not_there_is_a_page_that_says_so(visitor: Come, path: str) -> None:
    page = visitor("admin").get(path)
    assert page.status_code == 404
    assert "There is no" in page.text
    assert "Back" in page.text


def test_a_refusal_names_the_role_that_is_missing(visitor: Come) -> None:
    page = visitor("reviewer").get("/settings/users")
    assert page.status_code == 403
    assert "You may not do this" in page.text
    assert "admin" in visitor("reviewer").get("/settings/keys").text


def test_nobody_sees_another_merchants_things(visitor: Come, database: Database, clock: ShiftedClock) -> None:
    other = seed(database, clock.now(), "mer_other")
    admin = visitor("admin")
    hidden = [
        f"/payments/{other.payments['succeeded']}",
        f"/review/{other.tasks['open']}",
        f"/disputes/{other.others['dispute']}",
        f"/definitions/{other.definitions['flow2']}/source",
        f"/settings/webhooks/{other.others['endpoint']}",
    ]
    assert [admin.get(path).status_code for path in hidden] == [404] * len(hidden)
    assert "4 payments with this card" in admin.read("/review")
    assert admin.read("/payments").count('<tr class="link"') == 50
