"""Reviews: an authorization lives for some days, and a person who takes longer decides about money that is gone."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from app.engine.expressions import EvaluationFailed
from app.engine.lint.finding import Finding, warning
from app.engine.lint.graph import spread, whole
from app.engine.lint.known import Known
from app.engine.lint.model import Model, Node, Process
from app.engine.timing import ANY_TIME, parse_duration

#: What an authorization is taken to live, as wherever a gateway does not say.
LIFE: Final = timedelta(days=7)


def lingering(process: Process) -> list[str]:
    """The user tasks that nothing is sure to end while an authorization lives."""
    return sorted(node.id for node in process.nodes() if node.tag == "userTask" and not _ended(process, node))


def outlived(model: Model, known: Known) -> Iterator[Finding]:
    """`review_outlives_authorization`: between an authorization and its capture or void people may take for ever."""
    for process in model.processes:
        own = set(lingering(process))
        for node in _while_held(process, known):
            if node.id in own or (_calls_lingering(node, known) and not _ended(process, node)):
                message = f"{node.label} may wait for people for longer than an authorization lives"
                remedy = (
                    "Attach an interrupting timer that leads to a void, such as "
                    '=date and time(expires_at) - duration("PT1H"), to it or to a sub-process around it.'
                )
                yield warning("review_outlives_authorization", node.id, message, remedy, node.line)


def _while_held(process: Process, known: Known) -> list[Node]:
    """What may run between an authorization and the capture or void that uses it up, neither of them included."""
    nodes = {node.id: node for node in process.nodes()}
    edges = {
        name: () if _closes(nodes[name], known) else [one for one in after if one in nodes]
        for name, after in whole(process).items()
    }
    begin = {
        # Only along its flows: behind its boundary events nothing is authorized.
        flow.target
        for node in nodes.values()
        if _does(node, known, "authorize")
        for flow in process.scopes[node.scope].out_of(node.id)
        if flow.target in nodes
    }
    return [nodes[name] for name in sorted(spread(begin, edges.__getitem__)) if not _closes(nodes[name], known)]


def _ended(process: Process, node: Node) -> bool:
    """Whether an interrupting timer at the node or around it ends it in time. An expression is believed."""
    hosts = [(process.scopes[node.scope], node), *process.enclosing(node.scope)]
    return any(
        event.interrupting and definition.kind == "timer" and any(_short(*time) for time in definition.times)
        for scope, host in hosts
        for event in scope.on(host.id)
        for definition in event.events
    )


def _short(tag: str, text: str) -> bool:
    if tag != "timeDuration" or text.startswith("="):
        return True
    try:
        return parse_duration(text).after(ANY_TIME) - ANY_TIME <= LIFE
    except EvaluationFailed:
        return True  # another finding tells it


def _calls_lingering(node: Node, known: Known) -> bool:
    called = node.extension("calledElement").get("processId", "")
    return any(known.processes[name].lingering for name in known.reach(called) if name in known.processes)


def _does(node: Node, known: Known, *verbs: str) -> bool:
    called = node.extension("calledElement").get("processId", "")
    operations = {node.operation} | (known.operations_of(called) if called else set())
    return any(name.rpartition(".")[2] in verbs for name in operations if known.operation(name) is not None)


def _closes(node: Node, known: Known) -> bool:
    """Whether the money is taken or given back there, so that what comes later waits with nothing in its hands."""
    return _does(node, known, "capture", "void") and not _does(node, known, "authorize")
