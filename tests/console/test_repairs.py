"""Webhooks of gateways that could not be applied: who sees them, what is shown, and what may be done."""

import re
from collections.abc import Callable, Iterator
from html import unescape

import pytest
from sqlalchemy import select

from app.console.read import repairs
from app.engine.models import InboxItem, Incident
from app.events.models import AuditEntry
from app.kit.database import Database, Tx
from app.payments.models import Attempt, InboundWebhook
from tests.console.conftest import Visitor
from tests.console.seed import Seeded

Come = Callable[[str], Visitor]


def test_webhooks_are_listed_with_reason_and_tries_and_without_secrets(visitor: Come, seeded: Seeded) -> None:
    page = visitor("operator").read("/repairs/webhooks")
    for word in ("retrying", "nobodys", "parked"):
        assert seeded.others[f"webhook_{word}"] in page
    assert "KeyError; the worker" in page
    assert "It is about nothing that we know." in page
    assert "ch_by_hand" in page
    assert seeded.payments["unknown"] in page
    assert "hush" not in page
    only = visitor("operator").read("/repairs/webhooks?status=unmatched&gateway=sandbox_a")
    assert (seeded.others["webhook_nobodys"] in only, seeded.others["webhook_parked"] in only) == (True, False)
    assert "Nothing is waiting" in visitor("operator").read("/repairs/webhooks?gateway=nobody")


def test_a_long_list_of_webhooks_has_pages(visitor: Come, database: Database, seeded: Seeded) -> None:
    with database.begin() as tx:
        row = tx.session.get_one(InboundWebhook, seeded.others["webhook_nobodys"])
        copy = {column.name: getattr(row, column.name) for column in row.__table__.columns}
        for number in range(60):
            tx.session.add(InboundWebhook(**{**copy, "id": f"inw_{number:03}", "event_id": str(number)}))
    first = visitor("operator").read("/repairs/webhooks?status=unmatched")
    assert first.count('<tr id="inw_') == 50
    assert "status=unmatched&amp;after=" in first


@pytest.fixture
def plain(database: Database, seeded: Seeded) -> str:
    """An incident of a flow that is about no money."""
    with database.begin() as tx:
        tx.session.get_one(Incident, seeded.others["incident"]).subject = "order-1"
    return seeded.others["incident"]


def test_variables_are_corrected_where_no_money_is_concerned(visitor: Come, database: Database, plain: str) -> None:
    operator = visitor("operator")
    assert 'name="variables"' in operator.read("/repairs")
    assert 'name="variables"' not in visitor("reviewer").read("/repairs")
    operator.post(f"/repairs/{plain}/retry", variables='{"address": "Main Street 1"}')
    with database.begin() as tx:
        asked = tx.session.scalars(select(InboxItem).where(InboxItem.kind == "retry")).one()
        assert asked.payload["variables"] == {"address": "Main Street 1"}


@pytest.mark.parametrize(("typed", "said"), [('{"a":', "line 1"), ("[1]", "JSON object"), ('{"a": "\\u0000"}', "NUL")])
def test_a_correction_that_cannot_be_read_comes_back(
    visitor: Come, database: Database, plain: str, typed: str, said: str
) -> None:
    refused = visitor("operator").post(f"/repairs/{plain}/retry", variables=typed)
    assert refused.status_code in (400, 422)
    assert said in unescape(refused.text)
    assert f">{typed}</textarea>" in unescape(refused.text)
    with database.begin() as tx:
        assert tx.session.scalars(select(InboxItem).where(InboxItem.kind == "retry")).all() == []


def test_variables_of_a_flow_about_money_stay_as_they_are(visitor: Come, database: Database, seeded: Seeded) -> None:
    operator = visitor("operator")
    assert 'name="variables"' not in operator.read("/repairs")
    refused = operator.post(f"/repairs/{seeded.others['incident']}/retry", variables='{"amount": 1}')
    assert "retry without variables" in refused.text
    with database.begin() as tx:
        assert tx.session.scalars(select(InboxItem).where(InboxItem.kind == "retry")).all() == []


def test_what_is_at_stake_is_all_of_it_and_both_lists_have_pages(
    visitor: Come, database: Database, seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairs, "PAGE", 2)
    with database.begin() as tx:
        _copies(tx, Attempt, seeded.others["unknown"], "activation")
        incident = tx.session.scalars(select(Incident.id).where(Incident.status == "open").limit(1)).one()
        _copies(tx, Incident, incident, "node")
    operator = visitor("operator")
    page = operator.read("/repairs")
    assert "1,025.00\u00a0EUR" in page
    for found, kind in (("att", Attempt), ("inc", Incident)):
        assert set(_paged(operator, found)) == set(_all(database, kind)), kind
    assert list(_paged(operator, "att")) == sorted(
        _all(database, Attempt), key=lambda each: each != seeded.others["unknown"]
    )


def _copies(tx: Tx, kind: type[Attempt] | type[Incident], original: str, unique: str) -> None:
    row = tx.session.get_one(kind, original)
    values = {column.name: getattr(row, column.name) for column in row.__table__.columns}
    for number in range(4):
        tx.session.add(kind(**{**values, "id": f"{original[:4]}zz{number}", unique: f"copy{number}"}))


def _all(database: Database, kind: type[Attempt] | type[Incident]) -> list[str]:
    wanted = Attempt.outcome == "unknown" if kind is Attempt else Incident.status == "open"
    with database.begin() as tx:
        return list(tx.session.scalars(select(kind.id).where(wanted).order_by(kind.id)))


def _paged(operator: Visitor, prefix: str) -> Iterator[str]:
    """The ids of one list, page by page, while the other stays where it is."""
    path = "/repairs"
    while path:
        page = operator.read(path)
        incidents, _, unknowns = page.partition('aria-labelledby="unknowns"')
        part = unknowns if prefix == "att" else incidents
        yield from re.findall(r'<tr[^>]* id="((?:att|inc)_\w+)"', part)
        older = re.search(r'rel="next" href="([^"]+)"', part)
        path = unescape(older[1]) if older else ""


@pytest.mark.parametrize(("act", "status"), [("replay", "new"), ("set-aside", "set_aside")])
def test_an_operator_decides_and_it_is_audited(
    visitor: Come, database: Database, seeded: Seeded, act: str, status: str
) -> None:
    webhook = seeded.others["webhook_parked"]
    assert f"{webhook}/{act}" not in visitor("reviewer").read("/repairs/webhooks")
    visitor("reviewer").post(f"/repairs/webhooks/{webhook}/{act}")
    with database.begin() as tx:
        assert tx.session.get_one(InboundWebhook, webhook).status == "parked"
    assert visitor("operator").post(f"/repairs/webhooks/{webhook}/{act}").status_code == 303
    with database.begin() as tx:
        assert tx.session.get_one(InboundWebhook, webhook).status == status
        said = tx.session.query(AuditEntry).filter_by(object_id=webhook).one()
        assert (said.actor, said.action.partition(".")[0]) == (seeded.users["operator"], "inbound_webhook")
