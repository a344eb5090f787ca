"""From a parsed BPMN file to the light graph; unknown elements are passed over here and named by the allow-list."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from app.engine.lint.model import (
    FLOW_NODES,
    REFUSED_NODES,
    Attributes,
    Declaration,
    EventDefinition,
    Flow,
    Lane,
    Model,
    Node,
    Process,
    Scope,
)
from app.engine.xml import BPMN, BPMNDI, ZEEBE, Element, child, children, line_of, local_name, namespace, text_of

T = TypeVar("T")
_SUFFIX = "EventDefinition"
_DECLARED = ("message", "error", "escalation")
_CONTAINERS = frozenset({"ioMapping", "taskHeaders", "properties"})


def read_model(file: str, root: Element) -> Model:
    return Model(
        file=file,
        root=root,
        processes=tuple(_process(element) for element in children(root, "process")),
        declarations={
            declared.id: declared
            for kind in _DECLARED
            for element in children(root, kind)
            if (declared := _declaration(kind, element)).id
        },
        drawn=frozenset(
            _local(shape.get("bpmnElement", ""))
            for tag in ("BPMNShape", "BPMNEdge")
            for shape in root.iter(f"{{{BPMNDI}}}{tag}")
        ),
    )


def zeebe_extensions(element: Element) -> Mapping[str, tuple[Attributes, ...]]:
    """The zeebe elements of `element` by local name; those inside a container stand beside the others."""
    found: dict[str, list[Attributes]] = defaultdict(list)
    for extensions in children(element, "extensionElements"):
        for item in extensions.iterchildren(f"{{{ZEEBE}}}*"):
            found[local_name(item)].append(dict(item.attrib))
            if local_name(item) in _CONTAINERS:
                for inner in item.iterchildren(f"{{{ZEEBE}}}*"):
                    found[local_name(inner)].append(dict(inner.attrib))
    return {name: tuple(items) for name, items in found.items()}


def _process(element: Element) -> Process:
    process_id = element.get("id", "")
    scopes: dict[str, Scope] = {}
    waiting: list[tuple[Element, str | None]] = [(element, None)]
    while waiting:
        container, parent = waiting.pop(0)
        scope = _scope(container, parent)
        if scope.id in scopes:
            continue  # a repeated id: the rule for duplicates names it
        scopes[scope.id] = scope
        waiting += [(inner, scope.id) for inner in children(container, "subProcess")]
    return Process(
        id=process_id,
        name=element.get("name", "").strip(),
        executable=element.get("isExecutable", "false") == "true",
        undeclared=element.get("isExecutable") is None,
        line=line_of(element),
        scopes=scopes,
        lanes=tuple(_lane(lane) for lane in element.iterdescendants(f"{{{BPMN}}}lane")),
    )


def _scope(container: Element, parent: str | None) -> Scope:
    scope_id = container.get("id", "")
    nodes: dict[str, Node] = {}
    for element in container.iterchildren(f"{{{BPMN}}}*"):
        if local_name(element) in FLOW_NODES | REFUSED_NODES:
            node = _node(element, scope_id)
            nodes.setdefault(node.id, node)
    flows = tuple(_flow(element) for element in children(container, "sequenceFlow"))
    steps = [(flow.source, flow.target) for flow in flows if {flow.source, flow.target} <= nodes.keys()]
    steps += [(node.host, node.id) for node in nodes.values() if node.tag == "boundaryEvent" and node.host in nodes]
    return Scope(
        id=scope_id,
        parent=parent,
        nodes=nodes,
        flows=flows,
        line=line_of(container),
        incoming=_grouped((flow.target, flow) for flow in flows),
        outgoing=_grouped((flow.source, flow) for flow in flows),
        boundaries=_grouped((node.host, node) for node in nodes.values() if node.tag == "boundaryEvent"),
        following=dict.fromkeys(nodes, ()) | _grouped(steps),
    )


def _node(element: Element, scope: str) -> Node:
    return Node(
        id=element.get("id", ""),
        tag=local_name(element),
        name=" ".join(element.get("name", "").split()),
        scope=scope,
        line=line_of(element),
        attributes=dict(element.attrib),
        extensions=zeebe_extensions(element),
        events=tuple(_events(element)),
        message=_local(element.get("messageRef", "")),
        script=child(element, "script") is not None,
        listed=tuple((tag, text_of(item)) for tag in ("incoming", "outgoing") for item in children(element, tag)),
        loop=child(element, "multiInstanceLoopCharacteristics"),
    )


def _events(element: Element) -> Iterable[EventDefinition]:
    for definition in element.iterchildren(f"{{{BPMN}}}*"):
        tag = local_name(definition)
        if tag.endswith(_SUFFIX):
            kind = tag.removesuffix(_SUFFIX)
            times = tuple(
                (local_name(time), text_of(time))
                for time in definition.iterchildren(f"{{{BPMN}}}*")
                if local_name(time).startswith("time")
            )
            yield EventDefinition(kind, _local(definition.get(f"{kind}Ref", "")), times)


def _flow(element: Element) -> Flow:
    condition = child(element, "conditionExpression")
    return Flow(
        id=element.get("id", ""),
        source=element.get("sourceRef", ""),
        target=element.get("targetRef", ""),
        condition=None if condition is None else text_of(condition),
        line=line_of(element),
    )


def _lane(element: Element) -> Lane:
    return Lane(
        id=element.get("id", ""),
        name=element.get("name", "").strip(),
        nodes=tuple(text_of(ref) for ref in children(element, "flowNodeRef")),
        line=line_of(element),
    )


def _declaration(kind: str, element: Element) -> Declaration:
    subscription = zeebe_extensions(element).get("subscription", ({},))[0]
    return Declaration(
        id=element.get("id", ""),
        kind=kind,
        name=element.get("name", "").strip(),
        code=element.get(f"{kind}Code", ""),
        correlation=subscription.get("correlationKey", "").strip(),
        line=line_of(element),
    )


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, tuple[T, ...]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _local(name: str) -> str:
    """A QName's local part: references may carry the file's own prefix."""
    return name.rpartition(":")[2]


def is_bpmn(root: Element) -> bool:
    return namespace(root) == BPMN and local_name(root) == "definitions"
