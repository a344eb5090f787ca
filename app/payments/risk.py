"""Facts about how a payment fits in: how often this card, this customer, this amount, by the database's own count."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from pydantic import Field
from sqlalchemy import text

from app.kit.bulk import as_json
from app.kit.database import Tx
from app.kit.money import exponent
from app.operations import Result
from app.payments import held
from app.payments.models import Payment

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
#: Hours of the day, UTC, that count as night.
_NIGHT_UNTIL = 6
# An attempt is never older than its payment by more than a day of retries worth counting.
_COUNTS = text("""
SELECT
    one.payment,
    (
        SELECT count(*) FROM payments
        WHERE merchant_id = one.merchant AND method_fingerprint = one.card AND created_at > :hour_ago
            AND id <> one.payment
    ) AS card_payments,
    (
        SELECT count(*) FROM payments JOIN attempts ON attempts.payment_id = payments.id
        WHERE payments.merchant_id = one.merchant AND payments.method_fingerprint = one.card
            AND payments.created_at > :two_days_ago AND attempts.created_at > :day_ago
            AND attempts.operation = 'authorize' AND attempts.outcome = 'declined'
    ) AS card_declines,
    lately.payments AS customer_payments,
    lately.amount AS customer_amount,
    EXISTS (
        SELECT FROM payments
        WHERE merchant_id = one.merchant AND customer ->> 'id' = one.customer AND amount_captured > 0
            AND id <> one.payment
    ) AS paid_before
FROM json_to_recordset(CAST(:rows AS json)) AS one(payment text, merchant text, card text, customer text, currency text)
CROSS JOIN LATERAL (
    SELECT count(*) AS payments, coalesce(sum(amount) FILTER (WHERE currency = one.currency), 0) AS amount FROM payments
    WHERE merchant_id = one.merchant AND customer ->> 'id' = one.customer AND created_at > :day_ago
        AND id <> one.payment
) AS lately
""")


@dataclass
class _Counted:
    """Counts of payments of one transaction that have not been told, by id."""

    rows: dict[str, Any] = field(default_factory=dict)


class RiskFacts(Result):
    """What rules are written on. Counts leave out the payment itself; amounts are minor units unless said otherwise."""

    amount: int = Field(title="Amount", description="Minor units")
    currency: str = Field(title="Currency", description="ISO 4217 code")
    amount_reference: int = Field(
        title="Amount in hundredths", description="The amount as if its currency had two decimals"
    )
    payment_method: str = Field(title="Payment method", description="The gateway's token")
    card_payments_1h: int = Field(title="Payments of this card, 1 hour", description="Without this one")
    card_declines_24h: int = Field(title="Declines of this card, 24 hours", description="Declined authorizations")
    customer_payments_24h: int = Field(title="Payments of this customer, 24 hours", description="Without this one")
    customer_amount_24h: int = Field(
        title="Amount of this customer, 24 hours", description="Minor units of the same currency"
    )
    customer_is_new: bool = Field(title="New customer", description="Never paid before, or not named")
    customer_country: str = Field(title="Country", description="Two letters; empty when not told")
    night: bool = Field(title="Night", description="Between 0 and 6 o'clock UTC")


def risk_facts(tx: Tx, payment: Payment) -> RiskFacts:
    """Counted now. `amount_reference` is the amount as if its currency had two decimals; nothing is converted."""
    customer = _customer(payment)
    counted = tx.own(_Counted).rows
    if payment.id not in counted:
        _count(tx, payment)
    found = counted.pop(payment.id)
    return RiskFacts(
        amount=payment.amount,
        currency=payment.currency,
        amount_reference=reference_amount(payment.amount, payment.currency),
        payment_method=payment.payment_method,
        card_payments_1h=found.card_payments,
        card_declines_24h=found.card_declines,
        customer_payments_24h=found.customer_payments if customer else 0,
        customer_amount_24h=int(found.customer_amount) if customer else 0,
        customer_is_new=not customer or not found.paid_before,
        customer_country=str(payment.customer.get("country", "")),
        night=payment.created_at.hour < _NIGHT_UNTIL,
    )


def _count(tx: Tx, payment: Payment) -> None:
    """Count for the payment, and in the same statement for those of the transaction that will hardly fail to ask."""
    unasked = {one.id: one for one in held.all_of(tx) if one.risk is None and one.status == "processing"}
    rows = [
        {
            "payment": one.id,
            "merchant": one.merchant_id,
            "card": one.method_fingerprint,
            "customer": _customer(one),
            "currency": one.currency,
        }
        for one in {**unasked, payment.id: payment}.values()
    ]
    now = tx.now()
    since = {"hour_ago": now - _HOUR, "day_ago": now - _DAY, "two_days_ago": now - 2 * _DAY}
    # What other payments did in this very transaction is not worth writing down early for: it counts the next time.
    with tx.session.no_autoflush:
        found = tx.rows(_COUNTS, {"rows": as_json(rows), **since})
        tx.own(_Counted).rows.update((row.payment, row) for row in found)


def _customer(payment: Payment) -> str:
    return str(payment.customer.get("id", ""))


def reference_amount(minor: int, currency: str) -> int:
    """Minor units scaled to two decimals: 1000 JPY is 100000, 1234 KWD (1.234) is 123."""
    scaled = Decimal(minor).scaleb(2 - exponent(currency))
    return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))
