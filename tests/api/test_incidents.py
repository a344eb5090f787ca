"""The moves of an incident over HTTP: told with it, made once, refused when they are not legal."""

from typing import Any

import pytest
from sqlalchemy import select, update

from app.access.actor import Role, system
from app.engine.definitions import deploy
from app.engine.lint import Upload
from app.engine.models import Incident, Instance
from app.payments.models import Attempt, Payment
from app.payments.service import RELEASE_PROCESS
from tests.api.conftest import Api, build, client
from tests.api.test_routes import api, key_with, row
from tests.engine.lint.draw import bpmn, end, path, start

assert api
assert build
assert client

VOID = {"move": "void"}


@pytest.fixture
def contradicted(api: Api) -> Api:
    """The payment holds 100 at sandbox_a; sandbox_b holds as much for it, and an incident says so."""
    second = {"operation": "authorize", "state": "finished", "outcome": "approved", "gateway": "sandbox_b"}
    mine = {"merchant_id": api.merchant_id, "instance_id": "ins_1"}
    with api.database.begin() as tx:
        drawn = bpmn(start(), end(), path("start", "end"), process=RELEASE_PROCESS)
        deploy(tx, system(api.merchant_id), [Upload("release.bpmn", drawn)], publish=True)
        held = {"gateway": "sandbox_a", "gateway_reference": "ch_a", "amount_capturable": 100}
        tx.execute(update(Payment).values(status="requires_capture", **held))
        known = {"payment_id": "pay_1", "gateway_reference": "ch_b", "amount": 100, "currency": "EUR"}
        tx.session.add(row(Attempt, id="att_1", **known, **second, **mine))
        details = {"attempt": "att_1", "outcome": "approved", "gateway_reference": "ch_b"}
        said = {"source": "domain", "kind": "contradiction", "subject": "pay_1", "details": details}
        tx.execute(update(Incident).values(**said))
    return api


def ask(api: Api, body: Any, key: str, idempotency_key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": idempotency_key}
    return api.client.post("/v1/incidents/inc_1/moves", json=body, headers=headers)


def flows(api: Api) -> list[Instance]:
    with api.database.begin() as tx:
        return list(tx.session.scalars(select(Instance).where(Instance.process == RELEASE_PROCESS)))


def test_an_incident_tells_its_moves_with_what_they_are_about(contradicted: Api) -> None:
    headers = {"Authorization": f"Bearer {key_with(contradicted, [Role.INTEGRATOR])}"}
    shown = contradicted.client.get("/v1/instances/ins_1", headers=headers).get_json()["incidents"][0]
    assert [one["move"] for one in shown["moves"]] == ["void", "lookup", "close"]
    about = {"gateway": "sandbox_b", "amount": 100, "currency": "EUR", "attempt": "att_1"}
    assert shown["moves"][0] == {"move": "void", **about, "said": None, "asked_at": None}


def test_a_void_is_asked_for_once_and_its_repetition_is_replayed(contradicted: Api) -> None:
    key = key_with(contradicted, [Role.OPERATOR])
    first = ask(contradicted, VOID, key, "one")
    assert first.status_code == 202
    assert [one["move"] for one in first.get_json()["moves"]] == ["lookup", "close"]
    again = ask(contradicted, VOID, key, "one")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert again.get_json() == first.get_json()
    other = ask(contradicted, VOID, key, "two")
    problem = other.get_json()
    assert (other.status_code, problem["code"], problem["moves"]) == (409, "move_not_legal", ["lookup", "close"])
    (flow,) = flows(contradicted)
    assert flow.variables == {"payment": "pay_1", "authorization": "att_1"}


@pytest.mark.parametrize("move", ["refund", "close", "anything", None])
def test_only_moves_that_a_flow_makes_are_asked_for_here(contradicted: Api, move: str | None) -> None:
    refused = ask(contradicted, {"move": move}, key_with(contradicted, [Role.OPERATOR]), "one")
    assert (refused.status_code, refused.get_json()["errors"][0]["field"]) == (422, "move")
    assert flows(contradicted) == []


def test_what_is_closed_by_hand_has_no_more_moves(contradicted: Api) -> None:
    key = key_with(contradicted, [Role.OPERATOR])
    headers = {"Authorization": f"Bearer {key}"}
    answer = contradicted.client.post("/v1/incidents/inc_1/retry", json={"note": "Voided there"}, headers=headers)
    assert (answer.get_json()["status"], answer.get_json()["moves"]) == ("resolved", [])
    assert ask(contradicted, VOID, key, "one").get_json()["moves"] == []
