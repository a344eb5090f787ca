"""What starts a process by itself: readable before there is an instance, nobody else's message, and about no money."""

from collections.abc import Iterator

from app.engine.expressions import EvaluationFailed
from app.engine.lint.expressions import feel, settled
from app.engine.lint.finding import Finding, error
from app.engine.lint.known import Known
from app.engine.lint.model import Model, Node, Process
from app.engine.reserved import about_money, is_own_message
from app.engine.timing import ANY_TIME, SHORTEST, parse_cycle


def readable(model: Model) -> Iterator[Finding]:
    """`start_reads_variables`, `starts_too_often`, `message_reserved`."""
    for node, text in _occasions(model):
        expression = feel(text)
        if expression is not None and expression.names:
            names = ", ".join(sorted(expression.names))
            message = f"The start event {node.label} reads {names}, but there are no variables before it"
            remedy = "Write the name or the time itself; an expression may use now() and today() only."
            yield error("start_reads_variables", node.id, message, remedy, node.line)
        if node.has_event("timer") and _too_often(text):
            message = f"The start event {node.label} starts the process more often than once a minute"
            remedy = "Use a longer interval, such as R/PT1M; what is to happen more often is one flow with a loop."
            yield error("starts_too_often", node.id, message, remedy, node.line)
        if node.has_event("message") and is_own_message(text):
            message = f"The start event {node.label} waits for {text!r}, which Sluice sends to flows that wait for it"
            remedy = "Give the message a name of your own, such as order.placed."
            yield error("message_reserved", node.id, message, remedy, node.line)


def subjects(model: Model, known: Known) -> Iterator[Finding]:
    """`start_without_subject`: what starts by itself is about no payment, so it can act on none."""
    for process in model.processes:
        for node in _self_starting(process):
            money = about_money(known.operations_of(process.id))
            if money:
                message = f"{node.label} starts the process by itself, so {money[0]} has no payment to act on"
                remedy = "Use a plain start event: creating a payment, a refund or a dispute starts such a process."
                yield error("start_without_subject", node.id, message, remedy, node.line)


def _self_starting(process: Process) -> Iterator[Node]:
    if process.id in process.scopes:
        yield from (node for node in process.scope.starts() if node.has_event("message") or node.has_event("timer"))


def _occasions(model: Model) -> Iterator[tuple[Node, str]]:
    """Each start event that waits for something, with the message's name or the time."""
    for process in model.processes:
        for node in _self_starting(process):
            for event in node.events:
                declared = model.declared("message", event.ref)
                yield from ((node, text) for _, text in event.times)
                if declared is not None:
                    yield node, declared.name


def _too_often(text: str) -> bool:
    try:
        said = settled(text, "The time")
        return said is not None and parse_cycle(said).interval.after(ANY_TIME) < ANY_TIME + SHORTEST
    except EvaluationFailed:
        return False
