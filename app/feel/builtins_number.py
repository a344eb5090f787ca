"""Standard functions on numbers."""

from datetime import timedelta
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
)
from typing import Any

from app.feel.arithmetic import negate
from app.feel.numbers import BOUND, CONTEXT, Number, finite, integer, modulo
from app.feel.registry import function
from app.feel.scope import Run
from app.feel.values import NUMBERS, Months

# Wide enough that quantizing any 34-digit number to any permitted scale is exact before it is cut to 34 digits again.
_WIDE = Context(prec=13_000, Emin=-13_000, Emax=13_000, traps=[])
_SCALES = range(-6111, 6177)


def rounded(value: Number, scale: Any, rounding: str) -> Number | None:
    """A number cut to `scale` digits after the point (before it, when negative); to a whole number it is an int."""
    digits = integer(scale)
    if digits not in _SCALES or digits is None:
        return None
    unit = Decimal((0, (1,), -digits))
    result = finite(CONTEXT.plus(Decimal(value).quantize(unit, rounding, _WIDE)))
    return int(result) if result is not None and digits == 0 and -BOUND < result < BOUND else result


@function("decimal", "n: number", "scale: number")
def decimal_(_run: Run, n: Number, scale: Number) -> Number | None:
    return rounded(n, scale, ROUND_HALF_EVEN)


@function("floor", "n: number", "scale?: number")
def floor(_run: Run, n: Number, scale: Number = 0) -> Number | None:
    return rounded(n, scale or 0, ROUND_FLOOR)


@function("ceiling", "n: number", "scale?: number")
def ceiling(_run: Run, n: Number, scale: Number = 0) -> Number | None:
    return rounded(n, scale or 0, ROUND_CEILING)


@function("round up", "n: number", "scale: number")
def round_up(_run: Run, n: Number, scale: Number) -> Number | None:
    return rounded(n, scale, ROUND_UP)


@function("round down", "n: number", "scale: number")
def round_down(_run: Run, n: Number, scale: Number) -> Number | None:
    return rounded(n, scale, ROUND_DOWN)


@function("round half up", "n: number", "scale: number")
def round_half_up(_run: Run, n: Number, scale: Number) -> Number | None:
    return rounded(n, scale, ROUND_HALF_UP)


@function("round half down", "n: number", "scale: number")
def round_half_down(_run: Run, n: Number, scale: Number) -> Number | None:
    return rounded(n, scale, ROUND_HALF_DOWN)


@function("abs", "n: Any")
def abs_(_run: Run, n: Any) -> Any:
    if type(n) is Months:
        return Months(abs(n.months))
    if type(n) is timedelta:
        return abs(n)
    if type(n) not in NUMBERS:
        return None
    return negate(n) if n < 0 else n


@function("modulo", "dividend: number", "divisor: number")
def modulo_(_run: Run, dividend: Number, divisor: Number) -> Number | None:
    return modulo(dividend, divisor)


@function("sqrt", "number: number")
def sqrt(_run: Run, number: Number) -> Number | None:
    return finite(CONTEXT.sqrt(number)) if number >= 0 else None


@function("log", "number: number")
def log(_run: Run, number: Number) -> Number | None:
    return finite(CONTEXT.ln(number)) if number > 0 else None


@function("exp", "number: number")
def exp(_run: Run, number: Number) -> Number | None:
    return finite(CONTEXT.exp(number))


@function("even", "number: number")
def even(_run: Run, number: Number) -> bool:
    return modulo(number, 2) == 0


@function("odd", "number: number")
def odd(_run: Run, number: Number) -> bool:
    return modulo(number, 2) == 1
