"""Requests by role to the API, with the real flows, gateways and worker behind it."""

from dataclasses import dataclass
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
from tests.house import House, house

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
