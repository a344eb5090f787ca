"""What came of playing a scenario."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.engine.step import JournalEntry, Step


@dataclass(frozen=True, slots=True)
class Visited:
    """What one process was seen to do: ids of elements and of sequence flows, in the order of their first visit."""

    elements: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`differences` say in words what was not as expected. `visited` is by process, the called ones too.

    `journal` is the whole history and `step` the last one, for showing the scenario on its diagram.
    """

    process: str
    scenario: str
    differences: tuple[str, ...]
    visited: Mapping[str, Visited]
    journal: tuple[JournalEntry, ...]
    step: Step

    @property
    def passed(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        if self.passed:
            return f"{self.process}: {self.scenario}: as expected"
        return "\n".join([f"{self.process}: {self.scenario}", *(f"  - {line}" for line in self.differences)])
