"""Webhooks of gateways that could not be applied: who sees them, what is shown, and what may be done."""

from collections.abc import Callable

import pytest

from app.events.models import AuditEntry
from app.kit.database import Database
from app.payments.models import InboundWebhook
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
