"""What has been seen so far of a scenario that is being played."""

from collections.abc import Mapping

from app.engine.elements import Element
from app.engine.scenarios.library import Library
from app.engine.scenarios.verdict import Visited
from app.engine.step import Call, InstanceStatus, JournalEntry, JournalKind, Step, TaskRequest


class Record:
    """Steps, calls and tasks of one run of `process`; the last call and the last task of each node are kept."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.step = Step(InstanceStatus.RUNNING)
        self.journal: list[JournalEntry] = []
        self.calls: dict[str, Call] = {}
        self.tasks: dict[str, TaskRequest] = {}
        self.sent: list[str] = []

    def add(self, step: Step) -> None:
        self.step = step
        self.journal.extend(step.journal)
        self.sent.extend(thrown.message for thrown in step.thrown)
        self.tasks.update((task.node, task) for task in step.tasks)

    def asked(self, call: Call) -> None:
        self.calls[call.node] = call

    def visited(self, library: Library) -> Mapping[str, Visited]:
        """Elements and flows by process. An event that only waited in a race was not visited."""
        elements: dict[str, dict[str, None]] = {}
        flows: dict[str, dict[str, None]] = {}
        for entry in self.journal:
            process = entry.process or self.process
            seen = elements.setdefault(process, {})
            if entry.kind is _visit(library.diagrams[process].elements.get(entry.element)):
                seen[entry.element] = None
            elif entry.kind is JournalKind.TAKEN:
                flows.setdefault(process, {})[entry.element] = None
        return {process: Visited(tuple(seen), tuple(flows.get(process, ()))) for process, seen in elements.items()}


def _visit(element: Element | None) -> JournalKind:
    """What makes a visit: coming there, but for an event that is waited for only its happening."""
    waited = element is not None and element.kind in ("intermediateCatchEvent", "receiveTask")
    return JournalKind.LEFT if waited else JournalKind.ENTERED
