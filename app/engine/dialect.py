"""Diagrams: BPMN files parsed once, by SpiffWorkflow's parser with our spec classes, and never changed afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any, ClassVar

from SpiffWorkflow.bpmn.parser import BpmnParser
from SpiffWorkflow.bpmn.parser.ProcessParser import ProcessParser
from SpiffWorkflow.bpmn.parser.TaskParser import TaskParser
from SpiffWorkflow.bpmn.parser.ValidationException import ValidationException

from app.engine import activities, events, specs
from app.engine.elements import DiagramError, Element, Flow
from app.engine.reading import BPMN, ZEEBE, parse_xml, read_process, the_process
from app.engine.soundness import NODES

__all__ = ["Diagram", "DiagramError", "Element", "Flow", "parse_diagram"]

#: How many parsed diagrams a process keeps; parsing one again costs some milliseconds.
_KEPT = 256


@dataclass(frozen=True, eq=False)
class Diagram:
    """One process. `spec` and `scopes` (by sub-process id) are SpiffWorkflow's, shared by all instances: hands off."""

    process: str
    name: str
    content_hash: str
    spec: Any
    scopes: Mapping[str, Any]
    elements: Mapping[str, Element]
    flows: Mapping[str, Flow]
    properties: Mapping[str, str]
    called: tuple[str, ...]
    decisions: tuple[str, ...]
    forms: tuple[str, ...]
    operations: tuple[str, ...]


def parse_diagram(xml: bytes) -> Diagram:
    """The diagram of a BPMN file that the gate accepted; the same object for the same bytes. Raises DiagramError."""
    return _parsed(sha256(xml).hexdigest(), xml)


@lru_cache(maxsize=_KEPT)
def _parsed(content_hash: str, xml: bytes) -> Diagram:
    root = parse_xml(xml)
    process = the_process(root)
    elements, flows = read_process(root, process)
    parser = DialectParser(elements, flows)
    try:
        parser.add_bpmn_xml(root)
        spec = parser.get_spec(process.get("id"))
        scopes = {e.id: parser.get_spec(e.id) for e in elements.values() if e.kind == "subProcess"}
    except (ValidationException, RecursionError) as error:
        raise DiagramError(f"The diagram cannot be read: {error}") from None
    return Diagram(
        process=process.get("id"),
        name=process.get("name", ""),
        content_hash=content_hash,
        spec=spec,
        scopes=MappingProxyType(scopes),
        elements=MappingProxyType(elements),
        flows=MappingProxyType(flows),
        properties=MappingProxyType(_properties(process)),
        called=_distinct(element.called for element in elements.values()),
        decisions=_distinct(element.decision for element in elements.values()),
        forms=_distinct(element.form for element in elements.values()),
        operations=_distinct(element.operation for element in elements.values()),
    )


def _properties(process: Any) -> dict[str, str]:
    drawn = process.iterfind(f"{BPMN}extensionElements/{ZEEBE}properties/{ZEEBE}property")
    return {node.get("name", ""): node.get("value", "") for node in drawn}


def _distinct(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def upstream(elements: Mapping[str, Element], flows: Mapping[str, Flow]) -> dict[str, frozenset[str]]:
    """For each flow into a gateway with several: the elements from which a token can still come along it.

    Paths through the gateway itself do not count; a boundary event is reached from its activity.
    """
    found: dict[str, frozenset[str]] = {}
    for gateway in elements.values():
        if gateway.kind not in ("parallelGateway", "inclusiveGateway") or len(gateway.incoming) < 2:
            continue
        for identity in gateway.incoming:
            found[identity] = frozenset(_sources(elements, flows, flows[identity].source, gateway.id))
    return found


def _sources(elements: Mapping[str, Element], flows: Mapping[str, Flow], start: str, stop: str) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        identity = todo.pop()
        if identity in seen or identity == stop:
            continue
        seen.add(identity)
        element = elements[identity]
        todo.extend(flows[flow].source for flow in element.incoming)
        if element.attached_to:
            todo.append(element.attached_to)
    return seen


def spec_class(element: Element) -> type[specs.Node]:
    """Which spec carries out an element. Raises DiagramError for a kind the dialect does not have."""
    if element.operation:
        return activities.ServiceTask
    found = _SPECS.get(element.kind)
    if found is None:
        raise DiagramError(f"{element.kind} {element.id} is not supported; see the list of elements a diagram may use")
    return found


_SPECS: dict[str, type[specs.Node]] = {
    "startEvent": specs.Node,
    "endEvent": events.ThrowingEvent,
    "intermediateThrowEvent": events.ThrowingEvent,
    "intermediateCatchEvent": events.Catching,
    "boundaryEvent": events.BoundaryEvent,
    "sendTask": activities.SendTask,
    "receiveTask": activities.ReceiveTask,
    "userTask": activities.UserTask,
    "scriptTask": activities.ScriptTask,
    "businessRuleTask": activities.BusinessRuleTask,
    "callActivity": activities.CallActivity,
    "subProcess": activities.SubProcess,
    "exclusiveGateway": specs.ExclusiveGateway,
    "parallelGateway": specs.ParallelGateway,
    "inclusiveGateway": specs.InclusiveGateway,
    "eventBasedGateway": specs.EventBasedGateway,
}


class ScopeParser(ProcessParser):
    """One process or sub-process. Elements are made first and connected then; the library recurses along the flows."""

    def create_spec(self) -> specs.ProcessSpec:
        return specs.ProcessSpec(self.bpmn_id)

    def add_tasks(self) -> None:
        inside = "" if self.node.tag == f"{BPMN}process" else self.bpmn_id
        here = [element for element in self.parser.elements.values() if element.parent == inside]
        for element in here:
            self.parse_node(self.get_node_by_id(element.id))
        tasks = self.spec.task_specs
        for element in here:
            if element.kind == "startEvent":
                self.spec.start.connect(tasks[element.id])
            for flow in element.outgoing:
                tasks[element.id].connect(tasks[self.parser.flows[flow].target])
            for boundary in element.boundaries:
                tasks[element.id].connect(tasks[boundary])


class NodeParser(TaskParser):
    """One element."""

    def parse_node(self) -> specs.Node:
        parser = self.process_parser.parser
        element = parser.elements[self.bpmn_id]
        if element.kind == "subProcess":
            parser.create_parser(self.node, filename=self.filename, lane=self.lane)
        return spec_class(element)(self.spec, element.id, element=element, flows=parser.flows, upstream=parser.upstream)


class DialectParser(BpmnParser):
    """SpiffWorkflow's parser with every element in our hands; the library's class maps stay as they are."""

    PARSER_CLASSES: ClassVar[dict[str, Any]] = {f"{BPMN}{kind}": (NodeParser, specs.Node) for kind in NODES}
    PROCESS_PARSER_CLASS = ScopeParser

    def __init__(self, elements: Mapping[str, Element], flows: Mapping[str, Flow]) -> None:
        super().__init__()
        self.elements = elements
        self.flows = flows
        self.upstream = upstream(elements, flows)

    def _add_diagram_indexes(self, bpmn: Any) -> None:
        """Shapes mean nothing to a run, and `reading.py` reads the lanes."""
