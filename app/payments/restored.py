"""What a gateway did that a restored database does not remember: shown to people, and nothing is done about it.

A payment that may hold a charge we know nothing of does not go on by itself either.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from app.engine import incidents, store
from app.engine.models import Instance
from app.kit.database import Tx
from app.payments.models import Attempt, Payment
from app.payments.reconcile import Difference

KIND: Final = "restored"


def report(tx: Tx, gateway: str, differences: Iterable[Difference]) -> list[str]:
    """One incident per payment with differences; the sentences of all, those without a payment here included."""
    by_payment: dict[str, list[Difference]] = defaultdict(list)
    for difference in differences:
        attempt = tx.session.get(Attempt, difference.subject)
        by_payment[attempt.payment_id if attempt else difference.payment].append(difference)
    told = []
    for payment_id, found in by_payment.items():
        payment = tx.session.get(Payment, payment_id)
        whose = payment_id if payment is not None else f"{payment_id or 'no payment'}, which is not here"
        sentence = f"{gateway}, {whose}: " + "; ".join(str(difference) for difference in found)
        told.append(sentence)
        if payment is not None and payment.instance_id is not None:
            _show(tx, payment, payment.instance_id, sentence, found)
    return told


def _show(tx: Tx, payment: Payment, instance_id: str, sentence: str, found: Sequence[Difference]) -> None:
    message = f"Since the backup something happened that was forgotten: {sentence}"
    details = {"differences": [str(difference) for difference in found]}
    incidents.report(tx, payment.merchant_id, instance_id, payment.id, "", KIND, message, details)
    instance = tx.session.get_one(Instance, instance_id)
    unknown = any(tx.session.get(Attempt, difference.subject) is None for difference in found)
    if unknown and instance.ended_at is None:
        store.park(tx, instance_id, f"{message}. Look at the gateway's books before you let it go on")
