"""Incidents that the domain reports: money says something the flow does not know, so a person must look."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select, update

from app.access.actor import SYSTEM, Actor
from app.engine.models import Incident
from app.kit.database import Json, Tx
from app.kit.ids import derived_id

#: The kind of incident of an instance that failed again and again outside its diagram.
PARKED = "parked"


def place(node: str) -> str:
    """Where an incident is: the activation it is about, without what the domain found there. Empty for none at all."""
    return node.partition("!")[0]


def report(
    tx: Tx,
    merchant_id: str,
    instance_id: str,
    subject: str,
    element: str,
    kind: str,
    message: str,
    details: Json | None = None,
) -> None:
    """Open one incident per (instance, element, kind); the same finding twice is one incident.

    `element` may name one activation (`authorize#2`), which tells the findings of a loop apart, and after it what was
    found there (`authorize#2!ch_1`), where that may be more than one thing of a kind.
    """
    node = f"{element}!{kind}"
    element = place(element).rpartition("/")[2].partition("#")[0]
    known = select(Incident.id).where(
        Incident.instance_id == instance_id, Incident.node == node, Incident.status == "open"
    )
    if tx.session.scalar(known) is not None:
        return
    tx.session.add(
        Incident(
            id=derived_id("inc", instance_id, node, tx.now().isoformat()),
            merchant_id=merchant_id,
            instance_id=instance_id,
            subject=subject,
            node=node,
            element=element,
            source="domain",
            kind=kind,
            message=message,
            details=details or {},
            status="open",
            created_at=tx.now(),
        )
    )
    tx.session.flush()


def settle(tx: Tx, merchant_id: str, subject: str, kind: str, details: Json) -> Sequence[str]:
    """What the domain reported and has since seen to be dealt with is resolved; the ids of those that were open."""
    said = (Incident.source == "domain", Incident.kind == kind, Incident.details.contains(details))
    return _resolve(tx, SYSTEM, Incident.merchant_id == merchant_id, Incident.subject == subject, *said)


def settle_parked(tx: Tx, instance_id: str, actor: Actor) -> None:
    """The instance is in the loop again, by what `actor` did."""
    _resolve(tx, actor.id, Incident.instance_id == instance_id, Incident.kind == PARKED)


def _resolve(tx: Tx, by: str, *which: ColumnElement[bool]) -> Sequence[str]:
    done = update(Incident).where(Incident.status == "open", *which).returning(Incident.id)
    return sorted(tx.session.scalars(done.values(status="resolved", resolved_by=by, resolved_at=tx.now())))
