"""Timers and due dates: written as ISO 8601 or FEEL, and repeating only where the engine repeats."""

from collections.abc import Callable, Iterator

from app.engine.expressions import EvaluationFailed
from app.engine.lint.expressions import settled
from app.engine.lint.finding import Finding, error
from app.engine.lint.fix import write_time
from app.engine.lint.model import EventDefinition, Model, Node
from app.engine.timing import ANY_TIME, parse_cycle, parse_date, parse_due, parse_duration

_EXAMPLES = {
    "timeDate": "a date and time with its offset, such as 2030-01-31T09:00:00Z",
    "timeDuration": "a duration, such as PT15M or P2D",
    "timeCycle": "a repeating interval, such as R3/PT10M or R/2030-01-31T09:00:00Z/P1D",
}
_READERS: dict[str, Callable[[str], object]] = {
    "timeDate": parse_date,
    "timeDuration": lambda text: parse_duration(text).after(ANY_TIME),
    "timeCycle": lambda text: parse_cycle(text).interval.after(ANY_TIME),
}


def readable(model: Model) -> Iterator[Finding]:
    """`timer_without_time`, `invalid_timer`, `cycle_not_allowed`, `invalid_due_date`."""
    for node in model.nodes():
        for event in node.events:
            if event.kind == "timer":
                yield from _timer(node, event)
        due = node.extension("taskSchedule").get("dueDate", "").strip()
        problem = _problem(lambda text: parse_due(text, ANY_TIME), due) if due else ""
        if problem:
            message = f"The due date of {node.label} is not one: {problem}"
            remedy = "Write a duration from now such as PT4H, a date with its offset, or FEEL with = that gives one."
            yield error("invalid_due_date", node.id, message, remedy, node.line)


def _timer(node: Node, event: EventDefinition) -> Iterator[Finding]:
    if len(event.times) != 1 or not event.times[0][1]:
        message = f"The timer {node.label} has no time" if len(event.times) < 2 else f"{node.label} has several times"
        remedy = "Give it exactly one date, duration or cycle."
        yield error("timer_without_time", node.id, message, remedy, node.line)
        return
    tag, text = event.times[0]
    if node.tag == "startEvent":
        if tag == "timeDuration":
            message = f"The start event {node.label} waits for a duration, but there is nothing yet to count it from"
            remedy = "Use a date, or a cycle such as R/P1D, which counts from the moment the version is published."
            yield error("start_without_moment", node.id, message, remedy, node.line)
            return
    elif tag == "timeCycle" and (node.tag != "boundaryEvent" or node.interrupting):
        message = f"The timer {node.label} repeats, but it fires only once"
        remedy = "Use a duration, or a non-interrupting boundary event, which may repeat."
        yield error("cycle_not_allowed", node.id, message, remedy, node.line)
    problem = _problem(_READERS.get(tag, parse_date), text)
    if problem:
        message = f"The timer {node.label} cannot be read: {problem}"
        remedy = f"Write {_EXAMPLES.get(tag, _EXAMPLES['timeDuration'])}, or FEEL with = that gives one."
        plain = "".join(text.split()).upper()
        readable = not text.startswith("=") and plain != text and not _problem(_READERS.get(tag, parse_date), plain)
        fix = write_time(node.id, tag, plain) if readable else None
        yield error("invalid_timer", node.id, message, remedy, node.line, fix=fix)


def _problem(read: Callable[[str], object], text: str) -> str:
    """What is wrong with a literal, or with an expression that always gives the same; empty when nothing is known."""
    try:
        said = settled(text, "The time")
        if said is not None:
            read(said)
    except EvaluationFailed as failed:
        return f"{text} gives no time. {failed}" if text.startswith("=") else str(failed)
    return ""
