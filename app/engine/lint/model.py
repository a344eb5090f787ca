"""The light graph that every rule walks: one BPMN file as plain values, tolerant of anything that is missing.

A name that does not resolve stays a name here; saying so is a rule's work. Nothing in this file judges.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from app.engine.xml import Element

TASKS = frozenset(
    {"serviceTask", "userTask", "businessRuleTask", "scriptTask", "sendTask", "receiveTask", "callActivity"}
)
ACTIVITIES = TASKS | {"subProcess"}
GATEWAYS = frozenset({"exclusiveGateway", "parallelGateway", "inclusiveGateway", "eventBasedGateway"})
EVENTS = frozenset({"startEvent", "endEvent", "intermediateCatchEvent", "intermediateThrowEvent", "boundaryEvent"})
FLOW_NODES = ACTIVITIES | GATEWAYS | EVENTS
#: Refused by the allow-list, and in the graph all the same: nobody is told that what they drew is not there.
REFUSED_NODES = frozenset({"task", "manualTask", "complexGateway", "transaction", "adHocSubProcess"})

Attributes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EventDefinition:
    """`kind` is `timer`, `message`, `error`, `escalation` or `terminate`; `ref` names the message, error or escalation.

    `time` of a timer: the child's tag (`timeDuration`) and its text.
    """

    kind: str
    ref: str
    times: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One activity, event or gateway. `extensions` are its zeebe elements by name, each with its attributes."""

    id: str
    tag: str
    name: str
    scope: str
    line: int | None
    attributes: Attributes
    extensions: Mapping[str, tuple[Attributes, ...]]
    events: tuple[EventDefinition, ...] = ()
    message: str = ""  # messageRef of a receive task
    script: bool = False  # it carries a bpmn:script
    listed: tuple[tuple[str, str], ...] = ()  # (incoming | outgoing, flow id) as the file lists them
    loop: Element | None = None

    def extension(self, name: str) -> Attributes:
        """The attributes of the first zeebe element `name`, empty when there is none."""
        found = self.extensions.get(name, ())
        return found[0] if found else {}

    @property
    def operation(self) -> str:
        return self.extension("taskDefinition").get("type", "")

    @property
    def host(self) -> str:
        return self.attributes.get("attachedToRef", "")

    @property
    def interrupting(self) -> bool:
        return self.attributes.get("cancelActivity", "true") == "true"

    @property
    def label(self) -> str:
        """How to speak of it: its name and id."""
        return f"{self.name!r} ({self.id})" if self.name else self.id

    def has_event(self, kind: str) -> bool:
        return any(event.kind == kind for event in self.events)


@dataclass(frozen=True, slots=True)
class Flow:
    """A sequence flow. `condition` is None when it has none."""

    id: str
    source: str
    target: str
    condition: str | None
    line: int | None


@dataclass(frozen=True, slots=True)
class Scope:
    """A process or an embedded sub-process: its own nodes and flows, in document order.

    `following` are the nodes after each node: along its flows, and the boundary events attached to it.
    """

    id: str
    parent: str | None
    nodes: Mapping[str, Node]
    flows: tuple[Flow, ...]
    line: int | None
    incoming: Mapping[str, tuple[Flow, ...]] = field(default_factory=dict)
    outgoing: Mapping[str, tuple[Flow, ...]] = field(default_factory=dict)
    boundaries: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    following: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def into(self, node: str) -> tuple[Flow, ...]:
        return self.incoming.get(node, ())

    def out_of(self, node: str) -> tuple[Flow, ...]:
        return self.outgoing.get(node, ())

    def on(self, host: str) -> tuple[Node, ...]:
        """The boundary events attached to `host`."""
        return self.boundaries.get(host, ())

    def things(self) -> "Iterator[Node | Flow]":
        yield from self.nodes.values()
        yield from self.flows

    def starts(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.tag == "startEvent"]


@dataclass(frozen=True, slots=True)
class Lane:
    id: str
    name: str
    nodes: tuple[str, ...]
    line: int | None


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a file declares. `code` belongs to errors and escalations, `correlation` to messages."""

    id: str
    kind: str
    name: str
    code: str
    correlation: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Process:
    """`scopes` maps the process and every embedded sub-process by id; the process itself is the first."""

    id: str
    name: str
    executable: bool
    undeclared: bool  # it says nothing about being executable
    line: int | None
    scopes: Mapping[str, Scope]
    lanes: tuple[Lane, ...]

    @property
    def scope(self) -> Scope:
        return self.scopes[self.id]

    def nodes(self) -> Iterator[Node]:
        for scope in self.scopes.values():
            yield from scope.nodes.values()

    def enclosing(self, scope_id: str) -> Iterator[tuple[Scope, Node]]:
        """The sub-process nodes around a scope, inside out, each with the scope it is drawn in."""
        scope = self.scopes[scope_id]
        while scope.parent is not None:
            outer = self.scopes[scope.parent]
            yield outer, outer.nodes[scope.id]
            scope = outer

    def operations(self) -> list[str]:
        return sorted({node.operation for node in self.nodes() if node.operation})

    def calls(self) -> list[str]:
        return sorted(_named(self, "calledElement", "processId"))

    def decisions(self) -> list[str]:
        return sorted(_named(self, "calledDecision", "decisionId"))

    def forms(self) -> list[str]:
        return sorted(_named(self, "formDefinition", "formId"))


@dataclass(frozen=True, slots=True)
class Model:
    """One BPMN file. `drawn` are the ids that have a shape or an edge."""

    file: str
    root: Element
    processes: tuple[Process, ...]
    declarations: Mapping[str, Declaration]
    drawn: frozenset[str]

    @property
    def process(self) -> Process | None:
        """The one process of the file; None when there is none or more than one."""
        return self.processes[0] if len(self.processes) == 1 else None

    def scopes(self) -> Iterator[Scope]:
        for process in self.processes:
            yield from process.scopes.values()

    def nodes(self) -> Iterator[Node]:
        for process in self.processes:
            yield from process.nodes()

    def declared(self, kind: str, ref: str) -> Declaration | None:
        found = self.declarations.get(ref)
        return found if found is not None and found.kind == kind else None

    def error_code(self, node: Node) -> str | None:
        """The code of a node's error event: text, empty for a catch-all, None when it has no error event."""
        for event in node.events:
            if event.kind == "error":
                declared = self.declared("error", event.ref)
                return declared.code if declared else ""
        return None


def _named(process: Process, extension: str, attribute: str) -> set[str]:
    return {name for node in process.nodes() if (name := node.extension(extension).get(attribute, ""))}
