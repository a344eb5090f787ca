"""Disputes: the list with the nearest deadline first, and one dispute with its evidence and its flow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, select

from app.access.actor import Actor
from app.console.read.flow import Flow, flow_of
from app.console.read.people import Names, names_of
from app.console.read.timeline import Moment, timeline
from app.disputes.models import Dispute
from app.disputes.queries import find_dispute
from app.engine.models import Instance, Task
from app.kit.database import Tx
from app.payments.models import Payment

LIMIT = 200
NEEDS_RESPONSE = "needs_response"


@dataclass(frozen=True, slots=True)
class DisputePage:
    dispute: Dispute
    payment: Payment
    flow: Flow | None
    tasks: Sequence[Task]
    moments: Sequence[Moment]
    names: Names

    def answerable(self, now: datetime) -> bool:
        due = self.dispute.due_by
        return self.dispute.status == NEEDS_RESPONSE and (due is None or due > now)


def disputes(tx: Tx, actor: Actor, status: str) -> Sequence[tuple[Dispute, Payment]]:
    """Those that need a response first, by their deadline; then the newest."""
    query = (
        select(Dispute, Payment)
        .join(Payment, Payment.id == Dispute.payment_id)
        .where(Dispute.merchant_id == actor.merchant_id)
        .order_by(
            case((Dispute.status == NEEDS_RESPONSE, 0), else_=1),
            case((Dispute.status == NEEDS_RESPONSE, Dispute.due_by)).asc().nulls_last(),
            Dispute.id.desc(),
        )
        .limit(LIMIT)
    )
    if status:
        query = query.where(Dispute.status == status)
    return [(dispute, payment) for dispute, payment in tx.session.execute(query).all()]


def dispute_page(tx: Tx, actor: Actor, dispute_id: str) -> DisputePage:
    dispute = find_dispute(tx, actor.merchant_id, dispute_id)
    moments = timeline(tx, [dispute.id])
    tasks = tx.session.scalars(select(Task).where(Task.subject == dispute.id).order_by(Task.id.desc())).all()
    return DisputePage(
        dispute=dispute,
        payment=tx.session.get_one(Payment, dispute.payment_id),
        flow=flow_of(tx, tx.session.get(Instance, dispute.instance_id) if dispute.instance_id else None),
        tasks=tasks,
        moments=moments,
        names=names_of(tx, {moment.actor for moment in moments} | {task.assignee for task in tasks}),
    )
