"""What may be done about a contradiction, on the pages that show it."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.access.actor import system
from app.engine.definitions import deploy
from app.engine.lint import Upload
from app.engine.models import Incident, Instance
from app.events.models import AuditEntry
from app.kit.database import Database
from app.payments.models import Attempt, Payment
from app.payments.moves import ASK_PROCESS
from app.payments.service import RELEASE_PROCESS
from tests.console.conftest import Visitor
from tests.console.seed import Seeded
from tests.engine.lint.draw import bpmn, end, path, start

Come = Callable[[str], Visitor]
INCIDENT = "inc_contradiction"


@pytest.fixture
def contradicted(database: Database, seeded: Seeded) -> str:
    """A payment that a second gateway holds 19.99 for as well; its id."""
    payment_id = seeded.payments["stuck"]
    with database.begin() as tx:
        for process in (RELEASE_PROCESS, ASK_PROCESS):
            drawn = bpmn(start(), end(), path("start", "end"), process=process)
            deploy(tx, system(seeded.merchant), [Upload(f"{process}.bpmn", drawn)], publish=True)
        payment = tx.session.get_one(Payment, payment_id)
        payment.status, payment.gateway, payment.gateway_reference = "requires_capture", "sandbox_a", "ch_a"
        payment.amount_capturable = payment.amount
        known = {"merchant_id": seeded.merchant, "instance_id": payment.instance_id, "created_at": tx.now()}
        second = {"operation": "authorize", "state": "finished", "outcome": "approved", "currency": payment.currency}
        tx.session.add(
            Attempt(
                id="att_second",
                payment_id=payment_id,
                activation="second",
                gateway="sandbox_b",
                gateway_reference="ch_b",
                amount=1999,
                **known,
                **second,
            )
        )
        said = {"attempt": "att_second", "outcome": "approved", "gateway_reference": "ch_b"}
        tx.session.add(
            Incident(
                id=INCIDENT,
                subject=payment_id,
                node="second!contradiction",
                element="",
                source="domain",
                kind="contradiction",
                message="sandbox_b authorized as well",
                details=said,
                status="open",
                **known,
            )
        )
    return payment_id


def _flows(database: Database) -> list[tuple[str, dict[str, str]]]:
    with database.begin() as tx:
        started = select(Instance).where(Instance.process.in_((RELEASE_PROCESS, ASK_PROCESS)))
        return [(row.process, row.variables) for row in tx.session.scalars(started)]


@pytest.mark.parametrize("page", ["/repairs", "/payments/{payment}"])
def test_buttons_name_the_gateway_and_the_amount_in_both_languages(visitor: Come, contradicted: str, page: str) -> None:
    operator, where = visitor("operator"), page.format(payment=contradicted)
    english = operator.read(where)
    assert "Void the hold of 19.99\u00a0EUR at sandbox_b" in english
    assert "Ask sandbox_b again" in english
    assert "Mark as dealt with" in english
    operator.post("/preferences", language="zh")
    chinese = operator.read(where)
    assert re.search(r"撤销 sandbox_b 的 .*19\.99.* 授权", chinese)
    assert "再次询问 sandbox_b" in chinese
    assert "标记为已处理" in chinese
    assert f"/repairs/{INCIDENT}/moves" not in visitor("reviewer").read(where)


def test_a_hold_is_voided_by_a_flow_that_is_started_once(visitor: Come, database: Database, contradicted: str) -> None:
    operator, place = visitor("operator"), f"/repairs/{INCIDENT}/moves"
    sent = operator.post(place, move="void", back=f"/payments/{contradicted}")
    assert (sent.status_code, sent.location) == (303, f"/payments/{contradicted}")
    page = operator.read(f"/payments/{contradicted}")
    assert "The hold is being given back" in page
    assert "Void the hold" not in page, "it is under way"
    operator.post(place, move="void")
    assert "void is not possible now" in operator.read("/repairs")
    assert _flows(database) == [(RELEASE_PROCESS, {"payment": contradicted, "authorization": "att_second"})]


def test_a_gateway_is_asked_again_and_what_it_said_is_shown(
    visitor: Come, database: Database, contradicted: str
) -> None:
    operator = visitor("operator")
    operator.post(f"/repairs/{INCIDENT}/moves", move="lookup")
    assert "The gateway is being asked" in operator.read("/repairs")
    assert _flows(database) == [(ASK_PROCESS, {"payment": contradicted, "attempt": "att_second"})]
    with database.begin() as tx:
        asked = tx.session.scalars(select(Instance).where(Instance.process == ASK_PROCESS)).one()
        asked.ended_at = tx.now() - timedelta(minutes=2)
        asked.variables = {**asked.variables, "said": "declined"}
    assert "sandbox_b said: declined" in operator.read("/repairs")


def test_what_is_not_on_offer_or_not_allowed_starts_nothing(
    visitor: Come, database: Database, contradicted: str
) -> None:
    operator, place = visitor("operator"), f"/repairs/{INCIDENT}/moves"
    operator.post(place, move="refund")
    assert "Choose one of the moves on offer" in operator.read("/repairs")
    visitor("reviewer").post(place, move="void")
    visitor("operator").post("/repairs/inc_nobody/moves", move="void")
    assert _flows(database) == []


def test_it_is_closed_with_a_note(visitor: Come, database: Database, contradicted: str) -> None:
    operator = visitor("operator")
    operator.post(f"/repairs/{INCIDENT}/retry", note=" Voided in the gateway's own pages ")
    assert "It is marked as dealt with" in operator.read("/repairs")
    with database.begin() as tx:
        assert tx.session.get_one(Incident, INCIDENT).status == "resolved"
        said = tx.session.scalars(select(AuditEntry).where(AuditEntry.object_id == INCIDENT)).one()
        assert said.facts["note"] == "Voided in the gateway's own pages"


def test_what_a_request_of_the_payment_repairs_is_linked(visitor: Come, database: Database, contradicted: str) -> None:
    with database.begin() as tx:
        payment = tx.session.get_one(Payment, contradicted)
        payment.status, payment.amount_capturable, payment.amount_captured = "canceled", 0, payment.amount
        tx.session.get_one(Attempt, "att_second").operation = "capture"
        incident = tx.session.get_one(Incident, INCIDENT)
    assert incident.status == "open"
    page = visitor("operator").read("/repairs")
    assert f'href="/payments/{contradicted}#refund-amount"' in page
    assert 'id="refund-amount"' in visitor("operator").read(f"/payments/{contradicted}")
    with database.begin() as tx:
        payment = tx.session.get_one(Payment, contradicted)
        payment.status, payment.amount_captured = "requires_capture", 0
        incident = tx.session.get_one(Incident, INCIDENT)
        incident.kind, incident.details = "flow_ended", {}
    assert f'href="/payments/{contradicted}#cancel-reason"' in visitor("operator").read("/repairs")
