"""Disputes: the list with the nearest deadline first, and one dispute with its evidence and its flow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from app.access.actor import Actor
from app.console.read.flow import Flow, flow_of
from app.console.read.ordered import latest_first, never, ordered
from app.console.read.people import Names, names_of
from app.console.read.timeline import Moment, timeline
from app.disputes.models import Dispute
from app.disputes.queries import find_dispute
from app.engine.models import Instance, Task
from app.kit.database import Tx
from app.kit.paging import Page, narrowed
from app.payments.models import Payment

PAGE = 50
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


def disputes(tx: Tx, actor: Actor, status: str, after: str | None) -> Page[tuple[Dispute, Payment]]:
    """Those that need a response first, by their deadline; then the newest."""
    query = narrowed(select(Dispute).where(Dispute.merchant_id == actor.merchant_id), {Dispute.status: status})
    page = ordered(tx, query, Dispute, _by_deadline, PAGE, after)
    wanted = select(Payment).where(Payment.id.in_({row.payment_id for row in page.rows}))
    payments = {row.id: row for row in tx.session.scalars(wanted)}
    return Page([(row, payments[row.payment_id]) for row in page.rows], page.next)


def _by_deadline(dispute: type[Dispute]) -> list[ColumnElement[Any]]:
    waits = dispute.status == NEEDS_RESPONSE
    due = func.coalesce(case((waits, dispute.due_by)), never())
    return [case((waits, 0), else_=1), due, latest_first(dispute.created_at), dispute.id.expression]


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
