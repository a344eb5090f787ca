"""Every finding of the gate on a diagram that deserves it, and silence on diagrams that deserve none."""

import re
from pathlib import Path

import pytest
from lxml import etree

from app.engine.lint.model import FLOW_NODES
from app.engine.lint.refused import ELEMENTS as REFUSED
from app.engine.xml import BPMN, ZEEBE, local_name, read
from tests.engine.lint.cases import UNKNOWN, Case, all_cases, one, retried, reviewed
from tests.engine.lint.draw import (
    boundary,
    bpmn,
    call,
    element,
    end,
    error,
    error_event,
    findings,
    flow,
    mapped,
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
    parallel = '<bpmn:parallelGateway id="fork" name="Fork"/><bpmn:parallelGateway id="join" name="Join"/>'
    met = '<bpmn:exclusiveGateway id="met"/>'
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
        parallel, met, race, wait, late, gone, look, receive,
        element("subProcess", "all", inside),
        boundary("slow", "hear", timer_event("PT1H")),
        boundary("remind", "ask", timer_event("R/PT1H", "timeCycle"), cancelActivity="false"),
        boundary("over", "all", timer_event("2030-01-31T09:00:00Z", "timeDate")),
        caught,
        end(), end("failed", error_event("hard")), end("told", message_event()),
        path(*names), path("fork", "race", "wait", "met", "join", "g2"), path("race", "late", "undo", "met"),
        path("fork", "hear", "join"), path("slow", "failed"), path("remind", "tell", "told"), path("over", "end"),
        flow("g-reserve2", "g", "ask", "=outcome.score > 70").replace("> 70", "&gt; 70"),
        path("ask", "end"), path("look", "end"),
        flow("g2-all", "g2", "all"), flow("g2-end", "g2", "end", "=done"), path("all", "end"),
        before=error("unknown", "OUTCOME_UNKNOWN") + error("hard", "HARD_DECLINE") + message(),
    )  # fmt: skip


def test_a_sound_diagram_of_every_element_passes_in_silence() -> None:
    assert [f"{one.code} {one.element}: {one.message}" for one in findings(everything())] == []


@pytest.mark.parametrize(
    ("event", "before"),
    [
        (message_event(), message(key="")),
        (message_event(), message()),
        (timer_event("2030-01-31T09:00:00Z", "timeDate"), ""),
        (timer_event("R/P1D", "timeCycle"), ""),
        (timer_event("R5/PT1M", "timeCycle"), ""),
        (timer_event("R/2030-01-31T09:00:00Z/P1D", "timeCycle"), ""),
        (timer_event('=now() + duration("P1D")', "timeDate"), ""),
    ],
)
def test_what_starts_by_itself_passes_in_silence(event: str, before: str) -> None:
    begin = element("startEvent", "start", event)
    drawn = bpmn(begin, script("a"), end(), path("start", "a", "end"), before=before)
    assert [f"{one.code} {one.element}: {one.message}" for one in findings(drawn)] == []


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ('=now() + duration("PT4H")', "timeDate"),
        ('=date and time(today(), time("09:00:00Z"))', "timeDate"),
        ('=@"2030-01-01T09:00:00Z"', "timeDate"),
        ('=duration("PT5M") * 2', "timeDuration"),
        ('="PT5M"', "timeDuration"),
        ("=if fast then 5 else null", "timeDuration"),
        ('=if now() > date and time("2020-01-01T00:00:00Z") then "PT5M" else null', "timeDuration"),
        ("=string join(for i in 1..9000 return string(i)) + limit", "timeDuration"),
        ("=count(for i in 1..9000 return i)", "timeDuration"),
    ],
)
def test_an_expression_that_gives_a_time_or_whose_value_only_a_run_can_tell_passes_in_silence(
    text: str, tag: str
) -> None:
    drawn = one(element("intermediateCatchEvent", "wait", timer_event(text, tag)), name="wait")
    assert [f"{one.code}: {one.message}" for one in findings(drawn)] == []


@pytest.mark.parametrize("name", ["date", "count", "item", "not", "_", "typename", "nullable", "in_time"])
def test_a_variable_may_be_called_like_a_function_or_begin_like_a_word_of_feel(name: str) -> None:
    assert codes(one(script("a", result=name))) == []


@pytest.mark.parametrize("retries", ["0", "10", "=3", "=if urgent then 9 else 1"])
def test_how_often_a_failure_is_tried_again_may_be_computed(retries: str) -> None:
    drawn = service("a", "risk.record", ("=1", "amount")).replace('retries="3"', f'retries="{retries}"')
    assert codes(one(drawn)) == []


def codes(content: bytes, name: str = "flow.bpmn") -> list[str]:
    return [finding.code for finding in findings(content, name=name)]


def remedy(content: bytes, code: str) -> str:
    return next(finding.remedy for finding in findings(content) if finding.code == code)


@pytest.mark.parametrize(
    ("content", "code", "suggestion"),
    [
        (one(service("a", "payment.authorise")), "unknown_operation", "Did you mean 'payment.authorize'?"),
        (one(service("a", "risk.record", ("x", "gatewy"))), "unknown_parameter", "Did you mean 'gateway'?"),
        (one(service("a", "payment.capture", ("x", "y"))), "unknown_parameter", "takes no parameters"),
        (one(call("a", "chlid")), "unknown_process", "Did you mean 'child'?"),
        (one(rule("a", "risk-scroe")), "unknown_decision", "Did you mean 'risk-score'?"),
        (one(user("a", form="revew")), "unknown_form", "Did you mean 'review'?"),
        (one(script("a", "=coutn([1])")), "unknown_function", 'Did you mean "count"?'),
        (one(script("a", "=x == None")), "invalid_expression", "FEEL, not program code"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(content: bytes, code: str, suggestion: str) -> None:
    assert suggestion in remedy(content, code)


BOUND = {
    "calledElement": call("a", "child").replace("processId", 'bindingType="deployment" processId'),
    "formDefinition": user("a").replace("formId", 'bindingType="deployment" formId'),
    "calledDecision": rule("a", "risk-score").replace("decisionId", 'bindingType="deployment" decisionId'),
}


@pytest.mark.parametrize("drawn", BOUND.values(), ids=BOUND)
def test_versions_are_pinned_and_any_other_binding_is_told_so(drawn: str) -> None:
    assert codes(one(drawn)) == []
    for other in ("latest", "versionTag"):
        refused = one(drawn.replace('"deployment"', f'"{other}"'))
        assert "versions are pinned" in remedy(refused, "unsupported_attribute")


def test_a_message_thrown_as_camunda_draws_it_is_told_both_ways_out() -> None:
    job = '<zeebe:taskDefinition type="risk.record"/>'
    thrown = f'<bpmn:messageEventDefinition messageRef="news"><bpmn:extensionElements>{job}</bpmn:extensionElements>'
    drawn = element("intermediateThrowEvent", "a", f"{thrown}</bpmn:messageEventDefinition>")
    told = remedy(one(drawn, before=message(key="")), "unsupported_extension")
    assert "send task" in told
    assert "subscription correlation key" in told


def test_an_error_in_an_expression_names_line_and_column() -> None:
    finding = next(one for one in findings(one(script("a", "=1 +&#10;  * 2"))) if one.code == "invalid_expression")
    assert "line 2, column 3" in finding.message


def test_a_call_circle_is_told_with_its_way() -> None:
    finding = next(one for one in findings(one(call("a", "back-far"))) if one.code == "call_cycle")
    assert "flow → back-far → back → flow" in finding.message


def test_a_catch_all_does_not_pass_for_handling_an_unknown_outcome() -> None:
    explicit = one(
        service("a", "payment.capture"),
        boundary("b", "a", error_event("unknown")),
        boundary("c", "a", error_event()),
        path("b", "end"),
        path("c", "end"),
        before=UNKNOWN,
    )
    assert codes(explicit) == []


def test_an_unknown_outcome_may_be_handled_around_the_task() -> None:
    inner = start("in") + service("take", "payment.capture") + end("out") + path("in", "take", "out")
    caught = boundary("b", "a", error_event("unknown"))
    drawn = one(element("subProcess", "a", inner), caught, path("b", "end"), before=UNKNOWN)
    assert codes(drawn) == ["error_not_caught"]


def test_a_sub_process_can_be_left_with_the_errors_thrown_inside_it() -> None:
    failing = start("in") + end("out", error_event("hard")) + path("in", "out")
    caught = boundary("b", "a", error_event("hard"))
    drawn = one(element("subProcess", "a", failing), caught, path("b", "end"), before=error("hard", "HARD_DECLINE"))
    assert codes(drawn) == []
    other = one(element("subProcess", "a", failing), caught, path("b", "end"), before=error("hard", "OTHER"))
    assert codes(other) == []
    calm = one(script("a"), caught, path("b", "end"), before=error("hard", "OTHER"))
    assert codes(calm) == ["error_never_thrown"]


RETRIED = {"error_not_caught", "unknown_outcome_ignored"}


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (retried("=tries &lt; 3"), {*RETRIED, "loop_without_counter"}),
        (retried("=attempt = null"), RETRIED),
        (retried("=tries &lt; 3", outcome=""), RETRIED),
        (retried("=true"), {*RETRIED, "unbounded_money_loop"}),
    ],
)
def test_a_loop_around_money_is_ended_by_what_the_loop_sets(drawn: bytes, expected: set[str]) -> None:
    assert set(codes(drawn)) == expected


def test_an_authorization_closed_in_a_called_process_is_closed() -> None:
    reserve = service("a", "payment.authorize", ("=1", "amount"))
    names = path("start", "a", "c", "end") + path("b", "end")
    drawn = bpmn(
        start(), reserve, call("c", "spender"), boundary("b", "a", error_event("unknown")), end(), names, before=UNKNOWN
    )
    assert codes(drawn) == ["error_not_caught"]


def _ending(event: str, **attributes: str) -> tuple[str, str]:
    return boundary("t", "ask", event, **attributes), path("t", "end")


@pytest.mark.parametrize(
    ("review", "more", "told"),
    [
        (user("ask"), (), True),
        (user("ask"), _ending(timer_event("P7D")), False),
        (user("ask"), _ending(timer_event("P8D")), True),
        (user("ask"), _ending(timer_event("=duration(limit)")), False),
        (user("ask"), _ending(timer_event("=expires_at", "timeDate")), False),
        (user("ask"), _ending(timer_event("PT4H"), cancelActivity="false"), True),
        (element("subProcess", "ask", start("in") + user("u") + end("out") + path("in", "u", "out")), (), True),
        (
            element("subProcess", "ask", start("in") + user("u") + end("out") + path("in", "u", "out")),
            _ending(timer_event("PT4H")),
            False,
        ),
        (call("ask", "slow-people"), (), True),
        (call("ask", "slow-people"), _ending(timer_event("PT4H")), False),
        (call("ask", "child"), (), False),
    ],
)
def test_a_review_of_authorized_money_ends_before_the_authorization_does(
    review: str, more: tuple[str, ...], told: bool
) -> None:
    assert ("review_outlives_authorization" in codes(reviewed(review, *more))) is told


def test_a_review_before_or_after_the_money_is_held_may_take_its_time() -> None:
    caught = boundary("b", "a", error_event("unknown")) + boundary("d", "c", error_event("unknown"))
    reserve, capture = service("a", "payment.authorize", ("=1", "amount")), service("c", "payment.capture")
    ways = path("start", "first", "a", "c", "last", "end") + path("b", "unsure", "end") + path("d", "end")
    people = user("first") + user("last") + user("unsure")
    drawn = bpmn(start(), people, reserve, capture, caught, end(), ways, before=UNKNOWN)
    assert "review_outlives_authorization" not in codes(drawn)


def test_a_wait_with_a_timer_beside_it_is_no_wait_for_ever() -> None:
    wait = element("intermediateCatchEvent", "wait", message_event())
    race = '<bpmn:eventBasedGateway id="g" name="G"/>'
    late = element("intermediateCatchEvent", "late", timer_event())
    raced = bpmn(
        start(), race, wait, late, end(), path("start", "g", "wait", "end"), path("g", "late", "end"), before=message()
    )
    assert codes(raced) == []
    inner = start("in") + wait + end("out") + path("in", "wait", "out")
    around = one(
        element("subProcess", "a", inner), boundary("b", "a", timer_event()), path("b", "end"), before=message()
    )
    assert codes(around) == []


def test_ways_of_a_choice_that_meet_before_a_parallel_join_do_not_starve_it() -> None:
    fork = '<bpmn:parallelGateway id="p" name="P"/><bpmn:parallelGateway id="j" name="J"/>'
    choice = '<bpmn:exclusiveGateway id="g" name="G" default="g-m"/><bpmn:exclusiveGateway id="m"/>'
    ways = path("start", "p", "g", "m", "j", "end") + flow("g-a", "g", "a", "=n") + path("a", "m") + path("p", "b", "j")
    assert codes(bpmn(start(), fork, choice, script("a"), script("b"), end(), ways)) == []
    lost = ways.replace('id="a-m" sourceRef="a" targetRef="m"', 'id="a-m" sourceRef="a" targetRef="end"')
    assert codes(bpmn(start(), fork, choice, script("a"), script("b"), end(), lost)) == ["join_deadlock"]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_bpmn_has_and_the_engine_has_not_is_named_with_a_way_out(name: str) -> None:
    what, instead = REFUSED[name]
    drawn = one(script("a"), f'<bpmn:{name} id="odd"/>')
    found = [finding for finding in findings(drawn) if finding.code in ("unsupported_element", "python_script")]
    drawn_as = "flow" if name.endswith(("EventDefinition", "Characteristics")) else "odd"  # the parts show their event
    assert [finding.element for finding in found] == [drawn_as]
    assert found[0].message.startswith(what)
    assert found[0].remedy == instead


def test_pools_lanes_and_notes_are_drawing() -> None:
    pool = (
        '<bpmn:collaboration id="pools"><bpmn:participant id="us" name="Shop" processRef="flow"/>'
        '<bpmn:participant id="them" name="Customer"/>'
        '<bpmn:messageFlow id="says" sourceRef="them" targetRef="a"/></bpmn:collaboration>'
    )
    lanes = '<bpmn:laneSet id="lanes"><bpmn:lane id="lane" name="reviewer"><bpmn:flowNodeRef>a</bpmn:flowNodeRef>'
    lanes += "</bpmn:lane></bpmn:laneSet>"
    note = '<bpmn:textAnnotation id="note"><bpmn:text>Why</bpmn:text></bpmn:textAnnotation>'
    note += '<bpmn:association id="points" sourceRef="a" targetRef="note"/>'
    task = user("a").replace(' candidateGroups="reviewer"', "")
    drawn = bpmn(lanes, start(), task, end(), path("start", "a", "end"), note, before=pool)
    assert codes(drawn.replace(b'bpmnElement="flow"', b'bpmnElement="pools"')) == []


def test_properties_are_notes_at_every_node() -> None:
    root = read(everything())
    nodes = [one for one in root.iter(f"{{{BPMN}}}*") if local_name(one) in FLOW_NODES]
    for node in nodes:
        held = node.find(f"{{{BPMN}}}extensionElements")
        if held is None:
            held = etree.Element(f"{{{BPMN}}}extensionElements")
            node.insert(0, held)
        note = etree.SubElement(etree.SubElement(held, f"{{{ZEEBE}}}properties"), f"{{{ZEEBE}}}property")
        note.attrib.update({"name": "owner", "value": "risk"})
    assert FLOW_NODES - {local_name(one) for one in nodes} == {"sendTask"}
    assert codes(etree.tostring(root)) == []


def test_headers_of_an_operation_are_refused_with_what_to_use_instead() -> None:
    header = '<zeebe:taskHeaders><zeebe:header key="url" value="x"/></zeebe:taskHeaders>'
    drawn = service("a", "risk.record", ("=1", "amount")).replace("</bpmn:ext", f"{header}</bpmn:ext")
    (found,) = findings(one(drawn))
    assert found.code == "unsupported_extension"
    assert "ioMapping" in found.remedy


@pytest.mark.parametrize(("everything", "inputs"), [("true", ()), ("false", (("=1", "n"),))])
def test_what_a_called_process_gets_may_be_said_as_it_is(everything: str, inputs: tuple[tuple[str, str], ...]) -> None:
    drawn = call("a", "child").replace("processId", f'propagateAllParentVariables="{everything}" processId')
    drawn = drawn.replace("</bpmn:ext", mapped(*inputs) + "</bpmn:ext") if inputs else drawn
    assert codes(one(drawn)) == []


def test_a_warning_never_hides_what_the_schema_refuses() -> None:
    nameless = one(script("a").replace('name="A"', 'startQuantity="1"').replace('id="a"', 'id="a b"'), name="a b")
    found = {finding.code: finding.severity for finding in findings(nameless)}
    assert found["missing_name"] == "warning"
    assert found["invalid_schema"] == "error"


@pytest.mark.parametrize(
    ("between", "told"),
    [
        (script("ask"), True),
        (element("intermediateCatchEvent", "ask", timer_event()), True),
        (user("ask"), False),
        (call("ask", "child"), False),
        (element("intermediateCatchEvent", "ask", message_event()), False),
    ],
)
def test_after_an_unknown_outcome_only_evidence_leads_to_more_money(between: str, told: bool) -> None:
    drawn = bpmn(
        start(),
        service("a", "payment.capture"),
        boundary("b", "a", error_event("unknown")),
        between,
        service("again", "payment.capture"),
        boundary("c", "again", error_event("unknown")),
        end(),
        path("start", "a", "end"),
        path("b", "ask", "again", "end"),
        path("c", "end"),
        before=UNKNOWN + message(),
    )
    assert ("unknown_outcome_ignored" in codes(drawn)) is told
