"""Where an instance stands in its diagrams: for the drawings, and in words for those who cannot see them.

An instance is one process at the top and those it called. A drawing shows one of them; what waits inside a called
process is shown at the call too, since a node's id begins with the ids of the calls around it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from app.access.actor import Actor
from app.console.read.diagram import element_names
from app.engine import archive, incidents
from app.engine.inbox import find_instance
from app.engine.models import Definition, Incident, Instance, JournalRow, WaitRow
from app.engine.queries import open_waits
from app.engine.step import JournalKind
from app.errors import NotFound
from app.kit.database import Json, Tx


@dataclass(frozen=True, slots=True)
class Drawing:
    """One process of an instance: the definition it is pinned to. `process` is empty for the one at the top."""

    process: str
    title: str
    definition_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """One element of the path, `depth` calls below the top. `state` is done, now, failed or interrupted.

    `wrote` are the variables it left behind, `large` the bytes of those whose values are too long to be kept.
    """

    element: str
    name: str
    depth: int
    state: str
    row: JournalRow
    end: JournalRow | None

    @property
    def wrote(self) -> Json:
        return self.end.facts.get("wrote", {}) if self.end else {}

    @property
    def large(self) -> dict[str, int]:
        return self.end.facts.get("large", {}) if self.end else {}


@dataclass(frozen=True, slots=True)
class ElementNames:
    """What the elements of one instance are called. An id tells an element only together with its process.

    `by_process` has the process at the top under ""; `calls` is the node of each call -> the process it runs.
    """

    by_process: Mapping[str, Mapping[str, str]]
    calls: Mapping[str, str]

    def named(self, process: str, element: str) -> str | None:
        return self.by_process.get(process, {}).get(element)

    def of(self, process: str, element: str) -> str:
        """The element's name, or its id when nobody gave it one."""
        return self.named(process, element) or element

    def at(self, node: str, element: str) -> str:
        """The same, for rows that know their node and not their process: wherever the innermost call around it is."""
        calls = (node[:end] for end in range(len(node) - 1, 0, -1) if node[end] == "/")
        return self.of(next((self.calls[call] for call in calls if call in self.calls), ""), element)


@dataclass(frozen=True, slots=True)
class Flow:
    """An instance with its path in words and what it waits for; `shown` is the drawing the page begins with."""

    instance: Instance
    drawings: Sequence[Drawing]
    shown: Drawing
    steps: Sequence[Step]
    waits: Sequence[WaitRow]
    names: ElementNames


def flow_of(tx: Tx, instance: Instance | None, wanted: str = "", node: str = "") -> Flow | None:
    """`wanted` names the process to draw; else it is the one in which `node` is, else the one at the top."""
    if instance is None:
        return None
    rows = archive.lines(tx, [instance.id])
    names = names_in(tx, [instance], rows)[instance.id]
    drawings = _drawings(tx, instance, rows)
    at_node = next((row.process for row in rows if node and row.node == node), "")
    return Flow(
        instance=instance,
        drawings=drawings,
        shown=next((each for each in drawings if each.process == (wanted or at_node)), drawings[0]),
        steps=list(_steps(rows, names)),
        waits=open_waits(tx, instance.id),
        names=names,
    )


def find_definition(tx: Tx, actor: Actor, definition_id: str) -> Definition:
    definition = tx.session.get(Definition, definition_id)
    if definition is None or definition.merchant_id != actor.merchant_id:
        raise NotFound(f"There is no definition {definition_id}")
    return definition


def drawing_state(tx: Tx, actor: Actor, instance_id: str, process: str) -> Json:
    """What the viewer draws over one process: elements and flows with how often they were passed, waits, incidents."""
    instance = find_instance(tx, actor.merchant_id, instance_id)
    rows = [row for row in archive.lines(tx, [instance_id]) if row.process == process]
    passed = Counter(row.element for row in rows if row.kind in (JournalKind.ENTERED, JournalKind.TAKEN))
    elements = {row.node: row.element for row in rows if row.kind == JournalKind.ENTERED}
    found = tx.session.scalars(select(Incident).where(Incident.instance_id == instance_id, Incident.status == "open"))
    return {
        "status": instance.status,
        "path": [{"element": element, "count": count} for element, count in passed.items()],
        "waits": [
            {"element": element, "kind": wait.kind, "due_at": wait.due_at}
            for wait in open_waits(tx, instance_id)
            for element in _around(wait.node, elements)
        ],
        "incidents": [
            {"element": element, "message": row.message}
            for row in found
            for element in _around(incidents.place(row.node), elements)
        ],
    }


def names_in(tx: Tx, instances: Sequence[Instance], rows: Sequence[JournalRow]) -> dict[str, ElementNames]:
    """The names in each of these instances, by its id; `rows` are their journals, which tell what runs inside what."""
    calls: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        if row.scope:
            calls[row.instance_id][row.scope] = row.process
    ids = {one for instance in instances for one in _processes(instance).values()}
    definitions = tx.session.scalars(select(Definition).where(Definition.id.in_(ids)))
    names = {definition.id: element_names(definition) for definition in definitions}
    return {
        instance.id: ElementNames(
            {process: names[one] for process, one in _processes(instance).items()}, calls[instance.id]
        )
        for instance in instances
    }


def _processes(instance: Instance) -> dict[str, str]:
    """The definitions the instance is pinned to, by process; "" is the one at the top."""
    pinned: dict[str, str] = instance.pins.get("processes", {})
    return {**pinned, "": instance.definition_id}


def _around(node: str, elements: dict[str, str]) -> Iterator[str]:
    """The element of `node` in the drawn process: itself, or the call it is inside of."""
    parts = node.split("/")
    for length in range(len(parts), 0, -1):
        element = elements.get("/".join(parts[:length]))
        if element:
            yield element
            return


def _drawings(tx: Tx, instance: Instance, rows: Sequence[JournalRow]) -> list[Drawing]:
    """The top, then every called process that was entered, in the order of their first call."""
    called = dict.fromkeys(row.process for row in rows if row.process and row.process != instance.process)
    pinned = instance.pins.get("processes", {})
    ids = {"": instance.definition_id} | {name: pinned[name] for name in called if name in pinned}
    definitions = {row.id: row for row in tx.session.scalars(select(Definition).where(Definition.id.in_(ids.values())))}
    return [Drawing(process, definitions[one].name, one) for process, one in ids.items()]


def _steps(rows: Sequence[JournalRow], names: ElementNames) -> Iterator[Step]:
    failed = {row.node for row in rows if row.kind == JournalKind.INCIDENT}
    failed -= {row.node for row in rows if row.kind == JournalKind.REPAIRED}
    left = {row.node: row for row in rows if row.kind in (JournalKind.LEFT, JournalKind.CANCELED)}
    for row in rows:
        if row.kind != JournalKind.ENTERED:
            continue
        end = left.get(row.node)
        state = _state(row, end, failed)
        # What nobody named, such as a join, is told only when something is the matter there.
        if names.named(row.process, row.element) or state in {"now", "failed"}:
            name = names.of(row.process, row.element)
            yield Step(row.element, name, row.scope.count("/") + bool(row.scope), state, row, end)


def _state(row: JournalRow, end: JournalRow | None, failed: set[str]) -> str:
    if row.node in failed:
        return "failed"
    if end is None:
        return "now"
    return "interrupted" if end.kind == JournalKind.CANCELED else "done"
