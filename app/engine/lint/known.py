"""What a diagram may refer to: operations, and the processes, decisions and forms it is deployed with or beside."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from app.kit.database import Json
from app.operations import Operation, Registry


@dataclass(frozen=True, slots=True)
class Upload:
    """One file to deploy. `name` ends with `.bpmn`, `.dmn` or `.form.json`, else its content tells what it is."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What callers must know of a process: which ones it calls, and what it does itself.

    `lingering` are its user tasks that may outlive an authorization.
    """

    calls: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()
    lingering: frozenset[str] = frozenset()

    @classmethod
    def of(cls, uses: Json) -> "ProcessFacts":
        """From what is stored of a definition; what was stored before does not tell of tasks."""
        return cls(frozenset(uses["processes"]), frozenset(uses["operations"]), frozenset(uses.get("lingering", ())))


@dataclass(frozen=True, slots=True)
class Known:
    """`decisions` maps each decision id to the key of the model that defines it."""

    operations: Registry
    processes: Mapping[str, ProcessFacts] = field(default_factory=dict)
    decisions: Mapping[str, str] = field(default_factory=dict)
    forms: frozenset[str] = frozenset()

    def plus(
        self, processes: Mapping[str, ProcessFacts], decisions: Mapping[str, str], forms: Iterable[str]
    ) -> "Known":
        """This, with what is being deployed taking the place of what was published under the same names."""
        replaced = set(decisions.values())
        kept = {decision: model for decision, model in self.decisions.items() if model not in replaced}
        return replace(
            self,
            processes={**self.processes, **processes},
            decisions={**kept, **decisions},
            forms=self.forms | set(forms),
        )

    def operation(self, name: str) -> Operation | None:
        return self.operations.get(name) if name in self.operations else None

    def reach(self, process: str) -> list[str]:
        """Every known process that runs when `process` does, itself first; an endless call cycle is walked once."""
        seen = [process]
        for name in seen:
            facts = self.processes.get(name, ProcessFacts())
            seen += sorted(facts.calls.difference(seen))
        return seen

    def operations_of(self, process: str) -> set[str]:
        """The operations of `process` and of everything it calls."""
        return {
            operation
            for name in self.reach(process)
            for operation in self.processes.get(name, ProcessFacts()).operations
        }
