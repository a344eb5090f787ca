"""What a person must look at: incidents that stop a flow, and attempts whose outcome nobody knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from app.access.actor import Actor
from app.console.read.flow import names_in
from app.console.read.people import Names, names_of
from app.engine import archive
from app.engine.models import Incident, Instance, WaitRow
from app.kit.database import Tx
from app.payments.models import Attempt, Payment

LIMIT = 200


@dataclass(frozen=True, slots=True)
class Trouble:
    incident: Incident
    instance: Instance
    element: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """An attempt without a known outcome; `next_look` is when its flow looks again, None when it waits for people."""

    attempt: Attempt
    payment: Payment
    next_look: datetime | None


@dataclass(frozen=True, slots=True)
class Repairs:
    troubles: Sequence[Trouble]
    unknowns: Sequence[Unknown]
    open_incidents: int
    names: Names

    def at_stake(self) -> dict[str, int]:
        """The money of all unknown attempts, in minor units by currency."""
        sums: dict[str, int] = {}
        for unknown in self.unknowns:
            sums[unknown.attempt.currency] = sums.get(unknown.attempt.currency, 0) + unknown.attempt.amount
        return sums


def repairs(tx: Tx, actor: Actor, status: str) -> Repairs:
    """`status` of the incidents: open or resolved."""
    mine = Incident.merchant_id == actor.merchant_id
    incidents = tx.session.execute(
        select(Incident, Instance)
        .join(Instance, Instance.id == Incident.instance_id)
        .where(mine, Incident.status == status)
        .order_by(Incident.created_at.desc())
        .limit(LIMIT)
    ).all()
    return Repairs(
        troubles=troubles(tx, [(row, instance) for row, instance in incidents]),
        unknowns=_unknowns(tx, actor),
        open_incidents=tx.session.scalar(select(func.count()).where(mine, Incident.status == "open")) or 0,
        names=names_of(tx, {row.resolved_by for row, _ in incidents}),
    )


def troubles(tx: Tx, incidents: Sequence[tuple[Incident, Instance]]) -> list[Trouble]:
    """The incidents with the names of their elements."""
    # A node without a stroke is at the top, where no journal is needed to tell the process.
    inside = {row.instance_id for row, _ in incidents if "/" in row.node}
    names = names_in(tx, [instance for _, instance in incidents], archive.lines(tx, sorted(inside)))
    return [Trouble(row, instance, names[instance.id].at(row.node, row.element)) for row, instance in incidents]


def _unknowns(tx: Tx, actor: Actor) -> list[Unknown]:
    """Oldest first: the longer nobody knows, the more it matters."""
    next_look = (
        select(func.min(WaitRow.due_at))
        .where(WaitRow.instance_id == Attempt.instance_id, WaitRow.kind == "timer")
        .correlate(Attempt)
        .scalar_subquery()
    )
    query = (
        select(Attempt, Payment, next_look)
        .join(Payment, Payment.id == Attempt.payment_id)
        .where(Attempt.merchant_id == actor.merchant_id, Attempt.outcome == "unknown")
        .order_by(Attempt.created_at)
        .limit(LIMIT)
    )
    return [Unknown(attempt, payment, due) for attempt, payment, due in tx.session.execute(query).all()]
