"""The review desk: saved queues with their counts, and the dense list of what waits for a decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, true, union
from sqlalchemy.orm import aliased

from app.access.actor import Actor
from app.console.read.ordered import latest_first, never, ordered
from app.console.read.people import Names, names_of
from app.disputes.models import Dispute
from app.engine import people
from app.engine.models import Task
from app.kit.database import Tx
from app.kit.paging import Page
from app.payments.models import Payment
from app.refunds.models import Refund

PAGE = 50
USUAL_PRIORITY = 50
#: What a task may be about; each has the currency that the list shows.
_MONEY = (Payment, Refund, Dispute)


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
    """`next` is the cursor of the following page; `free` are the listed tasks that this person may take now; `offers`
    tells whether there is any such task, listed or not.
    """

    lines: Sequence[Line]
    next: str | None
    free: frozenset[str]
    offers: bool
    counts: dict[str, int]
    names: Names
    processes: Sequence[str]
    currencies: Sequence[str]


def desk(tx: Tx, actor: Actor, chosen: Filter, now: datetime, after: str | None) -> Desk:
    page = _tasks(tx, actor, chosen, now, PAGE, after)
    lines = subjects_of(tx, page.rows)
    return Desk(
        lines=lines,
        next=page.next,
        free=frozenset(line.task.id for line in lines if _is_free(line.task, now) and may_take(actor, line.task)),
        offers=_offers(tx, actor, now),
        counts=_counts(tx, actor, now),
        names=names_of(tx, {line.task.assignee for line in lines} | {line.task.completed_by for line in lines}),
        processes=tx.session.scalars(_open(actor, Task.process).distinct().order_by(Task.process)).all(),
        currencies=_currencies(tx, actor),
    )


def may_take(actor: Actor, task: Task) -> bool:
    """The rule of `people.may_act` for a task in hand."""
    return not actor.roles.isdisjoint(task.candidate_groups) and actor.id not in task.excluded


def _is_free(task: Task, now: datetime) -> bool:
    """The rule of `people.available` for a task in hand."""
    lapsed = task.claim_until is not None and task.claim_until < now
    return task.status == "open" or (task.status == "claimed" and lapsed)


def _offers(tx: Tx, actor: Actor, now: datetime) -> bool:
    query = select(Task.id).where(Task.merchant_id == actor.merchant_id, people.available(now), people.may_act(actor))
    return tx.session.scalar(query.limit(1)) is not None


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
    """The task for this person that follows in the list, leaving `beside` out; None when nothing is left."""
    another = and_(people.may_act(actor), Task.id != beside)
    return next((task.id for task in _tasks(tx, actor, chosen, now, 1, None, another).rows), None)


def narrowing(chosen: Filter) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = true()
    if chosen.process:
        condition = and_(condition, Task.process == chosen.process)
    if chosen.assignee:
        condition = and_(condition, Task.assignee == chosen.assignee)
    if chosen.currency:
        about = (select(kind.id).where(kind.id == Task.subject, kind.currency == chosen.currency) for kind in _MONEY)
        condition = and_(condition, or_(*(each.exists() for each in about)))
    return condition


def _currencies(tx: Tx, actor: Actor) -> Sequence[str]:
    """What the waiting tasks are about."""
    kinds = [_open(actor, kind.currency).where(kind.id == Task.subject) for kind in _MONEY]
    return sorted(tx.session.scalars(union(*kinds)))


def _open(actor: Actor, column: Any) -> Any:
    return select(column).where(Task.merchant_id == actor.merchant_id, Task.status.in_(("open", "claimed")))


def _tasks(
    tx: Tx,
    actor: Actor,
    chosen: Filter,
    now: datetime,
    limit: int,
    after: str | None,
    *conditions: ColumnElement[bool],
) -> Page[Task]:
    query = select(Task).where(Task.merchant_id == actor.merchant_id, in_queue(chosen.queue, actor, now))
    order = _decided_last if chosen.queue == Queue.DONE else _most_urgent
    return ordered(tx, query.where(narrowing(chosen), *conditions), Task, order, limit, after)


def _most_urgent(task: type[Task]) -> list[ColumnElement[Any]]:
    """As `people.claim_next` takes them."""
    return [-task.priority.expression, func.coalesce(task.due_at, never()), task.id.expression]


def _decided_last(task: type[Task]) -> list[ColumnElement[Any]]:
    return [latest_first(task.completed_at), task.id.expression]


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
