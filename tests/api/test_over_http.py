"""What systems and people can do over HTTP, with the real flows, gateways and worker behind it."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.access.actor import Role
from app.access.api_keys import create_key, create_token
from app.access.users import find_user
from app.api.context import ApiContext
from app.api.resources.disputes import DisputeView
from app.api.resources.instances import InstanceView
from app.api.resources.payments import PaymentView
from app.api.resources.refunds import RefundView
from app.api.resources.tasks import TaskView
from app.api.server import create_api
from app.events.endpoints import Endpoints
from app.events.webhooks import Webhooks
from app.jobs.exports import Exports
from app.kit.http import HttpClient
from app.payments import webhooks as payment_webhooks
from tests.api.conftest import client
from tests.fixtures_sandbox import sandbox
from tests.house import MERCHANT, House, house

assert client
assert sandbox
assert house

PROCESS = """<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL"
    xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC"
    xmlns:di="http://www.omg.org/spec/DD/20100524/DI" xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI"
    id="d" targetNamespace="urn:test">
  <bpmn:message id="m" name="parcel.delivered">
    <bpmn:extensionElements><zeebe:subscription correlationKey="=parcel"/></bpmn:extensionElements>
  </bpmn:message>
  <bpmn:process id="parcel" name="Parcel" isExecutable="true">
    <bpmn:startEvent id="start"><bpmn:outgoing>f1</bpmn:outgoing></bpmn:startEvent>
    <bpmn:sequenceFlow id="f1" sourceRef="start" targetRef="wait"/>
    <bpmn:intermediateCatchEvent id="wait" name="Parcel is delivered">
      <bpmn:incoming>f1</bpmn:incoming><bpmn:outgoing>f2</bpmn:outgoing>
      <bpmn:messageEventDefinition messageRef="m"/>
    </bpmn:intermediateCatchEvent>
    <bpmn:sequenceFlow id="f2" sourceRef="wait" targetRef="end"/>
    <bpmn:endEvent id="end"><bpmn:incoming>f2</bpmn:incoming></bpmn:endEvent>
  </bpmn:process>
  <bpmndi:BPMNDiagram id="diagram"><bpmndi:BPMNPlane id="plane" bpmnElement="parcel">
    <bpmndi:BPMNShape id="s1" bpmnElement="start"><dc:Bounds x="0" y="0" width="36" height="36"/></bpmndi:BPMNShape>
    <bpmndi:BPMNShape id="s2" bpmnElement="wait"><dc:Bounds x="100" y="0" width="36" height="36"/></bpmndi:BPMNShape>
    <bpmndi:BPMNShape id="s3" bpmnElement="end"><dc:Bounds x="200" y="0" width="36" height="36"/></bpmndi:BPMNShape>
    <bpmndi:BPMNEdge id="e1" bpmnElement="f1">
      <di:waypoint x="36" y="18"/><di:waypoint x="100" y="18"/>
    </bpmndi:BPMNEdge>
    <bpmndi:BPMNEdge id="e2" bpmnElement="f2">
      <di:waypoint x="136" y="18"/><di:waypoint x="200" y="18"/>
    </bpmndi:BPMNEdge>
  </bpmndi:BPMNPlane></bpmndi:BPMNDiagram>
</bpmn:definitions>
"""


@dataclass
class Web:
    """HTTP requests by role; every answer that is a known object is checked against its declared shape."""

    app: Flask
    house: House
    keys: dict[str, str]
    numbers: Any

    def send(self, method: str, path: str, who: str = "shop", **options: Any) -> TestResponse:
        key = options.pop("key", f"key-{next(self.numbers)}")
        headers = {"Authorization": f"Bearer {self.keys[who]}", "Idempotency-Key": key, **options.pop("headers", {})}
        response = self.app.test_client().open(path, method=method, headers=headers, **options)
        check_shape(response)
        return response

    def post(self, path: str, body: dict[str, Any] | None = None, who: str = "shop", **options: Any) -> TestResponse:
        return self.send("POST", path, who, json=body or {}, **options)

    def get(self, path: str, who: str = "shop") -> Any:
        return self.send("GET", path, who).get_json()

    def pay(self, method: str = "pm_card_visa", **more: Any) -> str:
        body = {"amount": 1000, "currency": "EUR", "payment_method": method, **more}
        made = self.post("/v1/payments", body)
        assert made.status_code == 201, made.get_data(as_text=True)
        self.house.run()
        return str(made.get_json()["id"])


SHAPES = {
    "payment": PaymentView,
    "refund": RefundView,
    "dispute": DisputeView,
    "task": TaskView,
    "instance": InstanceView,
}


def check_shape(response: TestResponse) -> None:
    shown = response.get_json() if response.content_type == "application/json" else {}
    for one in shown["data"] if shown.get("object") == "list" else [shown]:
        if one.get("object") in SHAPES:
            SHAPES[one["object"]].model_validate_json(orjson.dumps(one), strict=True)


@pytest.fixture
def web(house: House, client: HttpClient, tmp_path: Path) -> Web:
    endpoints = Endpoints(house.wired.sealer, allow_private=True)
    context = ApiContext(
        database=house.database,
        sealer=house.wired.sealer,
        wait_until_rest=lambda _instance, _seconds: house.run(),
        receive_webhook=lambda tx, gateway, headers, body: payment_webhooks.receive(
            tx, house.wired.gateways, gateway, headers, body
        ),
        endpoints=endpoints,
        webhooks=Webhooks(endpoints, client, allow_private=True),
        exports=Exports(house.database, tmp_path),
    )
    app = Flask("api-over-http")
    app.register_blueprint(create_api(context))
    keys = {}
    roles = {"reviewer": Role.REVIEWER, "reviewer2": Role.REVIEWER, "analyst": Role.ANALYST, "analyst2": Role.ANALYST}
    for name, role in {**roles, "operator": Role.OPERATOR}.items():
        actor = house.person(name, role)
        with house.database.begin() as tx:
            keys[name] = create_token(tx, find_user(tx, actor, actor.id), "test").secret
    with house.database.begin() as tx:
        keys["shop"] = create_key(tx, house.system, "shop", [Role.INTEGRATOR]).secret
    return Web(app, house, keys, count())


def test_a_payment_is_answered_paid_when_the_caller_waits(web: Web) -> None:
    body = {"amount": 1250, "currency": "EUR", "payment_method": "pm_card_visa", "reference": "order-1"}
    paid = web.post("/v1/payments", body, key="k", headers={"Prefer": "wait=5"})
    assert paid.status_code == 201
    assert paid.headers["Preference-Applied"] == "wait"
    shown = paid.get_json()
    assert (shown["status"], shown["amount_captured"], shown["reference"]) == ("succeeded", 1250, "order-1")
    assert shown["instance"]["process"] == "card-payment"
    assert [attempt["operation"] for attempt in shown["attempts"]] == ["authorize", "capture"]
    again = web.post("/v1/payments", body, key="k", headers={"Prefer": "wait=5"})
    assert (again.data, again.headers["Idempotent-Replayed"]) == (paid.data, "true")
    assert web.get(f"/v1/payments/{shown['id']}") == shown


def test_twenty_equal_requests_at_once_are_one_payment_and_one_charge(web: Web) -> None:
    body = {"amount": 1250, "currency": "EUR", "payment_method": "pm_card_visa"}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: web.post("/v1/payments", body, key="same"), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.get_json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    web.house.run()
    assert [charge["captured"] for charge in web.house.charges()] == [1250]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": 12.5}, "amount"),
        ({"currency": "XXX"}, "currency"),
        ({"payment_method": "4242424242424242"}, "payment_method"),
        ({"capture_method": "later"}, "capture_method"),
        ({"metadata": {"n": 1}}, "metadata.n"),
        ({"colour": "red"}, "colour"),
        ({"customer": {"email": "nobody"}}, "customer.email"),
    ],
)
def test_a_wrong_payment_is_refused_by_field_and_nothing_is_created(
    web: Web, change: dict[str, Any], field: str
) -> None:
    body = {"amount": 1250, "currency": "EUR", "payment_method": "pm_card_visa", **change}
    refused = web.post("/v1/payments", body)
    assert refused.status_code == 422
    assert refused.get_json()["errors"][0]["field"] == field
    assert "4242" not in refused.get_data(as_text=True)
    assert web.get("/v1/payments")["data"] == []


def test_a_payment_is_confirmed_captured_in_part_and_refunded(web: Web) -> None:
    payment = web.pay(capture_method="manual", confirm=False)
    assert web.get(f"/v1/payments/{payment}")["status"] == "requires_confirmation"
    assert web.post(f"/v1/payments/{payment}/confirm").status_code == 200
    web.house.run()
    assert web.get(f"/v1/payments/{payment}")["amount_capturable"] == 1000
    over = web.post(f"/v1/payments/{payment}/capture", {"amount": 1001})
    assert (over.status_code, over.get_json()["amount_capturable"]) == (409, 1000)
    captured = web.post(f"/v1/payments/{payment}/capture", {"amount": 600}, headers={"Prefer": "wait=5"})
    assert (captured.get_json()["status"], captured.get_json()["amount_captured"]) == ("partially_captured", 600)
    refund = web.post("/v1/refunds", {"payment": payment, "amount": 250}, headers={"Prefer": "wait=5"})
    assert (refund.status_code, refund.get_json()["status"]) == (201, "succeeded")
    more = web.post("/v1/refunds", {"payment": payment, "amount": 351})
    assert (more.get_json()["code"], more.get_json()["amount_refundable"]) == ("refund_exceeds_captured", 350)
    assert web.get(f"/v1/payments/{payment}")["amount_refunded"] == 250
    assert [one["amount"] for one in web.get(f"/v1/refunds?payment={payment}")["data"]] == [250]
    web.house.check_books()


def test_an_authorization_is_canceled(web: Web) -> None:
    payment = web.pay(capture_method="manual")
    canceled = web.post(f"/v1/payments/{payment}/cancel", {"reason": "abandoned"}, headers={"Prefer": "wait=5"})
    assert canceled.get_json()["status"] == "canceled"
    again = web.post(f"/v1/payments/{payment}/cancel", {"reason": "abandoned"})
    assert (again.status_code, again.get_json()["code"]) == (409, "illegal_transition")


def test_lists_are_read_page_by_page_without_gaps(web: Web) -> None:
    made = [web.pay(confirm=False, reference=f"order-{number}") for number in range(5)]
    seen, after = [], ""
    while True:
        page = web.get(f"/v1/payments?limit=2{after}")
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert seen == made[::-1]
    assert [one["reference"] for one in web.get("/v1/payments?search=order-3")["data"]] == ["order-3"]
    assert web.get("/v1/payments?status=succeeded")["data"] == []


def test_a_flagged_payment_is_decided_by_a_person_once(web: Web) -> None:
    payment = web.pay("pm_card_high_risk")
    assert web.get(f"/v1/payments/{payment}")["status"] == "requires_review"
    [task] = web.get(f"/v1/tasks?subject={payment}", "reviewer")["data"]
    assert (task["status"], task["payment"], "approve" in task["decisions"]) == ("open", payment, True)
    decision = {"decision": "approve", "reason": "customer_confirmed", "note": "She called."}

    machine = web.post(f"/v1/tasks/{task['id']}/complete", decision, "shop")
    assert (machine.status_code, machine.get_json()["code"]) == (403, "forbidden")
    assert web.post(f"/v1/tasks/{task['id']}/claim", who="reviewer").get_json()["status"] == "claimed"
    taken = web.post(f"/v1/tasks/{task['id']}/complete", decision, "reviewer2")
    assert (taken.status_code, taken.get_json()["code"]) == (409, "task_taken")
    assert (taken.get_json()["name"], taken.get_json()["by"]) == ("Reviewer", web.house.person("reviewer").id)
    wrong = web.post(f"/v1/tasks/{task['id']}/complete", {"decision": "perhaps"}, "reviewer")
    assert (wrong.status_code, wrong.get_json()["errors"][0]["field"]) == (422, "decision")

    done = web.post(f"/v1/tasks/{task['id']}/complete", decision, "reviewer", key="done")
    assert done.get_json()["status"] == "completed"
    assert web.post(f"/v1/tasks/{task['id']}/complete", decision, "reviewer", key="done").data == done.data
    late = web.post(f"/v1/tasks/{task['id']}/complete", decision, "reviewer2")
    assert (late.status_code, late.get_json()["code"], late.get_json()["name"]) == (409, "task_closed", "Reviewer")
    web.house.run()
    assert web.get(f"/v1/payments/{payment}")["status"] == "succeeded"


def test_who_made_the_key_may_not_decide_what_was_asked_with_it(web: Web) -> None:
    maker = web.house.person("reviewer")
    with web.house.database.begin() as tx:
        made = create_key(tx, replace(maker, roles=frozenset({Role.ADMIN})), "till", [Role.INTEGRATOR])
    web.keys["till"] = made.secret
    body = {"amount": 1000, "currency": "EUR", "payment_method": "pm_card_high_risk"}
    payment = web.post("/v1/payments", body, "till").get_json()["id"]
    web.house.run()
    [task] = web.get(f"/v1/tasks?subject={payment}", "reviewer")["data"]
    for verb, sent in (("claim", {}), ("complete", {"decision": "approve", "reason": "customer_confirmed"})):
        refused = web.post(f"/v1/tasks/{task['id']}/{verb}", sent, "reviewer")
        assert (refused.status_code, refused.get_json()["code"]) == (403, "four_eyes")
        assert "made the key" in refused.get_json()["detail"]
    assert web.post(f"/v1/tasks/{task['id']}/claim", who="reviewer2").status_code == 200


def test_a_task_is_given_back(web: Web) -> None:
    payment = web.pay("pm_card_high_risk")
    [task] = web.get(f"/v1/tasks?subject={payment}", "reviewer")["data"]
    web.post(f"/v1/tasks/{task['id']}/claim", who="reviewer")
    assert web.post(f"/v1/tasks/{task['id']}/release", who="reviewer2").status_code == 409
    assert web.post(f"/v1/tasks/{task['id']}/release", who="reviewer").get_json()["status"] == "open"


def test_a_diagram_is_deployed_by_one_and_published_by_another(web: Web) -> None:
    deployed = web.send(
        "POST", "/v1/definitions?name=parcel.bpmn", "analyst", data=PROCESS, content_type="application/xml"
    )
    assert deployed.status_code == 201, deployed.get_data(as_text=True)
    [draft] = deployed.get_json()["data"]
    assert (draft["kind"], draft["key"], draft["version"], draft["status"]) == ("bpmn", "parcel", 1, "draft")
    content = web.send("GET", f"/v1/definitions/{draft['id']}/content", "analyst")
    assert (content.get_data(as_text=True), content.mimetype) == (PROCESS, "application/xml")
    alone = web.post(f"/v1/definitions/{draft['id']}/publish", who="analyst")
    assert (alone.status_code, alone.get_json()["code"]) == (403, "four_eyes")
    published = web.post(f"/v1/definitions/{draft['id']}/publish", who="analyst2")
    assert published.get_json()["status"] == "published"
    assert [one["key"] for one in web.get("/v1/definitions?key=parcel", "analyst")["data"]] == ["parcel"]


def test_a_diagram_that_is_refused_says_where_why_and_what_to_draw(web: Web) -> None:
    bad = PROCESS.replace('<bpmn:messageEventDefinition messageRef="m"/>', "<bpmn:signalEventDefinition/>")
    for path, status in (("/v1/definitions", 422), ("/v1/definitions/lint", 200)):
        answer = web.send("POST", path, "analyst", data=bad, content_type="application/xml")
        assert answer.status_code == status
        finding = next(one for one in answer.get_json()["findings"] if one["severity"] == "error")
        assert set(finding) >= {"code", "severity", "element", "message", "remedy"}
    assert answer.get_json()["accepted"] is False
    assert web.get("/v1/definitions?key=parcel", "analyst")["data"] == []


@pytest.fixture
def parcel(web: Web) -> Callable[[], str]:
    """Start an instance of the parcel flow."""
    [draft] = web.send("POST", "/v1/definitions", "analyst", data=PROCESS, content_type="text/xml").get_json()["data"]
    web.post(f"/v1/definitions/{draft['id']}/publish", who="analyst2")

    def start() -> str:
        made = web.post("/v1/instances", {"process": "parcel", "variables": {"parcel": "p-1"}})
        assert made.status_code == 201
        web.house.run()
        return str(made.get_json()["id"])

    return start


def test_any_process_is_started_watched_and_sent_messages(web: Web, parcel: Callable[[], str]) -> None:
    instance = parcel()
    shown = web.get(f"/v1/instances/{instance}")
    assert shown["status"] == "waiting"
    [wait] = shown["waits"]
    assert (wait["element"], wait["kind"], wait["message"]) == ("wait", "message", "parcel.delivered")
    assert [entry["element"] for entry in shown["path"]] == ["start", "f1", "wait"]
    message = {"name": "parcel.delivered", "correlation": "p-1", "variables": {"signed": True}, "dedupe": "1"}
    sent = web.post(f"/v1/instances/{instance}/messages", message)
    assert (sent.status_code, sent.get_json()["accepted"]) == (202, True)
    assert web.post(f"/v1/instances/{instance}/messages", message).get_json()["accepted"] is False
    web.house.run()
    assert web.get(f"/v1/instances/{instance}")["status"] == "completed"
    assert web.post(f"/v1/instances/{instance}/messages", message).get_json()["code"] == "instance_ended"
    assert [one["id"] for one in web.get("/v1/instances?process=parcel&status=completed")["data"]] == [instance]


def test_a_message_starts_the_process_that_begins_with_it(web: Web) -> None:
    placed = '<bpmn:messageEventDefinition messageRef="placed"/></bpmn:startEvent>'
    begun = PROCESS.replace("</bpmn:startEvent>", placed)
    begun = begun.replace("<bpmn:process ", '<bpmn:message id="placed" name="parcel.placed"/><bpmn:process ')
    [draft] = web.send("POST", "/v1/definitions", "analyst", data=begun, content_type="text/xml").get_json()["data"]
    assert web.get("/v1/occasions")["data"] == []
    web.post(f"/v1/definitions/{draft['id']}/publish", who="analyst2")
    [occasion] = web.get("/v1/occasions")["data"]
    assert (occasion["process"], occasion["kind"], occasion["text"]) == ("parcel", "message", "parcel.placed")
    message = {"name": "parcel.placed", "correlation": "p-1", "variables": {"parcel": "p-1"}, "dedupe": "shop:1"}
    sent = web.post("/v1/messages", message)
    assert (sent.status_code, sent.get_json()["accepted"]) == (202, True)
    again = web.post("/v1/messages", message).get_json()
    assert (again["accepted"], again["instance"]) == (False, sent.get_json()["instance"])
    web.house.run()
    delivered = web.post("/v1/messages", {"name": "parcel.delivered", "correlation": "p-1"}).get_json()
    assert delivered["instance"] == sent.get_json()["instance"]
    web.house.run()
    assert web.get(f"/v1/instances/{delivered['instance']}")["status"] == "completed"
    assert web.post("/v1/messages", {"name": "payment.done"}).get_json()["code"] == "message_reserved"


@pytest.mark.parametrize("process", ["resolve-unknown", "manual-review", "card-payment", "refund"])
def test_flows_about_money_start_with_their_payment_and_not_by_themselves(web: Web, process: str) -> None:
    variables = {"payment": "pay_x", "attempt": "att_x", "ladder": [1], "amount": 1, "currency": "EUR"}
    answer = web.post("/v1/instances", {"process": process, "variables": variables})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "process_needs_subject")
    assert web.get("/v1/instances")["data"] == []

    assert [error["field"] for error in answer.get_json()["errors"]] == ["process"]


def test_nobody_but_the_house_sends_the_messages_that_its_flows_wait_for(web: Web, parcel: Callable[[], str]) -> None:
    instance = parcel()
    files = (Path(__file__).parents[2] / "workflows").rglob("*.bpmn")
    names = {
        name for file in files for name in re.findall(r'<bpmn:message id="[^"]+" name="([^"]+)"', file.read_text())
    }
    assert {"gateway.event", "capture.requested", "cancel.requested"} < names
    for name in names:
        answer = web.post(f"/v1/instances/{instance}/messages", {"name": name, "variables": {"amount": "x"}})
        assert (answer.status_code, answer.get_json()["code"]) == (403, "message_reserved")


def test_an_operator_ends_an_instance(web: Web, parcel: Callable[[], str]) -> None:
    instance = parcel()
    assert web.post(f"/v1/instances/{instance}/cancel", {"reason": "lost"}, "shop").status_code == 403
    assert web.post(f"/v1/instances/{instance}/cancel", {"reason": "lost"}, "operator").status_code == 200
    web.house.run()
    assert web.get(f"/v1/instances/{instance}")["status"] == "canceled"


def test_an_unknown_process_is_named(web: Web) -> None:
    answer = web.post("/v1/instances", {"process": "no-such"})
    assert answer.status_code in (404, 422)
    assert "no-such" in answer.get_json()["detail"]


def test_a_webhook_endpoint_is_made_changed_rotated_and_its_deliveries_sent_again(web: Web) -> None:
    made = web.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:1/hook", "event_types": ["payment.*"]})
    assert made.status_code == 201
    endpoint, secret = made.get_json()["id"], made.get_json()["secret"]
    path = f"/v1/webhook_endpoints/{endpoint}"
    assert secret not in web.send("GET", path).get_data(as_text=True)
    assert web.post(f"{path}/rotate_secret").get_json()["secret"] not in ("", secret)
    changed = web.send("PATCH", path, json={"event_types": ["payment.created"]})
    assert changed.get_json()["event_types"] == ["payment.created"]
    unknown = web.send("PATCH", path, json={"event_types": ["payment.created", "payment.nonsense"]})
    assert unknown.get_json()["errors"][0]["field"] == "event_types.1"
    web.pay(confirm=False)
    web.house.run()
    [delivery] = web.get(f"{path}/deliveries")["data"]
    again = web.post(f"/v1/deliveries/{delivery['id']}/resend")
    assert (again.status_code, again.get_json()["status"]) == (202, "pending")
    assert web.send("PATCH", path, json={"enabled": False}).get_json()["status"] == "disabled"
    disabled = web.post(f"/v1/deliveries/{delivery['id']}/resend")
    assert (disabled.status_code, disabled.get_json()["code"]) == (409, "webhook_endpoint_disabled")


def test_events_tell_what_happened_to_an_object_in_order(web: Web) -> None:
    payment = web.pay()
    events = web.get(f"/v1/events?object_id={payment}")["data"][::-1]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "payment.created"
    assert events[-1]["data"]["status"] == "succeeded"
    assert web.get(f"/v1/events/{events[0]['id']}") == events[0]


def test_the_ledger_is_readable_and_balances(web: Web) -> None:
    payment = web.pay()
    accounts = web.get("/v1/ledger/accounts")["data"]
    assert {"psp:sandbox_a:clearing", "merchant:payable"} <= {account["name"] for account in accounts}
    assert sum(account["posted"] for account in accounts) == 0
    entries = web.get(f"/v1/ledger/entries?payment={payment}")["data"]
    assert sum(entry["amount"] for entry in entries) == 0
    first = web.get("/v1/ledger/entries?limit=1")
    rest = web.get(f"/v1/ledger/entries?after={first['next']}")
    assert [one["id"] for one in first["data"] + rest["data"]] == [one["id"] for one in entries]
    assert web.send("GET", "/v1/ledger/entries?after=x").status_code == 422


def test_a_gateways_webhook_needs_its_signature_and_no_key(web: Web) -> None:
    client = web.app.test_client()
    forged = client.post("/webhooks/sandbox_a", data=b"{}", headers={"webhook-id": "1", "webhook-timestamp": "1"})
    assert (forged.status_code, forged.content_type) == (401, "application/problem+json")
    assert client.post("/webhooks/nobody", data=b"{}").status_code == 404
    assert client.post("/webhooks/sandbox_a", data=b"x" * (1024 * 1024 + 1)).status_code == 413


def test_a_key_sees_its_own_merchant_only(web: Web) -> None:
    payment = web.pay(confirm=False)
    assert web.house.payment(payment).merchant_id == MERCHANT
    assert [one["id"] for one in web.get("/v1/payments", "operator")["data"]] == [payment]
