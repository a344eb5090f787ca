"""Reviews: what is under review goes on by the decisions people really made, whatever the diagram around them says."""

from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from app.access.merchants import merchant_of
from app.engine import people
from app.engine.models import Task
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

    One person must, and two above the merchant's review limit. The amount is the payment's own, not a variable's.
    """
    if payment.status != PaymentStatus.REQUIRES_REVIEW:
        return
    limit = approval_limit(tx, payment.merchant_id, "review_limit", payment.currency)
    needed = 2 if limit is not None and payment.amount > limit else 1
    since = Task.created_at >= _began(tx, payment)
    decided = people.decisions(tx, Task.merchant_id == payment.merchant_id, Task.subject == payment.id, since)
    approved = sum(task.decision == APPROVE for task in decided.values())
    if approved < needed:
        raise NotReviewed(f"{approved} of {needed} people needed decided “{APPROVE}” in a task about {payment.id}")


def _began(tx: Tx, payment: Payment) -> datetime:
    opened = select(func.max(Event.created_at)).where(
        Event.object_id == payment.id, Event.type == f"payment.{PaymentStatus.REQUIRES_REVIEW}"
    )
    return tx.session.scalar(opened) or payment.created_at
