"""Which sequence flows of which diagram the scenarios of a folder visit, and whether they came out as expected."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.engine.scenarios.check import check
from app.engine.scenarios.library import Library, library
from app.engine.scenarios.play import play
from app.engine.scenarios.reading import Document, read_documents
from app.engine.scenarios.verdict import Verdict
from app.engine.shipped import uploads
from app.operations import Registry

FILE = "scenarios.yaml"


@dataclass(frozen=True, slots=True)
class DiagramCoverage:
    """`unvisited` are the ids of the flows that no scenario takes, in the diagram's order."""

    process: str
    total: int
    unvisited: tuple[str, ...]

    @property
    def visited(self) -> int:
        return self.total - len(self.unvisited)


@dataclass(frozen=True, slots=True)
class Coverage:
    verdicts: tuple[Verdict, ...]
    diagrams: tuple[DiagramCoverage, ...]

    @property
    def complete(self) -> bool:
        return not any(diagram.unvisited for diagram in self.diagrams)

    @property
    def failed(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)

    def table(self) -> str:
        """One line for each diagram: its scenarios, its flows, and the flows that nothing visits."""
        width = max((len(diagram.process) for diagram in self.diagrams), default=0)
        lines = []
        for diagram in self.diagrams:
            count = sum(verdict.process == diagram.process for verdict in self.verdicts)
            missing = f"  not visited: {', '.join(diagram.unvisited)}" if diagram.unvisited else ""
            flows = f"{diagram.visited:4}/{diagram.total} flows"
            lines.append(f"{diagram.process:{width}} {count:4} scenarios {flows}{missing}")
        total = sum(diagram.total for diagram in self.diagrams)
        visited = sum(diagram.visited for diagram in self.diagrams)
        lines.append(f"{'all':{width}} {len(self.verdicts):4} scenarios {visited:4}/{total} flows")
        return "\n".join(lines)


def coverage(folder: Path, operations: Registry) -> Coverage:
    """Play every scenario below `folder` on the diagrams below it. Raises InvalidScenarios."""
    shelf = library(uploads(folder), operations)
    documents = [document for path in sorted(folder.rglob(FILE)) for document in _documents(path)]
    for document in documents:
        check(document, shelf)
    return covered(shelf, _played(documents, shelf))


def covered(shelf: Library, verdicts: Iterable[Verdict]) -> Coverage:
    """The coverage of every diagram of a library by verdicts that are at hand."""
    verdicts = tuple(verdicts)
    taken: dict[str, set[str]] = {process: set() for process in shelf.diagrams}
    for verdict in verdicts:
        for process, visited in verdict.visited.items():
            taken[process].update(visited.flows)
    diagrams = (
        DiagramCoverage(
            process, len(diagram.flows), tuple(flow for flow in diagram.flows if flow not in taken[process])
        )
        for process, diagram in sorted(shelf.diagrams.items())
    )
    return Coverage(verdicts, tuple(diagrams))


def _documents(path: Path) -> list[Document]:
    return read_documents(path.read_bytes(), f"{path.parent.name}/{path.name}")


def _played(documents: Iterable[Document], shelf: Library) -> Iterator[Verdict]:
    for document in documents:
        for scenario in document.suite.scenarios:
            yield play(document.suite, scenario, shelf)
