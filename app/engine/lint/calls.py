"""Called processes and decisions: there, or among the files; never in a circle, never too deep."""

from collections.abc import Iterator

from app.engine.lint.finding import Finding, error, nearest
from app.engine.lint.known import Known, ProcessFacts
from app.engine.lint.model import Model, Node, Process

MAX_CALLS = 8


def processes(model: Model, known: Known) -> Iterator[Finding]:
    """`missing_called_process`, `fixed_name_required`, `unknown_process`, `call_cycle`, `calls_too_deep`,
    `parent_variables`.
    """
    for process in model.processes:
        for node in process.nodes():
            if node.tag == "callActivity":
                yield from _call(process, node, known)
                yield from _given(node)
        if _too_deep(process.id, known):
            message = f"{process.id} calls processes more than {MAX_CALLS} deep"
            remedy = "Draw some of the called steps into the process that calls them."
            yield error("calls_too_deep", process.id, message, remedy, process.line)


def decisions(model: Model, known: Known) -> Iterator[Finding]:
    """`missing_decision`, `fixed_name_required`, `unknown_decision`."""
    for node in model.nodes():
        if node.tag != "businessRuleTask":
            continue
        decision = node.extension("calledDecision").get("decisionId", "")
        if not decision:
            remedy = "Choose a decision and a result variable."
            yield error("missing_decision", node.id, f"{node.label} names no decision", remedy, node.line)
        elif decision.startswith("="):
            yield _dynamic(node, "decision")
        elif decision not in known.decisions:
            message = f"{node.label} asks the decision {decision!r}, which is neither published nor among these files"
            remedy = f"Deploy it together with the diagram, or publish it first. {nearest(decision, known.decisions)}"
            yield error("unknown_decision", node.id, message, remedy.strip(), node.line)


def _call(process: Process, node: Node, known: Known) -> Iterator[Finding]:
    called = node.extension("calledElement").get("processId", "")
    if not called:
        remedy = "Choose the process to call."
        yield error("missing_called_process", node.id, f"{node.label} calls no process", remedy, node.line)
    elif called.startswith("="):
        yield _dynamic(node, "process")
    elif called not in known.processes:
        message = f"{node.label} calls the process {called!r}, which is neither published nor among these files"
        remedy = f"Deploy it together with this one, or publish it first. {nearest(called, known.processes)}"
        yield error("unknown_process", node.id, message, remedy.strip(), node.line)
    elif process.id in known.reach(called):
        way = " → ".join(_way(called, process.id, known))
        message = f"{node.label} leads back to its own process and would call itself without end: {process.id} → {way}"
        remedy = "Draw a loop with an exclusive gateway instead, or take one call out of the circle."
        yield error("call_cycle", node.id, message, remedy, node.line)


def _given(node: Node) -> Iterator[Finding]:
    """What a called process gets: its inputs, else everything. Refused where the diagram says something else."""
    everything = node.extension("calledElement").get("propagateAllParentVariables")
    if everything == "true" and "input" in node.extensions:
        message = f"{node.label} passes on all variables beside its input mappings; with mappings only those are passed"
        remedy = 'Map every variable it needs and set propagateAllParentVariables="false", or remove the mappings.'
        yield error("parent_variables", node.id, message, remedy, node.line)
    elif everything == "false" and "input" not in node.extensions:
        message = f"{node.label} passes on no variables; without input mappings all are passed"
        remedy = "Map what it needs as inputs: then nothing else is passed on."
        yield error("parent_variables", node.id, message, remedy, node.line)


def _dynamic(node: Node, kind: str) -> Finding:
    message = f"{node.label} computes which {kind} it uses, so it cannot be checked or fixed to a version"
    remedy = f"Name the {kind} itself; choose between several with an exclusive gateway."
    return error("fixed_name_required", node.id, message, remedy, node.line)


def _way(begin: str, end: str, known: Known) -> list[str]:
    """The shortest chain of calls from `begin` to `end`, both included."""
    before: dict[str, str] = {}
    for name in (order := [begin]):
        for called in sorted(known.processes.get(name, ProcessFacts()).calls):
            if called not in before and called != begin:
                before[called] = name
                order.append(called)
    way = [end]
    while way[-1] != begin:
        way.append(before[way[-1]])
    return way[::-1]


def _too_deep(process: str, known: Known) -> bool:
    """Whether some chain of calls is too long; in a circle it always is, which another finding tells better."""
    if any(process in known.reach(called) for called in known.processes.get(process, ProcessFacts()).calls):
        return False
    level = {process}
    for _ in range(MAX_CALLS + 1):
        level = {called for name in level for called in known.processes.get(name, ProcessFacts()).calls}
    return bool(level)
