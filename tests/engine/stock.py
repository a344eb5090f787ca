"""SpiffWorkflow as it comes, driven as its documentation says: what our own engine is compared with."""

import logging
from collections.abc import Callable
from typing import Any

from SpiffWorkflow.bpmn import BpmnEvent, BpmnWorkflow
from SpiffWorkflow.bpmn.parser import BpmnParser
from SpiffWorkflow.bpmn.serializer import DEFAULT_CONFIG, BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.specs.event_definitions.message import MessageEventDefinition
from SpiffWorkflow.util.task import TaskState

from tests.engine.diagrams import draw, node

#: Its loggers work out what they would say even where nobody listens.
logging.getLogger("spiff").setLevel(logging.WARNING)
SERIALIZER = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(DEFAULT_CONFIG))


def python(identity: str, code: str) -> str:
    return node("scriptTask", identity, f"<bpmn:script>{code}</bpmn:script>")


def specs(*diagrams: bytes, parser: type[BpmnParser] = BpmnParser) -> tuple[Any, dict[str, Any]]:
    """The spec of `p` and those it calls."""
    reader = parser()
    for xml in diagrams:
        reader.add_bpmn_str(xml)
    return reader.get_spec("p"), reader.get_subprocess_specs("p")


def started(
    *parts: str,
    declare: tuple[str, ...] = (),
    shapes: dict[str, int] | None = None,
    given: dict[str, Any] | None = None,
) -> BpmnWorkflow:
    """A workflow of one diagram, run as far as it goes; `given` are its variables."""
    workflow = BpmnWorkflow(*specs(draw(*parts, declare=declare, shapes=shapes)))
    workflow.task_tree.data.update(given or {})
    return run(workflow)


def run(workflow: BpmnWorkflow) -> BpmnWorkflow:
    workflow.do_engine_steps()
    workflow.refresh_timers()
    workflow.do_engine_steps()
    return workflow


def again(workflow: BpmnWorkflow) -> BpmnWorkflow:
    """Saved and loaded."""
    return SERIALIZER.deserialize_json(SERIALIZER.serialize_json(workflow))


def done(workflow: BpmnWorkflow) -> list[str]:
    """The names of what was completed, in the order of the tree."""
    return [task.task_spec.name for task in workflow.get_tasks(state=TaskState.COMPLETED)]


def the(workflow: BpmnWorkflow, name: str) -> Any:
    """The first task of that name."""
    return workflow.get_tasks(spec_name=name)[0]


def tell(workflow: BpmnWorkflow, name: str) -> None:
    workflow.send_event(BpmnEvent(MessageEventDefinition(name), payload={}))
    workflow.do_engine_steps()


def outcome(attempt: Callable[[], Any]) -> str:
    """What happened: the value, or the name of what was raised."""
    try:
        return repr(attempt())
    except Exception as raised:  # the library raises all kinds
        return type(raised).__name__
