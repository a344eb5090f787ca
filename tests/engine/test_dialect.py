"""Parsing: what a diagram tells about itself, and what is refused instead of being passed over."""

import random
from contextlib import suppress

import pytest
from lxml import etree

from app.engine.dialect import DiagramError, parse_diagram, upstream
from app.engine.elements import TimerKind
from tests.engine.diagrams import (
    HEAD,
    boundary,
    call,
    catch,
    chain,
    declared_error,
    draw,
    end,
    error,
    flow,
    gateway,
    header,
    many,
    node,
    rule,
    service,
    start,
    sub,
    timer,
    user,
)

WHOLE = draw(
    '<bpmn:extensionElements><zeebe:properties><zeebe:property name="sluice:subject" value="payment"/>'
    "</zeebe:properties></bpmn:extensionElements>",
    start(),
    service("a", "payment.authorize", inputs={"x": "=y"}, outputs={"a.b": "=c"}),
    boundary("late", "a", timer("timeDuration", "PT1H")),
    sub("sp", start("s2"), user("u"), end("e2"), chain("s2", "u", "e2")),
    call("c", "child"),
    rule("r", "risk", "level"),
    service("a2", "payment.authorize"),
    end(),
    chain("s", "a", "sp", "c", "r", "a2", "e"),
    chain("late", "a2"),
    process="card",
)


def test_a_diagram_tells_what_it_uses() -> None:
    diagram = parse_diagram(WHOLE)
    assert (diagram.process, diagram.name, len(diagram.content_hash)) == ("card", "Process card", 64)
    assert diagram.operations == ("payment.authorize",)
    assert diagram.called == ("child",)
    assert diagram.decisions == ("risk",)
    assert diagram.forms == ("review",)
    assert diagram.properties == {"sluice:subject": "payment"}
    assert list(diagram.elements) == ["s", "a", "late", "sp", "s2", "u", "e2", "c", "r", "a2", "e"]
    assert diagram.flows["a_sp"].target == "sp"


def test_an_element_carries_its_extension_data() -> None:
    elements = parse_diagram(WHOLE).elements
    assert (elements["u"].parent, elements["u"].form, elements["u"].name) == ("sp", "review", "Task u")
    assert (elements["a"].operation, elements["a"].boundaries) == ("payment.authorize", ("late",))
    assert elements["a"].outputs[0].target == ("a", "b")
    event = elements["late"].event
    assert event is not None
    assert event.timer is not None
    assert (event.kind, event.timer.kind, event.timer.value.text) == ("timer", TimerKind.DURATION, "PT1H")


def test_task_headers_are_kept() -> None:
    task = '<zeebe:taskDefinition type="x"/>' + header("colour", "red")
    drawn = draw(start(), node("serviceTask", "a", "", task), end(), chain("s", "a", "e"))
    assert parse_diagram(drawn).elements["a"].headers == {"colour": "red"}


def around(*parts: str) -> bytes:
    return draw(start(), *parts, end(), chain("s", "x", "e"))


REFUSED = {
    "not well-formed": b"<nonsense",
    "DOCTYPE": b'<!DOCTYPE x [<!ENTITY a "b">]>' + draw(start(), end(), chain("s", "e")),
    "0 executable processes": draw(start(), end(), chain("s", "e")).replace(b'isExecutable="true"', b""),
    "task x is not supported": around(node("task", "x")),
    "manualTask x is not supported": around(node("manualTask", "x")),
    "names no operation": around(node("serviceTask", "x")),
    "calls no process": around(node("callActivity", "x")),
    "has no message": around(node("receiveTask", "x")),
    "standard loop": around(service("x", inner="<bpmn:standardLoopCharacteristics/>")),
    "collection that is not named": around(service("x", inner="<bpmn:multiInstanceLoopCharacteristics/>")),
    "signal event": around(node("intermediateThrowEvent", "x", "<bpmn:signalEventDefinition/>")),
    "compensate event": around(node("intermediateThrowEvent", "x", "<bpmn:compensateEventDefinition/>")),
    "link event": around(node("intermediateCatchEvent", "x", "<bpmn:linkEventDefinition/>")),
    "several triggers": around(catch("x", timer("timeDuration", "PT1M") + timer("timeDuration", "PT1M"))),
    "event sub-process": around(node("subProcess", "x", start("s2"), triggeredByEvent="true")),
    "not a duration": around(catch("x", timer("timeDuration", "30 seconds"))),
    "no offset from UTC": around(catch("x", timer("timeDate", "2030-01-01T00:00:00"))),
    "only a non-interrupting boundary": around(catch("x", timer("timeCycle", "R3/PT1M"))),
    "Timer x has no time": around(catch("x", "<bpmn:timerEventDefinition/>")),
    "userTask x": around(user("x", due="tomorrow")),
    "serviceTask x": around(service("x", inputs={"a": "=(("})),
    "not on an activity": around(service("x"), boundary("b", "nobody", error())),
    "trigger of b is missing": around(service("x"), boundary("b", "x", "")),
    "trigger of x is missing": around(catch("x", "")),
    "trigger of x is error": around(catch("x", error())),
    "follows the event-based gateway": around(gateway("eventBased", "x")),
    "always interrupts": around(service("x"), boundary("b", "x", error(), interrupting="false")),
    "refers to the error": around(service("x"), boundary("b", "x", error("GONE"))),
    "does not connect": draw(start(), end(), flow("s", "nowhere")),
    "does not connect two elements of one process": draw(
        start(), sub("x", start("s2"), end("e2"), chain("s2", "e2")), end(), chain("s", "x", "e"), flow("s2", "e")
    ),
    "has a condition but leaves": draw(start(), service("x"), end(), chain("s", "x"), flow("x", "e", "=a")),
    "Several sequence flows leave": draw(
        start(), service("x"), end(), end("e2"), chain("s", "x", "e"), chain("x", "e2")
    ),
    "2 start events": draw(start(), start("s2"), end(), chain("s", "e"), chain("s2", "e")),
    "Two elements have the id": draw(start(), service("x"), service("x"), end(), chain("s", "x", "e")),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_run_is_refused_with_a_sentence(sentence: str) -> None:
    with pytest.raises(DiagramError, match=sentence) as refused:
        parse_diagram(REFUSED[sentence])
    assert refused.value.status == 422


def test_two_executable_processes_in_one_file_are_refused() -> None:
    twice = draw(start(), end(), chain("s", "e")).replace(
        b"</bpmn:definitions>", b'<bpmn:process id="q" isExecutable="true"/></bpmn:definitions>'
    )
    with pytest.raises(DiagramError, match="2 executable processes"):
        parse_diagram(twice)


def test_an_unreachable_element_is_parsed_like_any_other() -> None:
    drawn = draw(start(), service("island", "refund.create"), end(), chain("s", "e"), declare=[declared_error("X")])
    assert parse_diagram(drawn).operations == ("refund.create",)


def test_an_entity_that_points_at_a_file_is_never_read() -> None:
    attack = b'<!DOCTYPE d [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + HEAD.encode() + b"&f;</bpmn:definitions>"
    with pytest.raises(DiagramError):
        parse_diagram(attack)


def test_a_completion_condition_and_its_collection_are_read() -> None:
    drawn = draw(start(), service("x", inner=many("=list", "i", until="=done")), end(), chain("s", "x", "e"))
    loop = parse_diagram(drawn).elements["x"].loop
    assert loop is not None
    assert (loop.collection.text, loop.item, loop.sequential) == ("=list", "i", False)
    assert loop.completion is not None


def test_two_flows_may_join_the_same_two_gateways() -> None:
    drawn = draw(
        start(),
        gateway("parallel", "a"),
        gateway("parallel", "b"),
        end(),
        chain("s", "a", "b", "e"),
        flow("a", "b", name="second"),
    )
    assert parse_diagram(drawn).elements["b"].incoming == ("a_b", "second")


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_raises_nothing_but_a_diagram_error(seed: int) -> None:
    chance = random.Random(seed)
    root = etree.fromstring(WHOLE)
    for _ in range(chance.choice([1, 2, 5])):
        victim = chance.choice(list(root.iter())[1:])
        if chance.random() < 0.5 and victim.attrib:
            name = chance.choice(sorted(victim.attrib))
            if chance.random() < 0.5:
                del victim.attrib[name]
            else:
                victim.set(name, chance.choice(["", "nonsense", "=((", "s", "a"]))
        elif victim.getparent() is not None:
            victim.getparent().remove(victim)
    with suppress(DiagramError):
        assert parse_diagram(etree.tostring(root)).elements


def test_what_lies_upstream_of_a_join_ends_at_the_join_itself() -> None:
    drawn = draw(
        start(),
        gateway("exclusive", "merge"),
        gateway("parallel", "fork"),
        service("a"),
        boundary("late", "a", timer("timeDuration", "PT1H")),
        service("b"),
        gateway("parallel", "join"),
        gateway("exclusive", "g", default="g_e"),
        end(),
        chain("s", "merge", "fork", "a", "join", "g", "e"),
        chain("fork", "b", "join"),
        chain("late", "b"),
        flow("g", "merge", "=again"),
    )
    diagram = parse_diagram(drawn)
    found = upstream(diagram.elements, diagram.flows)
    assert found == {
        "a_join": {"a", "fork", "merge", "s", "g"},
        "b_join": {"b", "late", "a", "fork", "merge", "s", "g"},
    }
