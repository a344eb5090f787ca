"""Where an instance stands in its diagrams: for the drawings, and in words for those who cannot see them.

An instance is one process at the top and those it called. A drawing shows one of them; what waits inside a called
process is shown at the call too, since a node's id begins with the ids of the calls around it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from app.access.actor import Actor
from app.console.read.diagram import element_names
from app.engine import archive
from app.engine.inbox import find_instance
from app.engine.models import Definition, Incident, Instance, JournalRow, WaitRow
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
    """One element of the path, `depth` calls below the top. `state` is done, now, failed or interrupted."""

    element: str
    name: str
    depth: int
    state: str
    row: JournalRow
    end: JournalRow | None


@dataclass(frozen=True, slots=True)
class Flow:
    """An instance with its path in words and what it waits for; `shown` is the drawing the page begins with."""

    instance: Instance
    drawings: Sequence[Drawing]
    shown: Drawing
    steps: Sequence[Step]
    waits: Sequence[WaitRow]
    names: dict[str, str]


def flow_of(tx: Tx, instance: Instance | None, wanted: str = "", node: str = "") -> Flow | None:
    """`wanted` names the process to draw; else it is the one in which `node` is, else the one at the top."""
    if instance is None:
        return None
    rows = archive.lines(tx, [instance.id])
    names = names_in(tx, [instance])
    drawings = _drawings(tx, instance, rows)
    at_node = next((row.process for row in rows if node and row.node == node), "")
    return Flow(
        instance=instance,
        drawings=drawings,
        shown=next((each for each in drawings if each.process == (wanted or at_node)), drawings[0]),
        steps=list(_steps(rows, names)),
        waits=_waits(tx, instance.id),
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
    incidents = tx.session.scalars(
        select(Incident).where(Incident.instance_id == instance_id, Incident.status == "open")
    )
    return {
        "status": instance.status,
        "path": [{"element": element, "count": count} for element, count in passed.items()],
        "waits": [
            {"element": element, "kind": wait.kind, "due_at": wait.due_at}
            for wait in _waits(tx, instance_id)
            for element in _around(wait.node, elements)
        ],
        "incidents": [
            {"element": element, "message": row.message} for row in incidents for element in _around(row.node, elements)
        ],
    }


def names_in(tx: Tx, instances: Sequence[Instance]) -> dict[str, str]:
    """Element id -> name, over all diagrams these instances may touch."""
    ids = {row.definition_id for row in instances}
    ids |= {str(one) for row in instances for one in row.pins.get("processes", {}).values()}
    return element_names(tx, sorted(ids))


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


def _steps(rows: Sequence[JournalRow], names: dict[str, str]) -> Iterator[Step]:
    failed = {row.node for row in rows if row.kind == JournalKind.INCIDENT}
    failed -= {row.node for row in rows if row.kind == JournalKind.REPAIRED}
    left = {row.node: row for row in rows if row.kind in (JournalKind.LEFT, JournalKind.CANCELED)}
    for row in rows:
        if row.kind != JournalKind.ENTERED:
            continue
        end = left.get(row.node)
        state = _state(row, end, failed)
        # What nobody named, such as a join, is told only when something is the matter there.
        if row.element in names or state in {"now", "failed"}:
            name = names.get(row.element, row.element)
            yield Step(row.element, name, row.scope.count("/") + bool(row.scope), state, row, end)


def _state(row: JournalRow, end: JournalRow | None, failed: set[str]) -> str:
    if row.node in failed:
        return "failed"
    if end is None:
        return "now"
    return "interrupted" if end.kind == JournalKind.CANCELED else "done"


def _waits(tx: Tx, instance_id: str) -> Sequence[WaitRow]:
    return tx.session.scalars(select(WaitRow).where(WaitRow.instance_id == instance_id).order_by(WaitRow.id)).all()
