"""Answers of gateways made fit to keep for ever: no secrets, no personal data, no card numbers, bounded in size."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

MASK: Final = "[redacted]"
_LONGEST_TEXT = 500
_MOST_ITEMS = 50
_DEEPEST = 6

#: What a secret's name has somewhere in it, and the words that are too short to be looked for inside others.
_SECRET_PART: Final = re.compile(
    "secret|password|authorization|api_key|apikey|signature|credential"
    "|card_number|account_number|expiry|exp_month|exp_year"
    "|email|phone|address|postal|birth|holder|first_name|last_name|full_name"
)
_SECRET_WORDS: Final = frozenset({"pan", "cvc", "cvv", "iban", "token", "name", "number"})
_CARD_NUMBER = re.compile(r"(?<![\w.-])[2-6](?:[ -]?\d){12,18}(?![\w.-])")


def redacted(value: Any, depth: int = 0) -> Any:
    """`value` (JSON: mappings, lists, texts, numbers) with what must not be kept replaced and long parts cut."""
    if isinstance(value, Mapping):
        if depth >= _DEEPEST:
            return MASK
        shown = list(value.items())[:_MOST_ITEMS]
        return {str(k): MASK if _is_secret(str(k)) and v else redacted(v, depth + 1) for k, v in shown}
    if isinstance(value, str):
        return _CARD_NUMBER.sub(_mask_card_number, value[:_LONGEST_TEXT])
    if isinstance(value, Sequence):
        return MASK if depth >= _DEEPEST else [redacted(item, depth + 1) for item in value[:_MOST_ITEMS]]
    return value


def _is_secret(name: str) -> bool:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    return _SECRET_PART.search(snake) is not None or not _SECRET_WORDS.isdisjoint(snake.split("_"))


def _mask_card_number(match: re.Match[str]) -> str:
    digits = [int(digit) for digit in match[0] if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    is_card_number = (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
    return MASK if is_card_number else match[0]
