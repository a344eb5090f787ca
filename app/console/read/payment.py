"""One payment: its money, its attempts, refunds, disputes, ledger lines, and where it stands in its flow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select

from app.access.actor import Actor
from app.console.read.flow import Flow, flow_of
from app.console.read.people import names_of
from app.console.read.repairs import Trouble, troubles
from app.console.read.timeline import Moment, timeline
from app.disputes.models import Dispute
from app.engine.models import Incident, Instance, Task
from app.kit.database import Base, Tx
from app.ledger.models import Account, Entry, Posting
from app.payments.models import Attempt, Payment
from app.payments.queries import find_payment, refundable
from app.payments.states import is_terminal
from app.refunds.models import Refund

Row = TypeVar("Row", bound=Base)
Subject = Payment | Refund | Dispute


@dataclass(frozen=True, slots=True)
class LedgerLine:
    at: datetime
    kind: str
    account: str
    amount: int
    currency: str
    layer: str


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """`flows` are the payment and what hangs on it, with the kind of each; `flow` is the one of `about`."""

    payment: Payment
    about: Subject
    flow: Flow | None
    flows: Sequence[tuple[str, Subject]]
    attempts: Sequence[Attempt]
    refunds: Sequence[Refund]
    disputes: Sequence[Dispute]
    ledger: Sequence[LedgerLine]
    troubles: Sequence[Trouble]
    tasks: Sequence[Task]
    moments: Sequence[Moment]
    names: dict[str, str]

    @property
    def refundable(self) -> int:
        return refundable(self.payment)

    @property
    def capturable(self) -> bool:
        """Whether a request to capture may be taken: not where the flow captures by itself or is to cancel."""
        asked_for = self.payment.capture_method == "manual" and not self.payment.cancel_reason
        return asked_for and self.payment.amount_capturable > 0

    @property
    def cancelable(self) -> bool:
        """Whether a request to cancel is taken: heard where the flow waits next or is to move money."""
        return not is_terminal(self.payment.status)


def payment_page(tx: Tx, actor: Actor, payment_id: str, about: str = "", process: str = "") -> PaymentPage:
    """`about` is the id of the refund or dispute whose flow to show, `process` which of its drawings."""
    payment = find_payment(tx, actor.merchant_id, payment_id)
    refunds = _of(tx, Refund, payment_id)
    disputes = _of(tx, Dispute, payment_id)
    subjects = [payment_id, *(row.id for row in refunds), *(row.id for row in disputes)]
    tasks = tx.session.scalars(select(Task).where(Task.subject.in_(subjects)).order_by(Task.id.desc())).all()
    incidents = tx.session.execute(
        select(Incident, Instance)
        .join(Instance, Instance.id == Incident.instance_id)
        .where(Incident.subject.in_(subjects), Incident.status == "open")
        .order_by(Incident.created_at.desc())
    ).all()
    moments = timeline(tx, subjects)
    flows = _flows(payment, refunds, disputes)
    shown = next((row for _, row in flows if row.id == about), payment)
    people = {moment.actor for moment in moments} | {row.requested_by for row in refunds}
    return PaymentPage(
        payment=payment,
        about=shown,
        flow=flow_of(tx, tx.session.get(Instance, shown.instance_id) if shown.instance_id else None, process),
        flows=flows,
        attempts=_of(tx, Attempt, payment_id),
        refunds=refunds,
        disputes=disputes,
        ledger=_ledger(tx, payment_id),
        troubles=troubles(tx, [(row, instance) for row, instance in incidents]),
        tasks=tasks,
        moments=moments,
        names=names_of(tx, people | {row.assignee for row in tasks} | {row.completed_by for row in tasks}),
    )


def _flows(payment: Payment, refunds: Sequence[Refund], disputes: Sequence[Dispute]) -> list[tuple[str, Subject]]:
    rows: list[tuple[str, Subject]] = [("payment", payment)]
    rows += [("refund", row) for row in refunds]
    rows += [("dispute", row) for row in disputes]
    return [(kind, row) for kind, row in rows if row.instance_id]


def _of(tx: Tx, kind: type[Row], payment_id: str) -> Sequence[Row]:
    columns = kind.__table__.c
    query = select(kind).where(columns.payment_id == payment_id)
    return tx.session.scalars(query.order_by(columns.created_at, columns.id)).all()


def _ledger(tx: Tx, payment_id: str) -> list[LedgerLine]:
    query = (
        select(Posting.created_at, Posting.kind, Account.name, Entry.amount, Entry.currency, Entry.layer)
        .join(Entry, Entry.posting_id == Posting.id)
        .join(Account, Account.id == Entry.account_id)
        .where(Posting.subject == payment_id)
        .order_by(Entry.id)
    )
    return [LedgerLine(*row) for row in tx.session.execute(query).all()]
