"""Promises that hold for every route there is, proved over the table of declared routes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text, update

from app.access.actor import Role, system
from app.access.api_keys import create_key
from app.api.openapi import document, errors_of
from app.api.problems import known_problems
from app.api.resources import RESOURCES
from app.api.route import Route, Upload
from app.disputes.models import Dispute
from app.engine.models import Definition, Incident, Instance, Migration, Move, Task
from app.events.catalog import EVENT_TYPES
from app.events.models import Delivery, Event, WebhookEndpoint
from app.jobs.models import LongJob
from app.kit.database import Base, Tx
from app.payments.models import Attempt, Payment
from app.refunds.models import Refund
from tests.api.conftest import Api, build, client, sealer

assert build
assert client

ROUTES = [route for resource in RESOURCES for route in resource.routes]
WITH_PARTS = [route for route in ROUTES if route.parts]
FORM = {"id": "f", "title": "F", "fields": [], "decisions": [{"value": "approve", "label": "Approve"}], "reasons": []}
LISTS = {"candidate_groups", "excluded", "event_types"}
USES = {"processes": [], "decisions": [], "forms": [], "operations": [], "defines": []}
THEN = datetime(2026, 1, 1, tzinfo=UTC)

#: An object of the first merchant for every name a path can have.
IDS = {
    "payment": "pay_1",
    "refund": "ref_1",
    "dispute": "dis_1",
    "task": "tsk_1",
    "instance": "ins_1",
    "incident": "inc_1",
    "definition_id": "def_1",
    "migration": "mig_1",
    "event": "evt_1",
    "endpoint": "whe_1",
    "delivery": "dlv_1",
    "export": "job_1",
}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    options: dict[str, Any]


def request_for(route: Route) -> Request:
    path = route.path
    for part in route.parts:
        path = path.replace(f"{{{part}}}", IDS[part])
    if isinstance(route.body, Upload):
        options: dict[str, Any] = {"data": b"<a/>", "content_type": "application/xml"}
    elif route.method in ("POST", "PATCH"):
        options = {"json": route.example or {}}
    else:
        options = {}
    return Request(route.method, path, options)


def send(api: Api, route: Route, key: str) -> Any:
    wanted = request_for(route)
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "k"} if key else {}
    return api.client.open(wanted.path, method=wanted.method, headers=headers, **wanted.options)


def row(model: type[Base], **values: Any) -> Base:
    """A row with `values`; whatever else the table demands is filled with something of the right type."""
    for column in model.__table__.columns:
        name = column.key.replace("metadata", "metadata_") if column.key == "metadata" else column.key
        if name in values or column.nullable or column.default is not None or column.identity is not None:
            continue
        kind = list if name in LISTS else column.type.python_type
        values[name] = {str: "", int: 1, bool: True, datetime: THEN, dict: {}, list: [], bytes: b"", object: {}}[kind]
    return model(**values)


def own(tx: Tx, merchant_id: str) -> None:
    """One object of every kind."""
    mine = {"merchant_id": merchant_id}
    add = tx.session.add
    add(row(Definition, id="def_1", kind="bpmn", key="p", status="draft", warnings={"findings": []}, uses=USES, **mine))
    form = orjson.dumps(FORM)
    add(
        row(
            Definition,
            id="def_2",
            kind="form",
            key="f",
            status="draft",
            warnings={"findings": []},
            uses=USES,
            content=form,
            **mine,
        )
    )
    tx.session.flush()
    add(row(Instance, id="ins_1", definition_id="def_1", status="running", subject="pay_1", **mine))
    tx.session.flush()
    add(
        row(
            Payment,
            id="pay_1",
            status="processing",
            currency="EUR",
            capture_method="automatic",
            amount=100,
            instance_id="ins_1",
            **mine,
        )
    )
    tx.session.flush()
    add(row(Refund, id="ref_1", payment_id="pay_1", status="pending", currency="EUR", **mine))
    add(row(Dispute, id="dis_1", payment_id="pay_1", stage="chargeback", status="needs_response", **mine))
    add(row(Task, id="tsk_1", instance_id="ins_1", status="open", form_id="def_2", subject="pay_1", **mine))
    add(row(Incident, id="inc_1", instance_id="ins_1", status="open", **mine))
    totals = {"before": {}, "after": {}, "left_out": 0}
    add(row(Migration, id="mig_1", process="p", from_id="def_1", to_id="def_1", plan=totals, **mine))
    tx.session.flush()
    add(row(Move, migration_id="mig_1", instance_id="ins_1", status="skipped", reasons={"reasons": []}))
    add(row(Event, id="evt_1", type="payment.created", object_id="pay_1", **mine))
    place = "webhook_endpoints/whe_1/secrets"
    add(
        row(
            WebhookEndpoint,
            id="whe_1",
            status="enabled",
            secrets={"current": sealer().seal(b"x", place)},
            url="https://a.example/",
            **mine,
        )
    )
    tx.session.flush()
    add(row(Delivery, id="dlv_1", event_id="evt_1", endpoint_id="whe_1", status="dead", log={"tries": []}, **mine))
    params = {"what": "payments", "from": None, "to": "2026-01-01T00:00:00Z"}
    add(row(LongJob, id="job_1", kind="export", status="completed", params=params, **mine))
    tx.session.flush()


@pytest.fixture
def api(build: Any, tmp_path: Path) -> Api:
    made: Api = build(*RESOURCES)
    (tmp_path / "job_1.csv").write_text("id\n")
    with made.database.begin() as tx:
        own(tx, made.merchant_id)
    return made


def codes(api: Api, routes: list[Route], key: str) -> dict[str, tuple[int, str | None]]:
    """What every route answers to this key: status, and the problem's code where it is one."""
    answers = {}
    for route in routes:
        response = send(api, route, key)
        body = response.get_json() if response.is_json else {}
        answers[route.name] = (response.status_code, body.get("code"))
    return answers


def key_with(api: Api, roles: list[Role]) -> str:
    with api.database.begin() as tx:
        return create_key(tx, system(api.merchant_id), "for a test", roles).secret


def test_no_route_answers_without_a_key(api: Api) -> None:
    assert set(codes(api, ROUTES, "").values()) == {(401, "unauthenticated")}


def test_no_route_answers_a_key_without_its_role(api: Api) -> None:
    for route in ROUTES:
        assert route.roles
        wrong = key_with(api, [role for role in Role if role not in route.roles])
        assert codes(api, [route], wrong) == {route.name: (403, "forbidden")}


def test_what_belongs_to_another_merchant_does_not_exist(api: Api) -> None:
    before = everything(api)
    found = {name: status for name, (status, _) in codes(api, WITH_PARTS, api.other_key).items() if status != 404}
    assert found == {}
    assert everything(api) == before


def test_the_owner_finds_what_others_do_not(api: Api) -> None:
    answers = codes(api, WITH_PARTS, key_with(api, list(Role)))
    assert {name for name, (status, _) in answers.items() if status in (404, 500)} == set()
    reading = {route.name for route in WITH_PARTS if route.method == "GET"}
    assert {answers[name][0] for name in reading} == {200}


def test_lists_of_another_merchant_are_empty_and_have_the_shape_of_lists(api: Api) -> None:
    for route in (one for one in ROUTES if one.listed and not one.parts):
        response = send(api, route, api.other_key)
        assert response.get_json() == {"object": "list", "data": [], "has_more": False, "next": None}


def test_what_is_answered_has_the_declared_shape(api: Api) -> None:
    key = key_with(api, list(Role))
    for route in (one for one in ROUTES if one.method == "GET" and one.response is not None):
        assert route.response is not None
        answer = send(api, route, key).get_json()
        for shown in answer["data"] if route.listed else [answer]:
            route.response.model_validate_json(orjson.dumps(shown), strict=True)


def test_routes_that_move_money_need_an_idempotency_key(api: Api) -> None:
    key = key_with(api, list(Role))
    for route in (one for one in ROUTES if one.needs_key):
        wanted = request_for(route)
        headers = {"Authorization": f"Bearer {key}"}
        response = api.client.open(wanted.path, method="POST", headers=headers, **wanted.options)
        assert (response.status_code, response.get_json()["code"]) == (400, "idempotency_key_required")


def test_every_way_to_move_money_needs_an_idempotency_key() -> None:
    money = ("/v1/payments", "/v1/refunds", "/v1/disputes")
    free = {route.name for route in ROUTES if route.method == "POST" and not route.needs_key}
    assert {route.name for route in ROUTES if route.path.startswith(money)} & free == {"put_evidence"}


def test_a_payment_whose_flow_ended_half_way_refuses_as_declared(api: Api) -> None:
    key = key_with(api, list(Role))
    with api.database.begin() as tx:
        tx.execute(update(Instance).values(status="completed", ended_at=THEN))
        unknown = {"operation": "authorize", "state": "begun", "gateway": "sandbox_a", "amount": 100}
        tx.session.add(
            row(Attempt, id="att_1", merchant_id=api.merchant_id, payment_id="pay_1", instance_id="ins_1", **unknown)
        )
    refusing = [route for route in ROUTES if route.name in ("capture_payment", "cancel_payment")]
    assert codes(api, refusing, key) == {
        "capture_payment": (409, "not_capturable"),
        "cancel_payment": (409, "outcome_open"),
    }
    for route in refusing:
        assert send(api, route, key).get_json()["code"] in {error.code for error in errors_of(route)}


@pytest.mark.parametrize("number", ["4242 4242 4242 4242", 4242424242424242])
def test_no_route_takes_a_card_number_in_its_body(api: Api, number: str | int) -> None:
    key = key_with(api, list(Role))
    before = everything(api)
    for route in (one for one in ROUTES if one.method != "GET" and not isinstance(one.body, Upload)):
        wanted = request_for(route)
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "k"}
        body = {**(route.example or {}), "data": {"typed": [number]}}
        response = api.client.open(wanted.path, method=route.method, headers=headers, json=body)
        problem = response.get_json()
        assert (route.name, problem["code"], "4242" in str(problem)) == (route.name, "card_number_refused", False)
        assert [one["field"] for one in problem["errors"]] == ["data.typed.0"]
    assert everything(api) == before


def everything(api: Api) -> dict[str, int]:
    """How many rows each table has, but for those that every request may write."""
    with api.database.begin() as tx:
        return {
            table.name: tx.execute(text(f"SELECT count(*) FROM {table.name}")).scalar_one()  # noqa: S608
            for table in Base.metadata.sorted_tables
            if table.name != "idempotency_keys"
        }


def test_the_document_describes_every_route_and_refers_to_nothing_missing(api: Api) -> None:
    described = api.client.get("/openapi.json").get_json()
    assert described == orjson.loads(orjson.dumps(document(RESOURCES, "http://127.0.0.1:8080")))
    assert described["openapi"] == "3.1.0"
    operations = {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
    assert operations == {(route.path, route.method) for route in ROUTES}
    names = [item["operationId"] for methods in described["paths"].values() for item in methods.values()]
    assert len(set(names)) == len(names)
    assert set(described["webhooks"]) == set(EVENT_TYPES)
    assert not {ref for ref in references(described) if not resolves(described, ref)}
    for event in EVENT_TYPES.values():
        assert event.schema in described["components"]["schemas"]


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own_ref = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own_ref.union(*(references(value) for value in node.values()))
    return set().union(*(references(item) for item in node)) if isinstance(node, list) else set()


def resolves(described: dict[str, Any], reference: str) -> bool:
    node: Any = described
    for part in reference.removeprefix("#/").split("/"):
        node = node.get(part) if isinstance(node, dict) else None
    return node is not None


@pytest.mark.parametrize("route", [r for r in ROUTES if r.example is not None], ids=lambda route: route.name)
def test_the_example_of_a_route_is_a_valid_body(route: Route) -> None:
    assert isinstance(route.body, type)
    route.body.model_validate_json(orjson.dumps(route.example))


def test_the_reference_shows_every_route_and_loads_nothing_from_elsewhere(api: Api) -> None:
    page = api.client.get("/docs")
    html = page.get_data(as_text=True)
    assert page.status_code == 200
    for route in ROUTES:
        assert f'id="{route.name}"' in html
    assert "<script" not in html
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    with api.client.get("/docs/reference.css") as style:
        assert style.content_type.startswith("text/css")


def test_every_problem_has_a_page(api: Api) -> None:
    index = api.client.get("/problems").get_data(as_text=True)
    for code, kind in known_problems().items():
        page = api.client.get(f"/problems/{code}")
        assert page.status_code == 200
        assert str(kind.status) in page.get_data(as_text=True)
        assert f"/problems/{code}" in index
    assert api.client.get("/problems/no_such_code").status_code == 404
