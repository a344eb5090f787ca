"""Deploying, starting, telling and ending processes over HTTP."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.conftest import client
from tests.api.web import PROCESS, Web, web
from tests.fixtures_sandbox import sandbox
from tests.house import house

assert client
assert sandbox
assert house
assert web


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


def test_definitions_are_published_together_by_another_or_not_at_all(web: Web) -> None:
    drafts = []
    for name in ("parcel", "letter"):
        text = PROCESS.replace('"parcel"', f'"{name}"')
        made = web.send("POST", "/v1/definitions", "analyst", data=text, content_type="text/xml").get_json()["data"]
        drafts += [one["id"] for one in made]
    body = {"definitions": drafts}
    assert web.post("/v1/definitions/publish", body, "analyst").get_json()["code"] == "four_eyes"
    nobodys = web.post("/v1/definitions/publish", {"definitions": [*drafts, "def_none"]}, "analyst2")
    assert (nobodys.status_code, web.get("/v1/definitions?key=parcel", "analyst")["data"][0]["status"]) == (
        404,
        "draft",
    )
    assert web.post("/v1/definitions/publish", {"definitions": []}, "analyst2").status_code == 422
    first = web.post("/v1/definitions/publish", body, "analyst2", key="both")
    assert [(one["key"], one["status"]) for one in first.get_json()["data"]] == [
        ("parcel", "published"),
        ("letter", "published"),
    ]
    again = web.post("/v1/definitions/publish", body, "analyst2", key="both")
    assert (again.headers["Idempotent-Replayed"], again.data) == ("true", first.data)


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
    assert web.get("/v1/occasions?after=parcel") == {"object": "list", "data": [], "has_more": False, "next": None}
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


def test_a_finding_that_can_be_corrected_by_the_command_says_so(web: Web) -> None:
    bad = PROCESS.replace(' isExecutable="true"', "")
    answer = web.send("POST", "/v1/definitions/lint", "analyst", data=bad, content_type="application/xml")
    assert [(one["code"], one["fixable"]) for one in answer.get_json()["findings"] if one["severity"] == "error"] == [
        ("not_executable", True)
    ]
