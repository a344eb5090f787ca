"""One task as its reviewer sees it: why it was flagged, who pays, what else that person or card did, who decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from app.access.actor import Actor
from app.console.read.desk import Line, subjects_of
from app.console.read.flow import Flow, flow_of
from app.console.read.people import Names, names_of
from app.console.read.timeline import Moment, timeline
from app.engine import people
from app.engine.forms import Form
from app.engine.models import Instance, Task
from app.kit.database import Tx
from app.payments.models import Payment

HISTORY = timedelta(days=90)
ROWS = 12


@dataclass(frozen=True, slots=True)
class Linked:
    """Another payment that shares something with this one; `by` says what: method, customer, email or ip."""

    payment: Payment
    by: Sequence[str]


@dataclass(frozen=True, slots=True)
class Review:
    line: Line
    form: Form
    flow: Flow | None
    history: Sequence[Payment]
    linked: Sequence[Linked]
    moments: Sequence[Moment]
    decisions: Sequence[Task]
    names: Names

    @property
    def task(self) -> Task:
        return self.line.task

    @property
    def payment(self) -> Payment | None:
        return self.line.payment

    @property
    def rules(self) -> list[dict[str, Any]]:
        """The rules that flagged it, the heaviest first: rule, sentence, value, points."""
        found: list[dict[str, Any]] = (self.payment.risk or {}).get("rules", []) if self.payment else []
        return sorted(found, key=lambda rule: -int(rule.get("points") or 0))

    def is_claimed_by(self, actor: Actor, now: datetime) -> bool:
        return self.task.status == "claimed" and self.task.assignee == actor.id and not self.lapsed(now)

    def lapsed(self, now: datetime) -> bool:
        """The claim has run out, so anybody may take the task."""
        return self.task.claim_until is not None and self.task.claim_until < now


def review(tx: Tx, actor: Actor, task_id: str) -> Review:
    task = people.find(tx, actor, task_id)
    line = subjects_of(tx, [task])[0]
    payment = line.payment
    decisions = _decisions(tx, task, payment)
    moments = timeline(tx, sorted({task.subject, *([payment.id] if payment else [])}))
    involved = {task.assignee, task.completed_by, *task.excluded}
    involved |= {row.completed_by for row in decisions} | {moment.actor for moment in moments}
    return Review(
        line=line,
        form=people.form_of(tx, task),
        flow=flow_of(tx, tx.session.get(Instance, task.instance_id), node=task.node),
        history=_history(tx, payment) if payment else [],
        linked=_linked(tx, payment) if payment else [],
        moments=moments,
        decisions=decisions,
        names=names_of(tx, involved),
    )


def _decisions(tx: Tx, task: Task, payment: Payment | None) -> Sequence[Task]:
    subjects = {task.subject, *([payment.id] if payment else [])}
    query = select(Task).where(Task.subject.in_(subjects), Task.status == "completed", Task.id != task.id)
    return tx.session.scalars(query.order_by(Task.completed_at.desc())).all()


def _history(tx: Tx, payment: Payment) -> Sequence[Payment]:
    """The customer's payments of the last 90 days, newest first, this one among them."""
    customer = payment.customer.get("id")
    if not customer:
        return []
    query = select(Payment).where(
        Payment.merchant_id == payment.merchant_id,
        Payment.customer["id"].astext == customer,
        Payment.created_at > payment.created_at - HISTORY,
    )
    rows = list(tx.session.scalars(query.order_by(Payment.created_at.desc()).limit(ROWS)))
    return rows if payment in rows else [*rows[: ROWS - 1], payment]


def _linked(tx: Tx, payment: Payment) -> list[Linked]:
    """Payments of others that share the method, the e-mail or the IP address, newest first."""
    shared = _shared(payment)
    if not shared:
        return []
    query = select(Payment).where(
        Payment.merchant_id == payment.merchant_id,
        Payment.id != payment.id,
        Payment.created_at > payment.created_at - HISTORY,
        or_(*(condition for _, condition in shared)),
    )
    if payment.customer.get("id"):
        query = query.where(Payment.customer["id"].astext.is_distinct_from(payment.customer["id"]))
    rows = tx.session.scalars(query.order_by(Payment.created_at.desc()).limit(ROWS)).all()
    return [Linked(row, [by for by, _ in shared if _value(row, by) == _value(payment, by)]) for row in rows]


def _shared(payment: Payment) -> list[tuple[str, ColumnElement[bool]]]:
    columns: dict[str, ColumnElement[str]] = {
        "method": Payment.method_fingerprint.expression,
        "email": Payment.customer["email"].astext,
        "ip": Payment.customer["ip"].astext,
    }
    return [(by, column == _value(payment, by)) for by, column in columns.items() if _value(payment, by)]


def _value(payment: Payment, by: str) -> str:
    return payment.method_fingerprint if by == "method" else str(payment.customer.get(by, ""))
