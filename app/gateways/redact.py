"""Answers of gateways made fit to keep for ever: no secrets, no personal data, no card numbers, bounded in size."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.kit.pan import contains_card_number, without_card_numbers

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
#: Far more than a card number with its blanks: one that is cut in the middle could be completed by anybody.
_MARGIN: Final = 100
_SHORTEST_CARD_NUMBER: Final = 10**12
#: NUL as JSON writes it, after an even number of backslashes.
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def redacted(value: Any, depth: int = 0) -> Any:
    """`value` (JSON: mappings, lists, texts, numbers) with what must not be kept replaced and long parts cut."""
    if isinstance(value, Mapping):
        if depth >= _DEEPEST:
            return MASK
        shown = list(value.items())[:_MOST_ITEMS]
        return {_text(str(k)): MASK if _is_secret(str(k)) and v else redacted(v, depth + 1) for k, v in shown}
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and value >= _SHORTEST_CARD_NUMBER:
        return MASK if contains_card_number(str(value)) else value
    if isinstance(value, Sequence):
        return MASK if depth >= _DEEPEST else [redacted(item, depth + 1) for item in value[:_MOST_ITEMS]]
    return value


def without_nul(body: bytes) -> bytes:
    """A JSON text without the character NUL: no row can hold it, so what comes with it could never be booked."""
    return _NUL.sub(rb"\1", body) if b"\\u0000" in body else body


def _text(value: str) -> str:
    return without_card_numbers(value[: _LONGEST_TEXT + _MARGIN], MASK)[:_LONGEST_TEXT]


def _is_secret(name: str) -> bool:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    return _SECRET_PART.search(snake) is not None or not _SECRET_WORDS.isdisjoint(snake.split("_"))
