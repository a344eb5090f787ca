"""Proofs about money: an unknown outcome is handled, no loop spends without a bound, no reservation is forgotten."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from app.engine.lint.expressions import feel
from app.engine.lint.finding import Finding, error, warning
from app.engine.lint.graph import on_cycles, spread, whole
from app.engine.lint.known import Known
from app.engine.lint.model import Model, Node, Process
from app.engine.lint.operations import catching

UNKNOWN = "OUTCOME_UNKNOWN"
#: What a catch-all catches.
ANY = ""


def unknown_outcomes(model: Model, known: Known) -> Iterator[Finding]:
    """`unknown_outcome_uncaught`. A catch-all does not count: it would treat "unknown" like "declined", and keeps
    it from whoever is further out.
    """
    for process in model.processes:
        for node in process.nodes():
            operation = known.operation(node.operation)
            if operation is None or not operation.moves_money or UNKNOWN not in operation.errors:
                continue
            caught = catching(model, process.scopes[node.scope], node.id)
            for outer, host in process.enclosing(node.scope):
                if ANY in caught:
                    break
                caught |= catching(model, outer, host.id)
            if UNKNOWN not in caught:
                message = f"{node.label} moves money, but nothing handles that its outcome may stay unknown"
                remedy = f"Attach an error boundary event with the code {UNKNOWN} that leads to finding out."
                yield error("unknown_outcome_uncaught", node.id, message, remedy, node.line)


def unknown_paths(model: Model, known: Known) -> Iterator[Finding]:
    """`unknown_outcome_ignored`: after an unknown outcome more money is moved before anybody has found out."""
    for process in model.processes:
        nodes = {node.id: node for node in process.nodes()}
        edges = {name: _uninformed(nodes[name], after) for name, after in whole(process).items()}
        for event in nodes.values():
            if event.tag != "boundaryEvent" or model.error_code(event) != UNKNOWN:
                continue
            reached = spread([event.id], edges.__getitem__)
            moving = sorted(name for name in reached if _spends(nodes[name], known))
            if moving:
                message = f"From {event.label} a path leads to {nodes[moving[0]].label} before the outcome is known"
                remedy = "Find out first: look the attempt up, wait for the gateway's message, or ask people."
                yield warning("unknown_outcome_ignored", event.id, message, remedy, event.line)


def loops(model: Model, known: Known) -> Iterator[Finding]:
    """`unbounded_money_loop`, `loop_without_counter`.

    Every cycle through an operation that moves money must pass an exclusive gateway with a condition, and a condition
    of the loop should read something that the loop itself sets, or it decides the same in every round.
    """
    for process in model.processes:
        nodes = {node.id: node for node in process.nodes()}
        edges = whole(process)
        guards = {name for name, node in nodes.items() if _conditions(process, node)}
        money = {name for name, node in nodes.items() if _moves_money(node, known)}
        unguarded = {
            name: {after for after in afters if after not in guards}
            for name, afters in edges.items()
            if name not in guards
        }
        for cycle in on_cycles(unguarded):
            for name in sorted(cycle & money):
                message = f"{nodes[name].label} moves money and can be repeated without end"
                remedy = "Lead the loop through an exclusive gateway with a condition that ends it, such as =tries < 3."
                yield error("unbounded_money_loop", name, message, remedy, nodes[name].line)
        for cycle in on_cycles(edges):
            yield from _without_counter(process, nodes, cycle, cycle & guards, cycle & money)


def authorizations(model: Model, known: Known) -> Iterator[Finding]:
    """`authorization_left_open`: an authorization reserves somebody's money until it is captured or voided."""
    for process in model.processes:
        nodes = {node.id: node for node in process.nodes()}
        edges = whole(process)
        for node in nodes.values():
            group, _, verb = node.operation.rpartition(".")
            if verb != "authorize" or known.operation(node.operation) is None:
                continue
            reached = spread([node.id], edges.__getitem__)
            closing = {f"{group}.capture", f"{group}.void"}
            if not any(_runs(nodes[name], known) & closing for name in reached):
                message = f"No path from {node.label} leads to a capture or a void"
                remedy = f"Draw a service task {group}.capture or {group}.void behind it."
                yield error("authorization_left_open", node.id, message, remedy, node.line)


def _without_counter(
    process: Process, nodes: dict[str, Node], cycle: AbstractSet[str], guards: AbstractSet[str], money: AbstractSet[str]
) -> Iterator[Finding]:
    if not guards or not money:
        return
    read = {name for guard in guards for name in _conditions(process, nodes[guard])}
    members = [nodes[name] for name in cycle]
    merged = any(_sets_everything(node) for node in members)
    if merged or not read.isdisjoint(name for node in members for name in _sets(node)):
        return
    name = min(money)
    message = f"The loop around {nodes[name].label} is ended by a condition on {', '.join(sorted(read)) or 'nothing'}"
    remedy = "Let the loop itself set what its condition reads: count the rounds in a script task, such as =tries + 1."
    yield warning("loop_without_counter", name, f"{message}, which the loop never changes", remedy, nodes[name].line)


def _conditions(process: Process, node: Node) -> set[str]:
    """The variables that the conditions of an exclusive gateway read; empty when it has none that reads any."""
    if node.tag != "exclusiveGateway":
        return set()
    flows = process.scopes[node.scope].out_of(node.id)
    read = (feel(flow.condition) for flow in flows if flow.condition is not None)
    return {name for expression in read if expression for name in expression.names | expression.possible}


def _sets(node: Node) -> set[str]:
    """The variables that a node surely sets."""
    outputs = {mapping.get("target", "").partition(".")[0] for mapping in node.extensions.get("output", ())}
    results = {node.extension(name).get("resultVariable", "") for name in ("script", "calledDecision")}
    return outputs | results


def _sets_everything(node: Node) -> bool:
    """Whether a node's whole result becomes variables because it maps no output."""
    answering = node.tag in ("serviceTask", "sendTask", "userTask", "callActivity", "receiveTask")
    waiting = node.tag in ("intermediateCatchEvent", "boundaryEvent") and node.has_event("message")
    return (answering or waiting) and not node.extensions.get("output")


def _runs(node: Node, known: Known) -> set[str]:
    """The operations that run when the node does, those of called processes included."""
    called = node.extension("calledElement").get("processId", "")
    return {node.operation} | (known.operations_of(called) if called else set())


def _uninformed(node: Node, after: set[str]) -> set[str]:
    """Where a path goes on without having learned anything; nowhere from a node that brings evidence."""
    asks = node.tag in ("userTask", "callActivity", "receiveTask") or node.operation.endswith((".lookup", ".resolve"))
    hears = node.tag in ("intermediateCatchEvent", "boundaryEvent") and node.has_event("message")
    return set() if asks or hears else after


def _spends(node: Node, known: Known) -> bool:
    """Whether a node itself moves money other than giving a reservation back."""
    operation = known.operation(node.operation)
    return operation is not None and operation.moves_money and not operation.name.endswith(".void")


def _moves_money(node: Node, known: Known) -> bool:
    operations = (known.operation(name) for name in _runs(node, known))
    return any(operation.moves_money for operation in operations if operation is not None)
