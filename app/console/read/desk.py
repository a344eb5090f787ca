"""The review desk: saved queues with their counts, and the dense list of what waits for a decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.orm import aliased

from app.access.actor import Actor
from app.console.read.people import Names, names_of
from app.disputes.models import Dispute
from app.engine.models import Task
from app.kit.database import Tx
from app.payments.models import Payment
from app.refunds.models import Refund

PAGE = 100
USUAL_PRIORITY = 50


class Queue(StrEnum):
    UNCLAIMED = "unclaimed"
    MINE = "mine"
    SECOND = "second"
    OVERDUE = "overdue"
    ESCALATED = "escalated"
    ALL = "all"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Filter:
    """What the list is narrowed to, all of it in the address; empty text narrows nothing."""

    queue: Queue = Queue.UNCLAIMED
    process: str = ""
    currency: str = ""
    assignee: str = ""

    @property
    def narrowed(self) -> bool:
        return bool(self.process or self.currency or self.assignee)


@dataclass(frozen=True, slots=True)
class Line:
    """One task with the money it is about. `amount` is the refund's or dispute's own where it is about one."""

    task: Task
    payment: Payment | None
    amount: int | None
    currency: str
    #: Somebody has decided already and the flow asks for another person.
    second: bool

    @property
    def score(self) -> int | None:
        return self.payment.risk.get("score") if self.payment and self.payment.risk else None

    @property
    def reason(self) -> str:
        """The sentence of the rule that weighs most."""
        rules: list[dict[str, Any]] = (self.payment.risk or {}).get("rules", []) if self.payment else []
        heaviest = max(rules, key=lambda rule: int(rule.get("points") or 0), default={})
        return str(heaviest.get("sentence") or heaviest.get("rule") or "")


@dataclass(frozen=True, slots=True)
class Desk:
    lines: Sequence[Line]
    counts: dict[str, int]
    names: Names
    processes: Sequence[str]
    currencies: Sequence[str]


def desk(tx: Tx, actor: Actor, chosen: Filter, now: datetime) -> Desk:
    lines = _lines(tx, actor, chosen, now)
    return Desk(
        lines=lines,
        counts=_counts(tx, actor, now),
        names=names_of(tx, {line.task.assignee for line in lines} | {line.task.completed_by for line in lines}),
        processes=tx.session.scalars(_open(actor, Task.process).distinct().order_by(Task.process)).all(),
        currencies=sorted({line.currency for line in lines if line.currency}),
    )


def in_queue(queue: Queue, actor: Actor, now: datetime) -> ColumnElement[bool]:
    """The condition of one saved queue. A claim that ran out counts as unclaimed again."""
    expired = and_(Task.status == "claimed", Task.claim_until < now)
    unclaimed = or_(Task.status == "open", expired)
    waiting = Task.status.in_(("open", "claimed"))
    match queue:
        case Queue.UNCLAIMED:
            return unclaimed
        case Queue.MINE:
            return and_(Task.status == "claimed", Task.assignee == actor.id)
        case Queue.SECOND:
            return and_(waiting, _decided_before())
        case Queue.OVERDUE:
            return and_(waiting, Task.due_at < now)
        case Queue.ESCALATED:
            return and_(waiting, Task.priority > USUAL_PRIORITY)
        case Queue.DONE:
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            return and_(Task.status == "completed", Task.completed_at >= midnight)
        case Queue.ALL:
            return waiting


def _decided_before() -> ColumnElement[bool]:
    """One of those whom the task excludes has decided in its flow; others are excluded because they asked for it."""
    earlier = aliased(Task)
    decided = select(earlier.id).where(
        earlier.instance_id == Task.instance_id,
        earlier.status == "completed",
        func.jsonb_exists(Task.excluded, earlier.completed_by),
    )
    return decided.exists()


def next_of(tx: Tx, actor: Actor, chosen: Filter, now: datetime, beside: str) -> str | None:
    """The task that follows in the list, leaving `beside` out; None when nothing is left."""
    return next((line.task.id for line in _lines(tx, actor, chosen, now) if line.task.id != beside), None)


def narrowing(chosen: Filter) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = true()
    if chosen.process:
        condition = and_(condition, Task.process == chosen.process)
    if chosen.assignee:
        condition = and_(condition, Task.assignee == chosen.assignee)
    return condition


def _open(actor: Actor, column: Any) -> Any:
    return select(column).where(Task.merchant_id == actor.merchant_id, Task.status.in_(("open", "claimed")))


def _lines(tx: Tx, actor: Actor, chosen: Filter, now: datetime) -> list[Line]:
    query = (
        select(Task)
        .where(Task.merchant_id == actor.merchant_id, in_queue(chosen.queue, actor, now), narrowing(chosen))
        .limit(PAGE)
    )
    if chosen.queue == Queue.DONE:
        query = query.order_by(Task.completed_at.desc())
    else:
        query = query.order_by(Task.priority.desc(), Task.due_at.asc().nulls_last(), Task.id)
    lines = subjects_of(tx, tx.session.scalars(query).all())
    return [line for line in lines if not chosen.currency or line.currency == chosen.currency]


def subjects_of(tx: Tx, tasks: Sequence[Task]) -> list[Line]:
    """The tasks with what they are about, in their order, in four queries however many there are."""
    subjects = {task.subject for task in tasks}
    parts: dict[str, Refund | Dispute] = {
        **{row.id: row for row in tx.session.scalars(select(Refund).where(Refund.id.in_(subjects)))},
        **{row.id: row for row in tx.session.scalars(select(Dispute).where(Dispute.id.in_(subjects)))},
    }
    wanted = subjects | {part.payment_id for part in parts.values()}
    payments = {row.id: row for row in tx.session.scalars(select(Payment).where(Payment.id.in_(wanted)))}
    ids = [task.id for task in tasks]
    second = set(tx.session.scalars(select(Task.id).where(Task.id.in_(ids), _decided_before())))
    lines = []
    for task in tasks:
        part = parts.get(task.subject)
        payment = payments.get(part.payment_id if part else task.subject)
        money: Refund | Dispute | Payment | None = part or payment
        amount, currency = (money.amount, money.currency) if money else (None, "")
        lines.append(Line(task, payment, amount, currency, task.id in second))
    return lines


def _counts(tx: Tx, actor: Actor, now: datetime) -> dict[str, int]:
    queues = list(Queue)
    columns = [func.count().filter(in_queue(queue, actor, now)) for queue in queues]
    recent = now - timedelta(days=1)
    relevant = or_(Task.status.in_(("open", "claimed")), Task.completed_at >= recent)
    row = tx.session.execute(select(*columns).where(Task.merchant_id == actor.merchant_id, relevant)).one()
    return dict(zip((str(queue) for queue in queues), row, strict=True))
