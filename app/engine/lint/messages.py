"""Messages, errors and escalations: declared, addressed, and never waited for without a way out."""

from collections.abc import Iterator

from app.engine.lint.finding import Finding, dangling, error, warning
from app.engine.lint.model import Declaration, Model, Node, Process, Scope
from app.engine.reserved import is_own_message

_CORRELATE = "Set the message's subscription correlation key, such as =payment."


def declared(model: Model) -> Iterator[Finding]:
    """`message_missing`, `message_without_name`, `message_without_correlation`, `dangling_reference`."""
    told: set[str] = set()
    for node in model.nodes():
        refs = [event.ref for event in node.events if event.kind == "message"]
        for ref in [*refs, node.message] if node.tag == "receiveTask" else refs:
            message = model.declared("message", ref)
            if not ref:
                remedy = "Choose a message in its properties."
                yield error("message_missing", node.id, f"{node.label} names no message", remedy, node.line)
            elif message is None:
                sentence = f"{node.label} refers to the message {ref!r}, which is not in the file"
                yield dangling(node.id, sentence, "Choose a message in its properties.", node.line)
            elif message.id not in told:
                # What starts an instance finds none by its key: that belongs to those who wait.
                if node.tag != "startEvent":
                    told.add(message.id)
                yield from _message(message, node)


def sent(model: Model) -> Iterator[Finding]:
    """`message_reserved`."""
    for node in model.nodes():
        if node.tag not in ("intermediateThrowEvent", "endEvent", "sendTask"):
            continue
        for event in node.events:
            message = model.declared("message", event.ref) if event.kind == "message" else None
            if message is not None and is_own_message(message.name):
                sentence = f"{node.label} sends {message.name!r}, which only Sluice itself sends"
                remedy = "Give the message a name of your own, such as order.placed."
                yield error("message_reserved", node.id, sentence, remedy, node.line)


def thrown(model: Model) -> Iterator[Finding]:
    """`error_without_code`, `dangling_reference`, `error_not_interrupting`, `duplicate_boundary`."""
    for scope in model.scopes():
        for node in scope.nodes.values():
            for event in node.events:
                if event.kind in ("error", "escalation"):
                    yield from _code(model, node, event.kind, event.ref)
        for host in scope.boundaries:
            yield from _repeated(model, scope, host)


def alternatives(model: Model) -> Iterator[Finding]:
    """`message_without_timer`: a message may never come, so something else must end the wait."""
    for process in model.processes:
        for scope in process.scopes.values():
            for node in scope.nodes.values():
                if _waits_for_ever(process, scope, node):
                    message = f"{node.label} waits for a message and for nothing else; it may never come"
                    remedy = (
                        "Put an event-based gateway before it with a timer beside the message, "
                        "or attach an interrupting timer to the task or to a sub-process around it."
                    )
                    yield warning("message_without_timer", node.id, message, remedy, node.line)


def _message(message: Declaration, node: Node) -> Iterator[Finding]:
    if not message.name:
        sentence = f"The message {message.id} has no name, by which it is sent"
        yield error("message_without_name", node.id, sentence, "Name the message.", message.line)
    if not message.correlation and node.tag != "startEvent":
        sentence = f"The message {message.name or message.id} has no correlation key to find its instance by"
        yield error("message_without_correlation", node.id, sentence, _CORRELATE, message.line)


def _code(model: Model, node: Node, kind: str, ref: str) -> Iterator[Finding]:
    known = model.declared(kind, ref)
    if ref and known is None:
        message = f"{node.label} refers to the {kind} {ref!r}, which is not in the file"
        yield dangling(node.id, message, f"Choose the {kind} in its properties.", node.line)
    elif (known is None and node.tag != "boundaryEvent") or (known is not None and not known.code):
        message = f"The {kind} of {node.label} has no code, by which it is caught"
        remedy = f"Give the {kind} a code such as HARD_DECLINE."
        yield error("error_without_code", node.id, message, remedy, node.line)
    elif known is not None and known.code.startswith("="):
        message = f"The {kind} code of {node.label} is an expression; it must be fixed to be matched"
        yield error("error_without_code", node.id, message, "Write the code itself, such as HARD_DECLINE.", node.line)
    if kind == "error" and node.tag == "boundaryEvent" and not node.interrupting:
        message = f"{node.label} catches an error without interrupting, but a failed task cannot go on"
        remedy = "Make the event interrupting, or use an escalation."
        yield error("error_not_interrupting", node.id, message, remedy, node.line)


def _repeated(model: Model, scope: Scope, host: str) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for node in scope.on(host):
        for event in node.events:
            if event.kind not in ("error", "escalation"):
                continue
            known = model.declared(event.kind, event.ref)
            caught = (event.kind, known.code if known else "")
            if caught in seen:
                message = f"A second event on {host} catches the {event.kind} {caught[1] or 'of any code'}"
                yield error("duplicate_boundary", node.id, message, "Keep one of the two.", node.line)
            seen.add(caught)


def _waits_for_ever(process: Process, scope: Scope, node: Node) -> bool:
    if node.tag == "receiveTask":
        waiting = not _timed(scope, node)
    elif node.tag == "intermediateCatchEvent":
        waiting = node.has_event("message")
    else:
        return False
    before = [scope.nodes[flow.source] for flow in scope.into(node.id) if flow.source in scope.nodes]
    raced = bool(before) and all(_races_a_timer(scope, gateway) for gateway in before)
    around = any(_timed(outer, host) for outer, host in process.enclosing(scope.id))
    return waiting and not raced and not around


def _timed(scope: Scope, host: Node) -> bool:
    """Whether a timer ends it; one that does not interrupt leaves it waiting."""
    return any(event.has_event("timer") and event.interrupting for event in scope.on(host.id))


def _races_a_timer(scope: Scope, gateway: Node) -> bool:
    targets = [scope.nodes[flow.target] for flow in scope.out_of(gateway.id) if flow.target in scope.nodes]
    return gateway.tag == "eventBasedGateway" and any(target.has_event("timer") for target in targets)
