"""Every finding of the gate on a diagram that deserves it, and silence on diagrams that deserve none."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.engine.lint import Upload, lint
from app.engine.lint.refused import ELEMENTS as REFUSED
from tests.engine.lint.cases import UNKNOWN, Case, all_cases, one, retried
from tests.engine.lint.draw import (
    FORM,
    KNOWN,
    TABLE,
    boundary,
    bpmn,
    call,
    element,
    end,
    error,
    error_event,
    findings,
    flow,
    message,
    message_event,
    path,
    rule,
    script,
    service,
    start,
    timer_event,
    user,
)

LINT = Path(__file__).parents[3] / "app" / "engine" / "lint"


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: f"{case.code}-{case.element}")
def test_a_wrong_diagram_is_told_its_element_and_a_way_out(case: Case) -> None:
    found = [one for one in findings(case.content) if one.code == case.code and one.element == case.element]
    assert found, [f"{one.code} {one.element}: {one.message}" for one in findings(case.content)]
    assert found[0].severity == case.severity
    assert found[0].message
    assert found[0].remedy.endswith((".", "?"))
    assert found[0].file == "flow.bpmn"


def test_every_finding_has_a_diagram_that_deserves_it() -> None:
    written = {
        code
        for source in LINT.glob("*.py")
        for code in re.findall(r'\b(?:error|warning)\(\s*"([a-z_]+)"', source.read_text())
    }
    elsewhere = {
        "unreadable_file",
        "unknown_file_kind",
        "too_many_files",
        "duplicate_key",
        "invalid_form",
        "engine_refused",
    }
    assert written - elsewhere - {case.code for case in all_cases()} == set()


def everything() -> bytes:
    """Every element of the dialect in one sound diagram."""
    names = ["start", "check", "rate", "g", "reserve", "take", "fork"]
    gateway = '<bpmn:exclusiveGateway id="g" name="Risky?" default="g-reserve"/>'
    look = '<bpmn:inclusiveGateway id="g2" name="More?" default="g2-all"/>'
    parallel = '<bpmn:parallelGateway id="fork" name="Fork"/><bpmn:parallelGateway id="join" name="Join"/><bpmn:exclusiveGateway id="met"/>'
    race = '<bpmn:eventBasedGateway id="race" name="Race"/>'
    wait = element("intermediateCatchEvent", "wait", message_event())
    late = element("intermediateCatchEvent", "late", timer_event("=duration(limit)"))
    gone = element("intermediateThrowEvent", "tell", message_event())
    loop = (
        "<bpmn:multiInstanceLoopCharacteristics isSequential='true'><bpmn:extensionElements>"
        "<zeebe:loopCharacteristics inputCollection='=items' inputElement='item'/></bpmn:extensionElements>"
        "</bpmn:multiInstanceLoopCharacteristics>"
    )
    inside = start("in") + script("each").replace("</bpmn:scriptTask", f"{loop}</bpmn:scriptTask")
    inside += end("out", "<bpmn:terminateEventDefinition/>") + path("in", "each", "out")
    receive = '<bpmn:receiveTask id="hear" name="Hear" messageRef="news"/>'
    codes = ("unknown", "hard")
    caught = "".join(
        boundary(f"{host}-{code}", host, error_event(code))
        + path(f"{host}-{code}", "failed" if host == "undo" else "look")
        for host in ("reserve", "take", "undo")
        for code in codes
    )
    return bpmn(
        start(),
        script("check", '={"a": amount * 2}', "checked"),
        rule("rate", "risk-score"),
        gateway,
        user("ask", more='<zeebe:taskSchedule dueDate="PT4H"/><zeebe:priorityDefinition priority="80"/>'),
        service("reserve", "payment.authorize", ("=amount", "amount"), ("sandbox", "gateway")),
        service("take", "payment.capture"),
        service("undo", "payment.void"),
        call("look", "child"),
        parallel, race, wait, late, gone, look, receive,
        element("subProcess", "all", inside),
        boundary("slow", "hear", timer_event("PT1H")),
        boundary("remind", "ask", timer_event("R/PT1H", "timeCycle"), cancelActivity="false"),
        boundary("over", "all", timer_event("2030-01-31T09:00:00Z", "timeDate")),
        caught,
        end(), end("failed", error_event("hard")), end("told", message_event()),
        path(*names), path("fork", "race", "wait", "met", "join", "g2"), path("race", "late", "undo", "met"),
        path("fork", "hear", "join"), path("slow", "failed"), path("remind", "tell", "told"), path("over", "end"),
        flow("g-reserve2", "g", "ask", '=outcome.score > 70').replace("> 70", "&gt; 70"),
        path("ask", "end"), path("look", "end"),
        flow("g2-all", "g2", "all"), flow("g2-end", "g2", "end", "=done"), path("all", "end"),
        before=error("unknown", "OUTCOME_UNKNOWN") + error("hard", "HARD_DECLINE") + message(),
    )  # fmt: skip


def test_a_sound_diagram_of_every_element_passes_in_silence() -> None:
    assert [f"{one.code} {one.element}: {one.message}" for one in findings(everything())] == []
