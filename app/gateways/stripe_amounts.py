"""How Stripe counts money, where that differs from ISO 4217: a wrong exponent charges a hundred times too much.

Source: docs.stripe.com/currencies, "Zero-decimal currencies", "Three-decimal currencies" and "Special cases". Stripe
names UGX both as zero-decimal and as a special case; its API enforces the special case. HUF and TWD are whole in
payouts only, a charge has two decimals.
"""

from typing import Final

from app.errors import InvalidInput
from app.kit.money import Money, exponent

_ZERO: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_THREE: Final = "BHD JOD KWD OMR TND"
#: Counted with two decimals that are always zero.
_WHOLE: Final = "ISK UGX"
#: The last digit of a three-decimal amount must be zero.
_THREE_STEP: Final = 10
_WHOLE_STEP: Final = 100


class CurrencyRefused(InvalidInput):
    code = "stripe_currency_refused"
    title = "Stripe takes no payments in this currency"


class AmountRefused(InvalidInput):
    code = "stripe_amount_refused"
    title = "Stripe cannot express this amount"


def to_stripe(money: Money) -> int:
    """The integer Stripe reads as exactly `money`; CurrencyRefused or AmountRefused where there is none."""
    amount, rest = divmod(money.minor * _units(_exponent(money.currency)), _units(exponent(money.currency)))
    if rest or amount % _step(money.currency):
        raise AmountRefused(f"Stripe cannot express {money} exactly; round it before it is charged")
    return amount


def from_stripe(amount: int, currency: str) -> Money:
    """Stripe's `amount` in its lower-case `currency` as Money; AmountRefused when we cannot express it exactly."""
    code = currency.upper()
    minor, rest = divmod(amount * _units(exponent(code)), _units(_exponent(code)))
    if rest:
        raise AmountRefused(f"{amount} in {code} is not a whole number of minor units")
    return Money(minor, code)


def _units(decimals: int) -> int:
    return int(10**decimals)


def _exponent(currency: str) -> int:
    if currency in _ZERO.split():
        return 0
    if currency in _THREE.split():
        return 3
    if currency in _WHOLE.split() or exponent(currency) == 2:
        return 2
    raise CurrencyRefused(f"Stripe takes no payments in {currency}; route them to another gateway")


def _step(currency: str) -> int:
    if currency in _WHOLE.split():
        return _WHOLE_STEP
    return _THREE_STEP if currency in _THREE.split() else 1
