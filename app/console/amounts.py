"""Amounts as people type them: major units with a decimal point or comma, exact, never through a float."""

import re

from app.errors import FieldError, InvalidInput
from app.kit.money import MAX_MINOR, exponent

_TYPED = re.compile(r"([0-9]{1,15})(?:[.,]([0-9]{1,4}))?")


def parse_amount(text: str, currency: str, least: int = 1) -> int:
    """`12.5` or `12,50` EUR is 1250 minor units. InvalidInput names the field `amount` for anything else."""
    digits = exponent(currency)
    found = _TYPED.fullmatch(text.strip().replace(" ", "").replace("\u00a0", ""))
    if not found or len(found[2] or "") > digits:
        example = f"120.{'5'.ljust(digits, '0')}" if digits else "120"
        raise _wrong(f"must be a number such as {example}, with at most {digits} decimals")
    minor = int(found[1] + (found[2] or "").ljust(digits, "0"))
    if not least <= minor <= MAX_MINOR:
        raise _wrong("must be more than zero and not beyond what a payment may hold")
    return minor


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(f"The amount {message}", errors=[FieldError("amount", message)])
