"""Evidence from what we know: the payment, its authorization, who reviewed it, and what the merchant was told when.

People add to it; what they wrote is never overwritten.
"""

from datetime import datetime, timedelta

from pydantic import Field
from sqlalchemy import select

from app.access.actor import system
from app.disputes.models import Dispute
from app.disputes.queries import lock_dispute
from app.disputes.states import DisputeStatus, tell
from app.engine.models import Task
from app.events.models import Delivery, Event
from app.kit.database import Tx
from app.kit.money import Money
from app.operations import Result
from app.payments.models import Attempt, Payment
from app.payments.queries import attempts_of, moment

#: People answer this long before the gateway's deadline, or with a fifth of the time left when that is sooner.
BUFFER = timedelta(days=2)


class Gathered(Result):
    """The dispute and the evidence so far. People answer until `respond_by`, the gateway listens until `due_by`."""

    facts: dict[str, str] = Field(title="Facts", description="The evidence so far, texts by name")
    stage: str = Field(title="Stage", description="The dispute's stage")
    status: str = Field(title="Status", description="The dispute's status")
    amount: int = Field(title="Amount", description="Minor units")
    currency: str = Field(title="Currency", description="ISO 4217 code")
    reason: str = Field(title="Reason", description="Why the customer disputes")
    due_by: datetime | None = Field(title="Due by", description="The gateway's deadline")
    respond_by: datetime | None = Field(title="Respond by", description="When people must have answered")
    escalate_at: datetime | None = Field(title="Escalate at", description="When more people must see it")


def gather(tx: Tx, merchant_id: str, dispute_id: str) -> Gathered:
    """Put what we know into the dispute's evidence while it can still be answered, and tell all of it."""
    payment, dispute = lock_dispute(tx, merchant_id, dispute_id)
    if dispute.status == DisputeStatus.NEEDS_RESPONSE and dispute.submitted_at is None:
        known = {
            **_payment_facts(payment),
            **_authorization(tx, payment),
            **_reviews(tx, payment),
            **_receipts(tx, payment),
        }
        evidence = {**known, **dispute.evidence}
        if evidence != dispute.evidence:
            dispute.evidence = evidence
            tell(tx, dispute, "dispute.updated", system(merchant_id))
    return Gathered(
        facts=dispute.evidence,
        stage=dispute.stage,
        status=dispute.status,
        amount=dispute.amount,
        currency=dispute.currency,
        reason=dispute.reason,
        due_by=dispute.due_by,
        respond_by=respond_by(dispute, tx.now()),
        escalate_at=escalate_at(dispute, tx.now()),
    )


def escalate_at(dispute: Dispute, now: datetime) -> datetime | None:
    """When more people must see it: with half of people's time gone."""
    last = respond_by(dispute, now)
    return None if last is None else now + max(timedelta(), last - now) / 2


def respond_by(dispute: Dispute, now: datetime) -> datetime | None:
    """When people must have answered, so that a missed hand-over does not lose the dispute."""
    if dispute.due_by is None:
        return None
    return dispute.due_by - min(BUFFER, max(timedelta(), dispute.due_by - now) / 5)


def _payment_facts(payment: Payment) -> dict[str, str]:
    facts = {
        "payment.id": payment.id,
        "payment.reference": payment.reference,
        "payment.amount": str(Money(payment.amount, payment.currency)),
        "payment.captured": str(Money(payment.amount_captured, payment.currency)),
        "payment.refunded": str(Money(payment.amount_refunded, payment.currency)),
        "payment.created_at": moment(payment.created_at) or "",
        **{f"customer.{name}": str(value) for name, value in payment.customer.items()},
        **{f"order.{_word(name)}": str(value) for name, value in payment.metadata_.items()},
    }
    return {name: text for name, text in facts.items() if text}


def _word(name: str) -> str:
    """A metadata key as part of a fact's name."""
    return "".join(character if character.isalnum() else "_" for character in name.lower())


def _authorization(tx: Tx, payment: Payment) -> dict[str, str]:
    approved = [a for a in attempts_of(tx, payment.id) if a.operation == "authorize" and a.outcome == "approved"]
    if not approved:
        return {}
    attempt = approved[-1]
    facts = {
        "authorization.gateway": attempt.gateway,
        "authorization.charge": attempt.gateway_reference,
        "authorization.at": moment(attempt.finished_at) or "",
        "authorization.authenticated": "yes" if _authenticated(attempt) else "no",
    }
    return {name: text for name, text in facts.items() if text}


def _authenticated(attempt: Attempt) -> bool:
    """Whether the customer was sent to authenticate, going by the gateway's own answer."""
    return bool((attempt.raw or {}).get("next_action")) or bool((attempt.raw or {}).get("authenticated"))


def _reviews(tx: Tx, payment: Payment) -> dict[str, str]:
    tasks = tx.session.scalars(
        select(Task)
        .where(Task.subject == payment.id, Task.merchant_id == payment.merchant_id, Task.status == "completed")
        .order_by(Task.completed_at, Task.id)
    )
    return {
        f"review.{number}": f"{task.name}: {task.decision} at {moment(task.completed_at)}"
        + (f" ({task.reason})" if task.reason else "")
        for number, task in enumerate(tasks, start=1)
    }


def _receipts(tx: Tx, payment: Payment) -> dict[str, str]:
    """When the merchant's systems acknowledged that the payment had succeeded."""
    rows = tx.session.execute(
        select(Event.type, Delivery.delivered_at)
        .join(Delivery, Delivery.event_id == Event.id)
        .where(
            Event.object_id == payment.id,
            Event.type == "payment.succeeded",
            Delivery.delivered_at.is_not(None),
        )
        .order_by(Delivery.delivered_at, Delivery.id)
    )
    return {
        f"receipt.{number}": f"{type_} acknowledged at {moment(at)}" for number, (type_, at) in enumerate(rows, start=1)
    }
