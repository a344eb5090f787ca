"""One small diagram per finding: what is drawn wrongly, and which element is named for it."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.engine.lint.draw import (
    boundary,
    bpmn,
    call,
    element,
    end,
    error,
    error_event,
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

UNKNOWN = error("unknown", "OUTCOME_UNKNOWN")
WAIT = element("intermediateCatchEvent", "wait", message_event())


@dataclass(frozen=True)
class Case:
    code: str
    element: str
    content: bytes
    severity: str = "error"


def one(*inner: str, name: str = "a", before: str = "") -> bytes:
    """Start, the node `name` drawn in `inner`, end."""
    return bpmn(start(), *inner, end(), path("start", name, "end"), before=before)


def forked(default: str = 'default="g-no"', yes: str = "=n > 1", no: str | None = None) -> bytes:
    gateway = f'<bpmn:exclusiveGateway id="g" name="G" {default}/>'
    flows = flow("g-yes", "g", "a", yes or None) + flow("g-no", "g", "end", no)
    return bpmn(start(), gateway, script("a"), end(), path("start", "g"), flows, path("a", "end"))


def processes() -> Iterator[Case]:
    empty = bpmn().replace(b"bpmn:process", b"bpmn:collaboration")
    empty = empty.replace(b' isExecutable="true"', b"")
    yield Case("no_process", "flow.bpmn", empty)
    second = b'<bpmn:process id="other" isExecutable="true"/><bpmndi:BPMNDiagram'
    yield Case("several_processes", "flow.bpmn", one(script("a")).replace(b"<bpmndi:BPMNDiagram", second))
    yield Case("not_executable", "flow", one(script("a")).replace(b'isExecutable="true"', b'isExecutable="false"'))
    yield Case("missing_name", "flow", one(script("a")).replace(b'name="Flow" ', b""), "warning")
    yield Case("missing_name", "a", one(script("a").replace('name="A"', "")), "warning")
    many = [f"a{number}" for number in range(300)]
    yield Case("too_many_nodes", "flow", bpmn(start(), *map(script, many), end(), path("start", *many, "end")))
    yield Case("nested_too_deep", "s9", one(_nested(9), name="s1"))
    yield Case("duplicate_id", "a", one(script("a"), script("a")))
    yield Case("missing_id", "flow", one(script("a"), script("b").replace('id="b" ', "")))


def graph() -> Iterator[Case]:
    yield Case("no_start_event", "flow", bpmn(script("a"), end(), path("a", "end")))
    two = bpmn(start(), start("again"), end(), path("start", "end"), path("again", "end"))
    yield Case("several_start_events", "again", two)
    yield Case("unreachable", "b", one(script("a"), script("b"), path("b", "end")))
    yield Case("no_path_to_end", "b", one(script("a"), script("b"), path("a", "b")))
    yield Case("flow_into_start", "start", one(script("a"), path("a", "start")))
    yield Case("flow_out_of_end", "end", one(script("a"), path("end", "a")))
    yield Case("dangling_reference", "f", one(script("a"), flow("f", "a", "nowhere")))
    yield Case("dangling_reference", "g", forked('default="gone"'))
    yield Case("dangling_reference", "b", one(script("a"), boundary("b", "gone", timer_event()), path("b", "end")))
    yield Case(
        "dangling_reference", "a", one(script("a").replace("</bpmn:s", "<bpmn:incoming>x</bpmn:incoming></bpmn:s"))
    )
    lost = one(script("a")).replace(b'bpmnElement="a"', b'bpmnElement="gone"')
    yield Case("dangling_reference", "a_di", lost)
    pool = '<bpmn:collaboration id="c"><bpmn:participant id="us" processRef="gone"/></bpmn:collaboration>'
    yield Case("dangling_reference", "us", one(script("a"), before=pool))
    yield Case("not_drawn", "a", lost)


def branching() -> Iterator[Case]:
    yield Case("gateway_without_default", "g", forked(""))
    yield Case("flow_without_condition", "g-yes", forked(yes=""))
    yield Case("condition_on_default", "g-no", forked(no="=n"))
    yield Case("condition_not_allowed", "f", bpmn(start(), end(), flow("f", "start", "end", "=n")))
    yield Case("implicit_split", "a", one(script("a"), script("b"), path("a", "b", "end")))
    fork = '<bpmn:parallelGateway id="p" name="P"/>'
    twice = [start(), fork, script("a"), script("b"), script("c"), end(), path("start", "p", "a", "c", "end")]
    yield Case("implicit_merge", "c", bpmn(*twice, path("p", "b", "c")), "warning")
    reminded = boundary("late", "u", timer_event(), cancelActivity="false")
    met = '<bpmn:exclusiveGateway id="m" name="M"/>'
    late_as_well = path("start", "u", "m", "end") + path("late", "m")
    yield Case("implicit_merge", "m", bpmn(start(), user("u"), reminded, met, end(), late_as_well), "warning")
    join = '<bpmn:parallelGateway id="p" name="P"/>'
    choice = '<bpmn:exclusiveGateway id="g" name="G" default="g-no"/>'
    ways = flow("g-yes", "g", "a", "=n") + flow("g-no", "g", "b") + path("a", "p", "end") + path("b", "p")
    drawn = bpmn(start(), choice, script("a"), script("b"), join, end(), path("start", "g"), ways)
    yield Case("join_deadlock", "p", drawn, "warning")
    race = '<bpmn:eventBasedGateway id="g" name="G"/>'
    yield Case(
        "event_gateway", "g", bpmn(start(), race, WAIT, end(), path("start", "g", "wait", "end"), before=message())
    )
    tasks = bpmn(start(), race, script("a"), script("b"), end(), path("start", "g", "a", "end"), path("g", "b", "end"))
    yield Case("event_gateway", "a", tasks)
    each = '<zeebe:loopCharacteristics inputCollection="=[1, 2]"/>'
    inner = f"<bpmn:extensionElements>{each}</bpmn:extensionElements>"
    several = f"<bpmn:multiInstanceLoopCharacteristics>{inner}</bpmn:multiInstanceLoopCharacteristics>"
    many = element("receiveTask", "r", several, messageRef="news")
    timed = element("intermediateCatchEvent", "t", timer_event())
    won = path("start", "g", "r", "end") + path("g", "t", "end2")
    yield Case("event_gateway", "r", bpmn(start(), race, many, timed, end(), end("end2"), won, before=message()))
    late = element("intermediateCatchEvent", "late", timer_event())
    around = path("start", "g", "wait", "end") + path("g", "late", "a", "wait")
    yield Case("event_gateway", "wait", bpmn(start(), race, WAIT, late, script("a"), end(), around, before=message()))


def expressions() -> Iterator[Case]:
    yield Case("expression_required", "g-yes", forked(yes="n &gt; 1"))
    yield Case("expression_required", "a", one(script("a", "1 + 1")))
    yield Case("invalid_expression", "g-yes", forked(yes="=n == 1"))
    yield Case("invalid_expression", "g-yes", forked(yes="=__import__('os').system('x')"))
    yield Case("invalid_expression", "g-yes", forked(yes="=n = None"))
    yield Case("unknown_function", "g-yes", forked(yes='=__import__("os").system("x")'))
    yield Case("unknown_function", "a", one(script("a", "=coutn([1])")))
    yield Case("invalid_variable_name", "a", one(script("a", result="2 much")))
    yield Case(
        "invalid_variable_name", "a", one(service("a", "risk.record", ("=1", "amount"), more=_output("x", "a-b")))
    )
    for word in ("null", "true", "if", "in", "and", "function", "None"):
        yield Case("invalid_variable_name", "a", one(script("a", result=word)))
    inside = service("a", "risk.record", ("=1", "amount"), more=_output("x", "null.a"))
    yield Case("invalid_variable_name", "a", one(inside))
    yield Case("invalid_expression", "news", one(WAIT, name="wait", before=message(key="=(")))


def events() -> Iterator[Case]:
    def timer(text: str, tag: str = "timeDuration") -> bytes:
        return one(element("intermediateCatchEvent", "wait", timer_event(text, tag)), name="wait")

    yield Case("timer_without_time", "wait", timer(""))
    yield Case("invalid_timer", "wait", timer("5 minutes"))
    yield Case("invalid_timer", "wait", timer("2030-01-31T09:00:00", "timeDate"))
    yield Case("invalid_expression", "wait", timer("=duration("))
    for moment in ('=date("2030-01-01")', '=@"2030-01-01T09:00:00"', '="tomorrow"'):
        yield Case("invalid_timer", "wait", timer(moment, "timeDate"))
    for span in ("=5", "=null", '="R3/PT5M"'):
        yield Case("invalid_timer", "wait", timer(span))
    yield Case("cycle_not_allowed", "wait", timer("R3/PT1M", "timeCycle"))
    cycle = boundary("b", "a", timer_event("R/PT1M", "timeCycle"))
    yield Case("cycle_not_allowed", "b", one(script("a"), cycle, path("b", "end")))
    due = one(user("a", more='<zeebe:taskSchedule dueDate="tomorrow"/>'))
    yield Case("invalid_due_date", "a", due)
    yield Case("invalid_due_date", "a", one(user("a", more='<zeebe:taskSchedule dueDate="=5"/>')))
    nameless = element("intermediateCatchEvent", "wait", "<bpmn:messageEventDefinition/>")
    yield Case("message_missing", "wait", one(nameless, name="wait"))
    yield Case("dangling_reference", "wait", one(WAIT, name="wait"))
    silent = one(WAIT, name="wait", before=message().replace('name="news"', ""))
    yield Case("message_without_name", "wait", silent)
    yield Case("message_without_correlation", "wait", one(WAIT, name="wait", before=message(key="")))
    yield Case("message_without_timer", "wait", one(WAIT, name="wait", before=message()), "warning")
    receive = element("receiveTask", "r", messageRef="news")
    asking = boundary("ask", "r", timer_event(), cancelActivity="false")
    asked = bpmn(start(), receive, asking, end(), path("start", "r", "end"), path("ask", "end"), before=message())
    yield Case("message_without_timer", "r", asked, "warning")
    own = message().replace('name="news"', 'name="capture.requested"')
    yield Case("message_reserved", "a", one(element("intermediateThrowEvent", "a", message_event()), before=own))
    failing = bpmn(
        start(), end("end", error_event("e")), path("start", "end"), before=error("e", "").replace('errorCode=""', "")
    )
    yield Case("error_without_code", "end", failing)
    task = service("a", "payment.capture")
    for code, caught in (("error_not_interrupting", {"cancelActivity": "false"}), ("duplicate_boundary", {})):
        first = boundary("c", "a", error_event("unknown"))
        drawn = one(
            task,
            first,
            boundary("b", "a", error_event("unknown"), **caught),
            path("b", "end"),
            path("c", "end"),
            before=UNKNOWN,
        )
        yield Case(code, "b", drawn)
    inner = element("startEvent", "in", message_event()) + end("out") + path("in", "out")
    yield Case("unsupported_event", "in", one(element("subProcess", "a", inner), before=message()))


def begun(event: str, *parts: str, before: str = "") -> bytes:
    begin = element("startEvent", "start", event)
    return bpmn(begin, *(parts or (script("a"),)), end(), path("start", "a", "end"), before=before)


def starts() -> Iterator[Case]:
    yield Case("start_without_moment", "start", begun(timer_event("PT1H")))
    yield Case("starts_too_often", "start", begun(timer_event("R/PT1S", "timeCycle")))
    yield Case("starts_too_often", "start", begun(timer_event('="R/PT1S"', "timeCycle")))
    yield Case("start_reads_variables", "start", begun(timer_event("=when", "timeDate")))
    yield Case(
        "start_reads_variables",
        "start",
        begun(message_event(), before=message(key="").replace('name="news"', 'name="=topic"')),
    )
    yield Case(
        "message_reserved",
        "start",
        begun(message_event(), before=message(key="").replace('name="news"', 'name="payment.done"')),
    )
    yield Case("start_without_subject", "start", begun(timer_event("R/P1D", "timeCycle"), call("a", "spender")))
    yield Case("invalid_timer", "start", begun(timer_event("R0/P1D", "timeCycle")))


def tasks() -> Iterator[Case]:
    yield Case("missing_script", "a", one(element("scriptTask", "a")))
    twice = '<zeebe:taskDefinition type="x"/>'
    yield Case("repeated_extension", "a", one(service("a", "risk.record", ("=1", "amount"), more=twice)))
    loop = "<bpmn:multiInstanceLoopCharacteristics/>"
    yield Case("missing_collection", "a", one(script("a").replace("</bpmn:s", f"{loop}</bpmn:s")))
    repeated = mapped(outputs=(("=1", "n"), ("=1", "n")))
    drawn = script("a").replace("<zeebe:script", f"{repeated}<zeebe:script")
    yield Case("duplicate_output", "a", one(drawn), "warning")
    everybody = user("a").replace(' candidateGroups="reviewer"', "")
    yield Case("task_for_nobody", "a", one(everybody))
    yield Case("task_for_nobody", "a", one(user("a").replace('"reviewer"', '" , "')))
    yield Case("unknown_group", "a", one(user("a").replace('"reviewer"', '"reviewers"')))
    yield Case("unknown_group", "a", one(user("a").replace('"reviewer"', '"reviewer, risk"')), "warning")
    lane = '<bpmn:laneSet id="l"><bpmn:lane id="l1" name="Reviewers"><bpmn:flowNodeRef>a</bpmn:flowNodeRef></bpmn:lane>'
    yield Case("unknown_group", "a", one(everybody, f"{lane}</bpmn:laneSet>"))
    yield Case(
        "unsupported_attribute", "a", one(user("a").replace("candidateGroups=", 'assignee="=boss" candidateGroups='))
    )
    header = '<zeebe:taskHeaders><zeebe:header key="excludes" value="=[]"/></zeebe:taskHeaders>'
    yield Case("unknown_header", "a", one(user("a", more=header)))
    yield Case("invalid_priority", "a", one(user("a", more='<zeebe:priorityDefinition priority="high"/>')))
    yield Case("missing_form", "a", one(user("a", form="")))
    yield Case("unknown_form", "a", one(user("a", form="revew")))
    yield Case("missing_called_process", "a", one(call("a", "")))
    yield Case("fixed_name_required", "a", one(call("a", "=name")))
    yield Case("unknown_process", "a", one(call("a", "chlid")))
    yield Case("unknown_process", "a", one(call("a", " child")))
    yield Case("call_cycle", "a", one(call("a", "flow")))
    yield Case("call_cycle", "a", one(call("a", "back-far")))
    yield Case("calls_too_deep", "flow", one(call("a", "deep0")))
    everything = call("a", "child").replace("processId", 'propagateAllParentVariables="true" processId')
    mapped_as_well = everything.replace("</bpmn:ext", mapped(("=1", "n")) + "</bpmn:ext")
    yield Case("parent_variables", "a", one(mapped_as_well))
    yield Case("parent_variables", "a", one(everything.replace('Variables="true"', 'Variables="false"')))
    later = user("a", more='<zeebe:taskSchedule followUpDate="PT1H"/>')
    yield Case("unsupported_attribute", "a", one(later))
    yield Case("missing_decision", "a", one(rule("a", "")))
    yield Case("unknown_decision", "a", one(rule("a", "risk-scroe")))
    lanes = '<bpmn:laneSet id="l"><bpmn:lane id="l1"><bpmn:flowNodeRef>a</bpmn:flowNodeRef></bpmn:lane>'
    lanes += '<bpmn:lane id="l2" name="x"><bpmn:flowNodeRef>a</bpmn:flowNodeRef></bpmn:lane></bpmn:laneSet>'
    laned = bpmn(lanes, start(), script("a"), end(), path("start", "a", "end"))
    yield Case("lane_without_name", "l1", laned)
    yield Case("node_in_two_lanes", "a", laned)


def operations() -> Iterator[Case]:
    yield Case("missing_operation", "a", one(element("serviceTask", "a")))
    yield Case("unknown_operation", "a", one(service("a", "payment.authorise")))
    yield Case("missing_parameter", "a", one(service("a", "risk.record")))
    yield Case("unknown_parameter", "a", one(service("a", "risk.record", ("=1", "amount"), ("x", "gatewy"))))
    yield Case("duplicate_parameter", "a", one(service("a", "risk.record", ("=1", "amount"), ("=2", "amount"))))
    yield Case("wrong_literal", "a", one(service("a", "risk.record", ("ten", "amount"))))
    yield Case("wrong_literal", "a", one(service("a", "risk.record", ('="10 EUR"', "amount"))))
    many = service("a", "risk.record", ("=1", "amount")).replace('retries="3"', 'retries="often"')
    yield Case("invalid_retries", "a", one(many))
    for code, text in (("invalid_retries", "=null"), ("invalid_retries", "=11"), ("invalid_expression", "=(")):
        yield Case(code, "a", one(many.replace('"often"', f'"{text}"')))
    never = boundary("b", "a", error_event("unknown"))
    yield Case(
        "error_never_thrown",
        "b",
        one(service("a", "risk.record", ("=1", "amount")), never, path("b", "end"), before=UNKNOWN),
        "warning",
    )
    capture = service("a", "payment.capture")
    caught = one(capture, boundary("b", "a", error_event("unknown")), path("b", "end"), before=UNKNOWN)
    yield Case("error_not_caught", "a", caught, "warning")
    yield Case("unknown_outcome_uncaught", "a", one(capture))
    yield Case("unknown_outcome_uncaught", "a", one(capture, boundary("b", "a", error_event()), path("b", "end")))
    inside = (
        start("in")
        + capture
        + boundary("b", "a", error_event())
        + end("out")
        + path("in", "a", "out")
        + path("b", "out")
    )
    hidden = f'<bpmn:subProcess id="s" name="S">{inside}</bpmn:subProcess>' + boundary("u", "s", error_event("unknown"))
    yield Case("unknown_outcome_uncaught", "a", one(hidden, path("u", "end"), name="s", before=UNKNOWN))
    again = one(capture, boundary("b", "a", error_event("unknown")), path("b", "a"), before=UNKNOWN)
    yield Case("unbounded_money_loop", "a", again)
    called = one(call("a", "spender"), boundary("b", "a", timer_event()), path("b", "a"))
    yield Case("unbounded_money_loop", "a", called)
    yield Case("loop_without_counter", "a", retried("=tries &lt; 3"), "warning")
    yield Case("unknown_outcome_ignored", "b", retried("=tries &lt; 3"), "warning")
    reserve = service("a", "payment.authorize", ("=1", "amount"))
    yield Case("authorization_left_open", "a", one(reserve))
    yield Case("review_outlives_authorization", "ask", reviewed(user("ask")), "warning")


def retried(condition: str, outcome: str = '<zeebe:output source="=attempt" target="attempt"/>') -> bytes:
    """A capture whose unknown outcome leads round a gateway and back to it."""
    capture = service("a", "payment.capture", more=f"<zeebe:ioMapping>{outcome}</zeebe:ioMapping>" if outcome else "")
    gateway = '<bpmn:exclusiveGateway id="g" name="Again?" default="g-no"/>'
    flows = path("start", "a", "end") + path("b", "g") + flow("g-yes", "g", "a", condition) + flow("g-no", "g", "end")
    caught = boundary("b", "a", error_event("unknown"))
    return bpmn(start(), capture, caught, gateway, end(), flows, before=UNKNOWN)


def reviewed(review: str, *more: str) -> bytes:
    """An authorization, then the node `ask`, then its capture."""
    caught = "".join(boundary(f"b{host}", host, error_event("unknown")) + path(f"b{host}", "end") for host in "ac")
    reserve, capture = service("a", "payment.authorize", ("=1", "amount")), service("c", "payment.capture")
    ways = path("start", "a", "ask", "c", "end")
    return bpmn(start(), reserve, review, capture, caught, end(), ways, *more, before=UNKNOWN)


def refused() -> Iterator[Case]:
    condition = "<bpmn:conditionalEventDefinition><bpmn:condition>y</bpmn:condition></bpmn:conditionalEventDefinition>"
    for tag, inner in (
        ("task", ""),
        ("manualTask", ""),
        ("complexGateway", ""),
        ("transaction", ""),
        ("adHocSubProcess", ""),
        ("dataObjectReference", ""),
        ("dataStoreReference", ""),
        ("boundaryEvent", "<bpmn:compensateEventDefinition/>"),
        ("intermediateThrowEvent", "<bpmn:compensateEventDefinition/>"),
        ("intermediateThrowEvent", '<bpmn:linkEventDefinition name="y"/>'),
        ("intermediateCatchEvent", "<bpmn:signalEventDefinition/>"),
        ("intermediateCatchEvent", condition),
        ("scriptTask", "<bpmn:standardLoopCharacteristics/>"),
        ("userTask", "<bpmn:potentialOwner/>"),
    ):
        yield Case("unsupported_element", "x", one(script("a"), element(tag, "x", inner)))
    sub = '<bpmn:subProcess id="x" triggeredByEvent="true"/>'
    yield Case("unsupported_attribute", "x", one(script("a"), sub))
    yield Case("unsupported_attribute", "x", one(script("a"), '<bpmn:callActivity id="x" calledElement="child"/>'))
    yield Case("unsupported_attribute", "a", one(script("a").replace('name="A"', 'name="A" isForCompensation="true"')))
    yield Case(
        "unsupported_extension", "a", one(script("a").replace("<zeebe:script", "<zeebe:userTask/><zeebe:script"))
    )
    foreign = '<camunda:x xmlns:camunda="http://camunda.org/schema/1.0/bpmn"/><zeebe:script'
    yield Case("unsupported_extension", "a", one(script("a").replace("<zeebe:script", foreign)))
    program = (
        '<bpmn:scriptTask id="a" name="A" scriptFormat="python"><bpmn:script>import os</bpmn:script></bpmn:scriptTask>'
    )
    yield Case("python_script", "a", one(program))
    late = "<bpmn:terminateEventDefinition/><bpmn:incoming>a-end</bpmn:incoming>"
    disordered = bpmn(start(), script("a"), end("end", late), path("start", "a", "end"))
    yield Case("invalid_schema", "end", disordered)
    nameless = one(script("a").replace('name="A"', ""))
    yield Case("invalid_schema", "a", nameless.replace(b"<bpmn:extensionElements>", b"x<bpmn:extensionElements>"))


def all_cases() -> list[Case]:
    families = (processes, graph, branching, expressions, events, starts, tasks, operations, refused)
    return [case for family in families for case in family()]


def _nested(depth: int) -> str:
    inner = start("in") + end("out") + path("in", "out")
    for level in range(depth, 0, -1):
        ends = f"{start(f'in{level}')}{end(f'out{level}')}{path(f'in{level}', f's{level + 1}', f'out{level}')}"
        inner = f'<bpmn:subProcess id="s{level}" name="S">{inner}{ends if level < depth else ""}</bpmn:subProcess>'
    return inner


def _output(source: str, target: str) -> str:
    return mapped(outputs=((source, target),))
