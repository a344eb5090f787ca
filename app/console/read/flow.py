"""Where an instance stands in its diagram: for the drawing, and in words for those who cannot see it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from app.access.actor import Actor
from app.console.read.timeline import Step, element_names_of, steps
from app.engine.models import Definition, Incident, Instance, JournalRow, WaitRow
from app.engine.step import JournalKind
from app.errors import NotFound
from app.kit.database import Json, Tx


@dataclass(frozen=True, slots=True)
class Flow:
    """An instance with its path in words and what it waits for."""

    instance: Instance
    steps: Sequence[Step]
    waits: Sequence[WaitRow]
    incidents: Sequence[Incident]
    names: dict[str, str]


def flow_of(tx: Tx, instance: Instance | None) -> Flow | None:
    if instance is None:
        return None
    return Flow(
        instance=instance,
        steps=steps(tx, instance),
        waits=_waits(tx, instance.id),
        incidents=_open_incidents(tx, instance.id),
        names=element_names_of(tx, [instance]),
    )


def find_instance(tx: Tx, actor: Actor, instance_id: str) -> Instance:
    instance = tx.session.get(Instance, instance_id)
    if instance is None or instance.merchant_id != actor.merchant_id:
        raise NotFound(f"There is no instance {instance_id}")
    return instance


def find_definition(tx: Tx, actor: Actor, definition_id: str) -> Definition:
    definition = tx.session.get(Definition, definition_id)
    if definition is None or definition.merchant_id != actor.merchant_id:
        raise NotFound(f"There is no definition {definition_id}")
    return definition


def drawing_state(tx: Tx, instance: Instance) -> Json:
    """What the viewer draws over the diagram: elements and flows with how often they were passed, waits, incidents."""
    passed: Counter[str] = Counter()
    rows = tx.session.scalars(
        select(JournalRow).where(
            JournalRow.instance_id == instance.id,
            JournalRow.kind.in_((JournalKind.ENTERED, JournalKind.TAKEN)),
            JournalRow.process.in_(("", instance.process)),
        )
    )
    passed.update(row.element for row in rows)
    return {
        "status": instance.status,
        "path": [{"element": element, "count": count} for element, count in passed.items()],
        "waits": [{"element": row.element, "kind": row.kind, "due_at": row.due_at} for row in _waits(tx, instance.id)],
        "incidents": [{"element": row.element, "message": row.message} for row in _open_incidents(tx, instance.id)],
    }


def _waits(tx: Tx, instance_id: str) -> Sequence[WaitRow]:
    return tx.session.scalars(select(WaitRow).where(WaitRow.instance_id == instance_id).order_by(WaitRow.id)).all()


def _open_incidents(tx: Tx, instance_id: str) -> Sequence[Incident]:
    query = select(Incident).where(Incident.instance_id == instance_id, Incident.status == "open")
    return tx.session.scalars(query.order_by(Incident.id)).all()
