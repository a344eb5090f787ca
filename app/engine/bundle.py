"""Everything one instance runs: its diagram, the diagrams it calls, the decisions they ask. Fixed at its start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.decisions import DecisionModel
from app.engine.dialect import Diagram
from app.errors import AppError


class IncompleteBundle(AppError):
    """A diagram calls a process or asks a decision that is not deployed."""

    code = "incomplete_bundle"
    title = "Something this process needs is not deployed"
    status = 422


@dataclass(frozen=True)
class Bundle:
    """`process` is where an instance starts; `diagrams` are by process id, `decisions` by decision id."""

    process: str
    diagrams: Mapping[str, Diagram]
    decisions: Mapping[str, DecisionModel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.process not in self.diagrams:
            raise IncompleteBundle(f"Process {self.process} is not deployed")
        for diagram in self.diagrams.values():
            for called in diagram.called:
                if called not in self.diagrams:
                    raise IncompleteBundle(f"{diagram.process} calls the process {called}, which is not deployed")
            for decision in diagram.decisions:
                if decision not in self.decisions:
                    raise IncompleteBundle(f"{diagram.process} asks the decision {decision}, which is not deployed")
