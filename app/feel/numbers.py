"""Decimal arithmetic with 34 digits, rounded half-even, without infinities: what has no such result is None.

Integers stay Python ints while they fit 34 digits: the result is the same and the common case is fast.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

CONTEXT = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=-6143, Emax=6144, traps=[])
BOUND: int = 10**34
MAX_EXPONENT = 1_000_000

Number = int | Decimal


def finite(value: Decimal) -> Number | None:
    if not value.is_finite():
        return None
    return value or abs(value)


def whole(value: int) -> Number | None:
    """An int as a FEEL number: rounded to 34 digits when it has more."""
    return value if -BOUND < value < BOUND else finite(CONTEXT.create_decimal(value))


def add(left: Any, right: Any) -> Number | None:
    if type(left) is int and type(right) is int:
        return whole(left + right)
    return finite(CONTEXT.add(left, right))


def subtract(left: Any, right: Any) -> Number | None:
    if type(left) is int and type(right) is int:
        return whole(left - right)
    return finite(CONTEXT.subtract(left, right))


def multiply(left: Any, right: Any) -> Number | None:
    if type(left) is int and type(right) is int:
        return whole(left * right)
    return finite(CONTEXT.multiply(left, right))


def divide(left: Any, right: Any) -> Number | None:
    if not right:
        return None
    if type(left) is int and type(right) is int and left % right == 0:
        return left // right
    return finite(CONTEXT.divide(left, right))


def power(base: Any, exponent: Any) -> Number | None:
    if abs(exponent) > MAX_EXPONENT:
        return None
    if not base and not exponent:
        return 1
    result = finite(CONTEXT.power(Decimal(base), Decimal(exponent)))
    if type(base) is int and type(exponent) is int and exponent >= 0 and result is not None and -BOUND < result < BOUND:
        return int(result)
    return result


def modulo(dividend: Any, divisor: Any) -> Number | None:
    """The remainder with the sign of the divisor; None where it would need more than 34 digits to be found."""
    if not divisor:
        return None
    if _is_whole(dividend) and _is_whole(divisor):
        return whole(int(dividend) % int(divisor))
    rest = CONTEXT.remainder(Decimal(dividend), Decimal(divisor))
    if rest.is_nan():
        return None
    if rest and (rest < 0) is not (divisor < 0):
        rest = CONTEXT.add(rest, divisor)
    return finite(rest)


def _is_whole(value: Number) -> bool:
    return isinstance(value, int) or value == value.to_integral_value()


def integer(value: Any) -> int | None:
    """The whole part of a number small enough to count with, else None."""
    return int(value) if abs(value) < BOUND else None


def literal(text: str) -> Number | None:
    """The number a literal stands for; None when it is too large."""
    value = CONTEXT.create_decimal(text)
    if not value.is_finite():
        return None
    return int(value) if text.isdigit() and value < BOUND else value


def plain(value: Number) -> str:
    """A number as text without an exponent."""
    return str(value) if type(value) is int else format(value, "f")
