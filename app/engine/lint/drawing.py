"""What people see: names, lanes that say who may act, and a shape or an edge for everything an instance passes."""

from collections import Counter
from collections.abc import Iterable, Iterator

from app.engine.lint.finding import Finding, dangling, error, nearest, warning
from app.engine.lint.model import ACTIVITIES, Flow, Model
from app.engine.xml import BPMN, Element, line_of, namespace


def names(model: Model) -> Iterator[Finding]:
    """`missing_name`: what people see on the diagram and in lists needs words."""
    for process in model.processes:
        for node in process.nodes():
            branching = node.tag == "exclusiveGateway" and len(process.scopes[node.scope].out_of(node.id)) > 1
            if not node.name and (node.tag in ACTIVITIES or branching):
                message = f"{node.id} has no name"
                remedy = "Name the question it asks." if branching else "Name what it does, such as 'Capture payment'."
                yield warning("missing_name", node.id, message, remedy, node.line)


def pools(model: Model) -> Iterator[Finding]:
    """`dangling_reference` of a pool; one without a process stands for somebody outside."""
    processes = {process.id for process in model.processes}
    for pool in model.root.iter(f"{{{BPMN}}}participant"):
        process = pool.get("processRef", "").rpartition(":")[2]
        if process and process not in processes:
            message = f"The pool shows the process {process!r}, which is not in the file"
            remedy = "Remove the pool, or leave it without a process for somebody outside."
            yield dangling(pool.get("id", ""), message, remedy, line_of(pool))


def lanes(model: Model) -> Iterator[Finding]:
    """`lane_without_name`, `node_in_two_lanes`, and `dangling_reference` of a lane."""
    for process in model.processes:
        own = set(process.scope.nodes)
        places = Counter(name for lane in process.lanes for name in lane.nodes)
        for lane in process.lanes:
            if not lane.name:
                message = f"The lane {lane.id} has no name, and its name says who may act"
                yield error("lane_without_name", lane.id, message, "Name the lane after a group.", lane.line)
            for name in lane.nodes:
                if name not in own:
                    message = f"The lane {lane.name or lane.id} lists {name!r}, which is not in the process"
                    yield dangling(lane.id, message, "Remove the entry by moving the node out and back.", lane.line)
        for name, count in places.items():
            if count > 1:
                message = f"{name} stands in {count} lanes"
                yield error("node_in_two_lanes", name, message, "Move it fully into one lane.")


def drawn(model: Model) -> Iterator[Finding]:
    """`not_drawn`: an instance is watched on its diagram, so everything it passes must be visible there."""
    for scope in model.scopes():
        for thing in scope.things():
            if thing.id and thing.id not in model.drawn:
                what = "edge" if isinstance(thing, Flow) else "shape"
                message = f"{thing.id} has no {what} in the diagram, so nobody could watch it run"
                yield error("not_drawn", thing.id, message, "Open the file in the modeler and draw it.", thing.line)
    known = {element.get("id") for element in model.root.iter(f"{{{BPMN}}}*")}
    for element in model.root.iter("*"):
        name = element.get("bpmnElement")
        if name and namespace(element) != BPMN and name.rpartition(":")[2] not in known:
            yield _orphan(element, name, known)


def _orphan(element: Element, name: str, known: Iterable[str | None]) -> Finding:
    hint = nearest(name, [item for item in known if item])
    message = f"The drawing shows {name!r}, which is not in the file"
    shown = hint if hint.startswith("Did") else "Remove the shape."
    return dangling(element.get("id") or name, message, shown, line_of(element))
