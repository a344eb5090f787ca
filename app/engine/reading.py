"""From XML to elements and flows. The gate refused what is not supported; whatever still cannot be read here raises.

Lookups are by exact tag under the element itself, so nothing inside a sub-process is taken for its parent's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.engine.elements import (
    Assignment,
    DiagramError,
    Element,
    Event,
    Flow,
    Loop,
    Message,
    People,
    Timer,
    TimerKind,
)
from app.engine.expressions import EvaluationFailed, Formula, formula
from app.engine.soundness import EVENTS, NODES, check
from app.engine.timing import ANY_TIME, parse_cycle, parse_date, parse_due, parse_duration
from app.engine.xml import UnreadableXml, read
from app.feel import FeelError

BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
ZEEBE = "{http://camunda.org/schema/zeebe/1.0}"

_HEADERS = f"{BPMN}extensionElements/{ZEEBE}taskHeaders/{ZEEBE}header"
_EVENT_KINDS = ("error", "timer", "message", "escalation", "terminate")


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a BPMN file declares beside its process, by id."""

    messages: dict[str, Message]
    errors: dict[str, tuple[str, str]]
    escalations: dict[str, tuple[str, str]]
    lanes: dict[str, str]


def parse_xml(xml: bytes) -> Any:
    """The root element, through the same door as at the gate, so that both see the same file. Raises DiagramError."""
    try:
        return read(xml)
    except UnreadableXml as unreadable:
        raise DiagramError(f"{unreadable.detail}. {unreadable.remedy}") from None


def the_process(root: Any) -> Any:
    """The one executable process of the file. Raises DiagramError."""
    found = [node for node in root.iter(BPMN + "process") if node.get("isExecutable") == "true"]
    if len(found) != 1:
        raise DiagramError(f"The file has {len(found)} executable processes; mark exactly one as executable")
    if not found[0].get("id"):
        raise DiagramError("The process has no id")
    return found[0]


def read_process(root: Any, process: Any) -> tuple[dict[str, Element], dict[str, Flow]]:
    """Every flow node and sequence flow of the process, sub-processes included, in document order."""
    declared = _definitions(root)
    flows = {node.get("id"): _flow(node) for node in process.iter(BPMN + "sequenceFlow")}
    boundaries: dict[str, list[str]] = {}
    for node in process.iter(BPMN + "boundaryEvent"):
        boundaries.setdefault(node.get("attachedToRef"), []).append(node.get("id"))
    elements: dict[str, Element] = {}
    for node in _nodes(process):
        identity = node.get("id")
        if not identity or identity in elements:
            raise DiagramError(f"Two elements have the id {identity!r}, or one has none; give each its own")
        elements[identity] = _guarded(node, partial(_element, node, process, declared, flows, boundaries))
    check(elements, flows)
    return elements, flows


def _nodes(process: Any) -> Iterator[Any]:
    return (node for node in process.iter() if isinstance(node.tag, str) and node.tag.removeprefix(BPMN) in NODES)


def _guarded(node: Any, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (FeelError, EvaluationFailed) as error:
        raise DiagramError(f"{node.tag.removeprefix(BPMN)} {node.get('id')}: {error}") from None


def _definitions(root: Any) -> Definitions:
    return Definitions(
        messages={n.get("id"): _guarded(n, partial(_message, n)) for n in root.iter(BPMN + "message")},
        errors={n.get("id"): (n.get("errorCode", ""), n.get("name", "")) for n in root.iter(BPMN + "error")},
        escalations={
            n.get("id"): (n.get("escalationCode", ""), n.get("name", "")) for n in root.iter(BPMN + "escalation")
        },
        lanes={
            (ref.text or "").strip(): lane.get("name", "")
            for lane in root.iter(BPMN + "lane")
            for ref in lane.findall(BPMN + "flowNodeRef")
        },
    )


def _extension(node: Any, name: str) -> Any:
    return node.find(f"{BPMN}extensionElements/{ZEEBE}{name}")


def _message(node: Any) -> Message:
    subscription = _extension(node, "subscription")
    key = subscription.get("correlationKey") if subscription is not None else None
    return Message(formula(node.get("name", "")), _optional(key))


def _optional(text: str | None) -> Formula | None:
    return formula(text) if text is not None and text.strip() else None


def _flow(node: Any) -> Flow:
    condition = node.find(BPMN + "conditionExpression")
    text = condition.text if condition is not None else None
    return Flow(
        node.get("id"),
        node.get("sourceRef"),
        node.get("targetRef"),
        _guarded(node, lambda: _optional(text)),
    )


def _element(
    node: Any, process: Any, declared: Definitions, flows: dict[str, Flow], boundaries: dict[str, list[str]]
) -> Element:
    identity = node.get("id")
    kind = node.tag.removeprefix(BPMN)
    parent = node.getparent()
    if node.get("triggeredByEvent") == "true":
        raise DiagramError(f"{identity} is an event sub-process; draw boundary events on a sub-process instead")
    mapping = _extension(node, "ioMapping")
    return Element(
        id=identity,
        name=node.get("name", ""),
        kind=kind,
        parent="" if parent is process else parent.get("id"),
        lane=declared.lanes.get(identity, ""),
        incoming=tuple(flow.id for flow in flows.values() if flow.target == identity),
        outgoing=tuple(flow.id for flow in flows.values() if flow.source == identity),
        default=node.get("default", ""),
        attached_to=node.get("attachedToRef", ""),
        interrupting=node.get("cancelActivity", "true") == "true",
        boundaries=tuple(boundaries.get(identity, ())),
        event=_event(node, declared) if kind in EVENTS else None,
        inputs=_assignments(mapping, "input"),
        outputs=_assignments(mapping, "output"),
        headers={header.get("key", ""): header.get("value", "") for header in node.iterfind(_HEADERS)},
        loop=_loop(node),
        **_SPECIAL.get(kind, _nothing)(node, declared),
    )


def _assignments(mapping: Any, name: str) -> tuple[Assignment, ...]:
    if mapping is None:
        return ()
    return tuple(
        Assignment(formula(node.get("source", "")), tuple(node.get("target", "").split(".")))
        for node in mapping.findall(ZEEBE + name)
    )


def _event(node: Any, declared: Definitions) -> Event | None:
    drawn = [child for child in node if isinstance(child.tag, str) and child.tag.endswith("EventDefinition")]
    if len(drawn) > 1:
        raise DiagramError(f"Event {node.get('id')} has several triggers; draw one event for each")
    for found in drawn:
        kind = found.tag.removeprefix(BPMN).removesuffix("EventDefinition")
        if kind not in _EVENT_KINDS:
            raise DiagramError(f"Event {node.get('id')} is a {kind} event, which is not supported")
        return _event_of(kind, found, node, declared)
    return None


def _event_of(kind: str, found: Any, node: Any, declared: Definitions) -> Event:
    if kind == "timer":
        return Event(kind, timer=_timer(found, node))
    if kind == "message":
        return Event(kind, message=_message_ref(found, node, declared))
    if kind in ("error", "escalation"):
        known = declared.errors if kind == "error" else declared.escalations
        ref = found.get(f"{kind}Ref")
        if ref and ref not in known:
            raise DiagramError(f"{node.get('id')} refers to the {kind} {ref}, which is not there; choose one")
        code, name = known[ref] if ref else ("", "")
        return Event(kind, code=code, name=name)
    return Event(kind)


def _message_ref(holder: Any, node: Any, declared: Definitions) -> Message:
    ref = holder.get("messageRef", "")
    if ref not in declared.messages:
        raise DiagramError(f"{node.get('id')} has no message; choose one in its properties")
    return declared.messages[ref]


_LITERALS: dict[TimerKind, Callable[[str], object]] = {
    TimerKind.DATE: parse_date,
    TimerKind.DURATION: parse_duration,
    TimerKind.CYCLE: parse_cycle,
}


def _timer(found: Any, node: Any) -> Timer:
    for kind in TimerKind:
        value = found.find(BPMN + kind.value)
        if value is not None:
            drawn = formula(value.text or "")
            if drawn.expression is None:
                _LITERALS[kind](drawn.text)
            if kind is TimerKind.CYCLE and node.tag != BPMN + "startEvent" and node.get("cancelActivity") != "false":
                raise DiagramError(f"Timer {node.get('id')} repeats; only a non-interrupting boundary event can")
            return Timer(kind, drawn)
    raise DiagramError(f"Timer {node.get('id')} has no time; give a date, a duration or a cycle")


def _loop(node: Any) -> Loop | None:
    if node.find(BPMN + "standardLoopCharacteristics") is not None:
        raise DiagramError(f"{node.get('id')} is a standard loop; draw a gateway that leads back instead")
    found = node.find(BPMN + "multiInstanceLoopCharacteristics")
    if found is None:
        return None
    drawn = _extension(found, "loopCharacteristics")
    collection = _optional(drawn.get("inputCollection") if drawn is not None else None)
    if collection is None:
        raise DiagramError(f"{node.get('id')} repeats for a collection that is not named; give its input collection")
    completion = found.find(BPMN + "completionCondition")
    return Loop(
        collection=collection,
        sequential=found.get("isSequential") == "true",
        item=drawn.get("inputElement", ""),
        output_collection=drawn.get("outputCollection", ""),
        output=_optional(drawn.get("outputElement")),
        completion=_optional(completion.text if completion is not None else None),
    )


def _nothing(node: Any, declared: Definitions) -> dict[str, Any]:  # noqa: ARG001 - one of the readers of _SPECIAL
    return {}


def _worked(node: Any, declared: Definitions) -> dict[str, Any]:
    """A service or send task, or a throwing event that calls an operation."""
    task = _extension(node, "taskDefinition")
    if task is None:
        if node.get("messageRef") is not None:
            return {"message": _message_ref(node, node, declared)}
        raise DiagramError(f"{node.get('id')} names no operation; choose one in its properties")
    return {"operation": task.get("type", ""), "retries": _optional(task.get("retries"))}


def _received(node: Any, declared: Definitions) -> dict[str, Any]:
    return {"message": _message_ref(node, node, declared)}


def _people(node: Any, declared: Definitions) -> dict[str, Any]:
    assignment, form = _extension(node, "assignmentDefinition"), _extension(node, "formDefinition")
    schedule, priority = _extension(node, "taskSchedule"), _extension(node, "priorityDefinition")
    groups = assignment.get("candidateGroups") if assignment is not None else None
    header = node.find(f"{_HEADERS}[@key='excluded']")
    due = _optional(schedule.get("dueDate") if schedule is not None else None)
    if due is not None and due.expression is None:
        parse_due(due.text, ANY_TIME)
    people = People(
        candidate_groups=_optional(groups or declared.lanes.get(node.get("id"))),
        excluded=_optional(header.get("value") if header is not None else None),
        due=due,
        priority=_optional(priority.get("priority") if priority is not None else None),
    )
    return {"people": people, "form": form.get("formId", "") if form is not None else ""}


def _called(node: Any, declared: Definitions) -> dict[str, Any]:  # noqa: ARG001 - one of the readers of _SPECIAL
    called = _extension(node, "calledElement")
    if called is None or not called.get("processId"):
        raise DiagramError(f"{node.get('id')} calls no process; choose one in its properties")
    return {
        "called": called.get("processId"),
        "all_variables": called.get("propagateAllChildVariables", "true") != "false",
    }


def _ruled(node: Any, declared: Definitions) -> dict[str, Any]:
    decision = _extension(node, "calledDecision")
    if decision is None:
        return _worked(node, declared)
    return {"decision": decision.get("decisionId", ""), "result": decision.get("resultVariable", "")}


def _scripted(node: Any, declared: Definitions) -> dict[str, Any]:
    script = _extension(node, "script")
    if script is None:
        return _worked(node, declared)
    return {"script": formula(script.get("expression", "")), "result": script.get("resultVariable", "")}


_SPECIAL: dict[str, Callable[[Any, Definitions], dict[str, Any]]] = {
    "serviceTask": _worked,
    "sendTask": _worked,
    "receiveTask": _received,
    "userTask": _people,
    "callActivity": _called,
    "businessRuleTask": _ruled,
    "scriptTask": _scripted,
}
