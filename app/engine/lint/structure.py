"""The shape of the graph: one start, every node on a way from it to an end, references that lead somewhere."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from app.engine.lint.finding import Finding, dangling, error, warning
from app.engine.lint.fix import drop_listed, set_attribute
from app.engine.lint.graph import forerunners, spread
from app.engine.lint.model import ACTIVITIES, REFUSED_NODES, Flow, Model, Node, Scope

MAX_NODES = 300
MAX_NESTING = 8


def process_level(model: Model) -> Iterator[Finding]:
    """`no_process`, `several_processes`, `not_executable`, `missing_name`, `too_many_nodes`, `nested_too_deep`."""
    if not model.processes:
        remedy = "Draw a process, or deploy only files that hold one."
        yield error("no_process", model.file, "The file holds no process", remedy)
    if len(model.processes) > 1:
        names = ", ".join(process.id for process in model.processes)
        message = f"The file holds {len(model.processes)} processes: {names}"
        yield error("several_processes", model.file, message, "Put each process into a file of its own.")
    for process in model.processes:
        if not process.executable:
            message = f"The process {process.id} is not marked as executable"
            # A process that says "false" was meant to be a drawing only; that is its author's to change.
            alone = process.undeclared and len(model.processes) == 1
            fix = set_attribute(process.id, "isExecutable", "true") if alone else None
            remedy = 'Set isExecutable="true" on the process.'
            yield error("not_executable", process.id, message, remedy, process.line, fix=fix)
        if not process.name:
            message = f"The process {process.id} has no name"
            yield warning("missing_name", process.id, message, "Name it in the words of its users.", process.line)
        count = sum(1 for _ in process.nodes())
        if count > MAX_NODES:
            message = f"The process has {count} nodes, more than the {MAX_NODES} allowed"
            yield error("too_many_nodes", process.id, message, "Move parts into processes of their own and call them.")
        for scope in process.scopes.values():
            if sum(1 for _ in process.enclosing(scope.id)) > MAX_NESTING:
                message = f"Sub-processes are nested more than {MAX_NESTING} deep"
                yield error("nested_too_deep", scope.id, message, "Move it into a process of its own and call it.")


def identifiers(model: Model) -> Iterator[Finding]:
    """`duplicate_id`, `missing_id`."""
    counts = Counter(element.get("id") for element in model.root.iter("*") if element.get("id"))
    for name, count in counts.items():
        if count > 1:
            message = f"The id {name!r} is used {count} times in the file"
            yield error("duplicate_id", str(name), message, "Give every element an id of its own.")
    for process in model.processes:
        for scope in process.scopes.values():
            for thing in scope.things():
                if not thing.id:
                    message = f"An element of {scope.id or 'the process'} has no id"
                    yield error("missing_id", scope.id or model.file, message, "Give it an id.", thing.line)


def starts(model: Model) -> Iterator[Finding]:
    """`no_start_event`, `several_start_events`."""
    for scope in model.scopes():
        found = scope.starts()
        if not found:
            message = f"{_where(scope)} has no start event"
            yield error("no_start_event", scope.id, message, "Draw one plain start event.", scope.line)
        for extra in found[1:]:
            message = f"{_where(scope)} has {len(found)} start events; only one can be the beginning"
            remedy = "Keep one start event and connect its flow; join paths with an exclusive gateway."
            yield error("several_start_events", extra.id, message, remedy, extra.line)


def references(model: Model) -> Iterator[Finding]:
    """`dangling_reference`: a flow, default, boundary event or listed flow that leads nowhere."""
    for scope in model.scopes():
        flows = {flow.id: flow for flow in scope.flows}
        for flow in scope.flows:
            for role, name in (("source", flow.source), ("target", flow.target)):
                if name not in scope.nodes:
                    message = f"The {role} {name!r} of the flow {flow.id} is not in {_where(scope)}"
                    yield dangling(flow.id, message, "Draw the flow again between two nodes.", flow.line)
        for node in scope.nodes.values():
            yield from _node_references(scope, node, flows)


def reachability(model: Model) -> Iterator[Finding]:
    """`unreachable` from the start, `no_path_to_end`."""
    for scope in model.scopes():
        starting = scope.starts()[:1]
        reached = spread((node.id for node in starting), scope.following.__getitem__)
        ends = [node.id for node in scope.nodes.values() if node.tag == "endEvent"]
        ending = spread(ends, partial(forerunners, scope))
        for node in scope.nodes.values():
            if starting and node.id not in reached and node.tag != "startEvent":
                message = f"{node.label} can never be reached from the start event"
                yield error("unreachable", node.id, message, "Draw a flow to it, or remove it.", node.line)
            elif node.id not in ending:
                message = f"No path leads from {node.label} to an end event"
                yield error("no_path_to_end", node.id, message, "Draw a flow that leads to an end event.", node.line)


def _node_references(scope: Scope, node: Node, flows: dict[str, Flow]) -> Iterator[Finding]:
    default = node.attributes.get("default")
    if default and (default not in flows or flows[default].source != node.id):
        message = f"The default flow {default!r} of {node.label} does not leave it"
        yield dangling(node.id, message, "Choose one of its own outgoing flows as default.", node.line)
    if node.tag == "boundaryEvent":
        host = scope.nodes.get(node.host)
        if host is None or host.tag not in ACTIVITIES | REFUSED_NODES:
            message = f"The boundary event {node.label} is not attached to a task or sub-process of {_where(scope)}"
            yield dangling(node.id, message, "Attach it to the border of a task or sub-process.", node.line)
    for direction, name in node.listed:
        flow = flows.get(name)
        if flow is None or node.id != (flow.target if direction == "incoming" else flow.source):
            message = f"{node.label} lists the {direction} flow {name!r}, which is not one of its flows"
            fix = drop_listed(node.id, direction, name)
            yield dangling(node.id, message, "Remove the entry, or draw the flow again.", node.line, fix=fix)
    if node.tag in ("startEvent", "boundaryEvent") and scope.into(node.id):
        message = f"A flow leads into {node.label}, where a path begins"
        yield error("flow_into_start", node.id, message, "Lead the flow to the node behind it.", node.line)
    if node.tag == "endEvent" and scope.out_of(node.id):
        message = f"A flow leads out of the end event {node.label}"
        yield error("flow_out_of_end", node.id, message, "Remove the flow, or the end event.", node.line)


def _where(scope: Scope) -> str:
    return f"the process {scope.id}" if scope.parent is None else f"the sub-process {scope.id}"
