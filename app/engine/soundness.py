"""What a diagram must not have because a run would pass over it in silence, or stop in the middle.

The gate says the same earlier and in more words; this is what the engine itself relies on.
"""

from collections.abc import Mapping

from app.engine.elements import DiagramError, Element, Flow

ACTIVITIES = frozenset(
    {
        "serviceTask",
        "sendTask",
        "receiveTask",
        "userTask",
        "scriptTask",
        "businessRuleTask",
        "callActivity",
        "subProcess",
        "task",
        "manualTask",
    }
)
EVENTS = frozenset({"startEvent", "endEvent", "intermediateCatchEvent", "intermediateThrowEvent", "boundaryEvent"})
GATEWAYS = frozenset({"exclusiveGateway", "parallelGateway", "inclusiveGateway", "eventBasedGateway"})
NODES = ACTIVITIES | EVENTS | GATEWAYS
_TRIGGERS = {
    "startEvent": ("", "timer", "message"),
    "endEvent": ("", "error", "terminate", "message", "escalation"),
    "intermediateCatchEvent": ("timer", "message"),
    "intermediateThrowEvent": ("", "message", "escalation"),
    "boundaryEvent": ("error", "timer", "message", "escalation"),
}


def check(elements: Mapping[str, Element], flows: Mapping[str, Flow]) -> None:
    """Raises DiagramError for the first thing found."""
    for flow in flows.values():
        _check_flow(flow, elements)
    for element in elements.values():
        if len(element.outgoing) > 1 and element.kind not in GATEWAYS:
            raise DiagramError(f"Several sequence flows leave {element.id}; draw a gateway behind it")
        if element.kind in EVENTS:
            _check_trigger(element)
        if element.kind == "boundaryEvent":
            _check_boundary(element, elements)
        if element.kind == "eventBasedGateway":
            _check_race(element, elements, flows)
    _check_starts(elements)


def _check_flow(flow: Flow, elements: Mapping[str, Element]) -> None:
    source, target = elements.get(flow.source), elements.get(flow.target)
    if source is None or target is None or source.parent != target.parent:
        raise DiagramError(f"Sequence flow {flow.id} does not connect two elements of one process; draw it again")
    if flow.condition is not None and source.kind not in ("exclusiveGateway", "inclusiveGateway"):
        raise DiagramError(f"Sequence flow {flow.id} has a condition but leaves {source.id}; draw a gateway there")


def _check_trigger(element: Element) -> None:
    kind = element.event.kind if element.event is not None else ""
    possible = ("",) if element.kind == "startEvent" and element.parent else _TRIGGERS[element.kind]
    if kind not in possible:
        needed = ", ".join(trigger or "none" for trigger in possible)
        raise DiagramError(f"The trigger of {element.id} is {kind or 'missing'}; possible there: {needed}")


def _check_boundary(element: Element, elements: Mapping[str, Element]) -> None:
    host = elements.get(element.attached_to)
    if host is None or host.parent != element.parent or host.kind not in ACTIVITIES:
        raise DiagramError(f"Boundary event {element.id} is not on an activity; attach it to one")
    if element.event is not None and element.event.kind == "error" and not element.interrupting:
        raise DiagramError(f"Boundary event {element.id} catches an error, which always interrupts; mark it so")


def _check_race(gateway: Element, elements: Mapping[str, Element], flows: Mapping[str, Flow]) -> None:
    for identity in gateway.outgoing:
        target = elements[flows[identity].target]
        if target.kind not in ("intermediateCatchEvent", "receiveTask") or len(target.incoming) > 1:
            raise DiagramError(f"{target.id} follows the event-based gateway {gateway.id}; draw an event for it alone")


def _check_starts(elements: Mapping[str, Element]) -> None:
    for parent in ("", *(element.id for element in elements.values() if element.kind == "subProcess")):
        starts = [e.id for e in elements.values() if e.parent == parent and e.kind == "startEvent"]
        if len(starts) != 1:
            raise DiagramError(f"{parent or 'The process'} has {len(starts)} start events; draw exactly one")
