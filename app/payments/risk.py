"""Facts about how a payment fits in: how often this card, this customer, this amount, by the database's own count."""

from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from pydantic import Field
from sqlalchemy import ColumnElement, Exists, ScalarSelect, func, select

from app.kit.database import Tx
from app.kit.money import exponent
from app.operations import Result
from app.payments.models import Attempt, Payment

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
#: Hours of the day, UTC, that count as night.
_NIGHT_UNTIL = 6


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
    customer = str(payment.customer.get("id", ""))
    counts = select(
        _card_payments(tx, payment).label("card_payments"),
        _card_declines(tx, payment).label("card_declines"),
        _customer(tx, payment, customer, func.count()).label("customer_payments"),
        _customer(tx, payment, customer, _amount_in(payment.currency)).label("customer_amount"),
        _paid_before(payment, customer).label("paid_before"),
    )
    # What other payments did in this very transaction is not worth writing down early for: it counts the next time.
    with tx.session.no_autoflush:
        found = tx.session.execute(counts).one()
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


def reference_amount(minor: int, currency: str) -> int:
    """Minor units scaled to two decimals: 1000 JPY is 100000, 1234 KWD (1.234) is 123."""
    scaled = Decimal(minor).scaleb(2 - exponent(currency))
    return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))


def _card_payments(tx: Tx, payment: Payment) -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(Payment)
        .where(
            Payment.merchant_id == payment.merchant_id,
            Payment.method_fingerprint == payment.method_fingerprint,
            Payment.created_at > tx.now() - _HOUR,
            Payment.id != payment.id,
        )
        .scalar_subquery()
    )


def _card_declines(tx: Tx, payment: Payment) -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(Attempt)
        .join(Payment, Payment.id == Attempt.payment_id)
        .where(
            Payment.merchant_id == payment.merchant_id,
            Payment.method_fingerprint == payment.method_fingerprint,
            # An attempt is never older than its payment by more than a day of retries worth counting.
            Payment.created_at > tx.now() - 2 * _DAY,
            Attempt.operation == "authorize",
            Attempt.outcome == "declined",
            Attempt.created_at > tx.now() - _DAY,
        )
        .scalar_subquery()
    )


def _customer(tx: Tx, payment: Payment, customer: str, what: ColumnElement[int]) -> ScalarSelect[int]:
    """`what` over the other payments this customer made in a day."""
    return (
        select(what)
        .select_from(Payment)
        .where(
            Payment.merchant_id == payment.merchant_id,
            Payment.customer["id"].astext == customer,
            Payment.created_at > tx.now() - _DAY,
            Payment.id != payment.id,
        )
        .scalar_subquery()
    )


def _amount_in(currency: str) -> ColumnElement[int]:
    return func.coalesce(func.sum(Payment.amount).filter(Payment.currency == currency), 0)


def _paid_before(payment: Payment, customer: str) -> Exists:
    return (
        select(Payment.id)
        .where(
            Payment.merchant_id == payment.merchant_id,
            Payment.customer["id"].astext == customer,
            Payment.amount_captured > 0,
            Payment.id != payment.id,
        )
        .exists()
    )
