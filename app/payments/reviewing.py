"""Reviews: what is under review goes on by the decisions people really made, whatever the diagram around them says."""

from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from app.access.api_keys import people_behind
from app.access.merchants import merchant_of
from app.engine import people
from app.engine.models import Instance, Task
from app.errors import FourEyes
from app.events.models import Event
from app.kit.database import Tx
from app.payments.models import Payment
from app.payments.states import PaymentStatus

#: What people decide in a task when they let something go on.
APPROVE: Final = "approve"


class NotReviewed(FourEyes):
    code = "not_reviewed"
    title = "The payment is under review and has not been approved by enough people"


def approval_limit(tx: Tx, merchant_id: str, setting: str, currency: str) -> int | None:
    """The merchant's limit in minor units of `currency`; None when the merchant set none."""
    limits = merchant_of(tx, merchant_id).settings.get(setting, {})
    limit = limits.get(currency)
    return int(limit) if limit is not None else None


def check_reviewed(tx: Tx, payment: Payment) -> None:
    """NotReviewed when the payment is under review and too few people approved it since that began.

    One person must, and two above the merchant's review limit; who asked for the payment does not count. The amount is
    the payment's own, not a variable's.
    """
    if payment.status != PaymentStatus.REQUIRES_REVIEW:
        return
    limit = approval_limit(tx, payment.merchant_id, "review_limit", payment.currency)
    needed = 2 if limit is not None and payment.amount > limit else 1
    since = Task.created_at >= _began(tx, payment)
    decided = people.decisions(tx, Task.merchant_id == payment.merchant_id, Task.subject == payment.id, since)
    asked = asked_by(tx, payment)
    approved = sum(task.decision == APPROVE and person not in asked for person, task in decided.items())
    if approved < needed:
        raise NotReviewed(
            f"{approved} of {needed} people needed, other than who asked for it, decided “{APPROVE}” in a task about "
            f"{payment.id}"
        )


def asked_by(tx: Tx, payment: Payment) -> list[str]:
    """The people who made or confirmed the payment, or made the key that did."""
    confirmed = tx.session.scalar(select(Instance.created_by).where(Instance.id == payment.instance_id))
    return people_behind(tx, [payment.created_by, *([confirmed] if confirmed else [])])


def _began(tx: Tx, payment: Payment) -> datetime:
    opened = select(func.max(Event.created_at)).where(
        Event.object_id == payment.id, Event.type == f"payment.{PaymentStatus.REQUIRES_REVIEW}"
    )
    return tx.session.scalar(opened) or payment.created_at
