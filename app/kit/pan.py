"""Card numbers have no place here: gateways hold them, we hold tokens. This finds one wherever a text came in.

A number counts when its prefix and length are a network's and its check digit is right. Check digits alone would flag
one random number in ten.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.errors import FieldError, InvalidInput

# A run of digits, with single spaces or dashes inside, that no other digit or letter continues.
_RUN = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ \-]?[0-9]){12,18}(?![0-9A-Za-z])")

_SHORTEST = 13

# (prefixes as ranges of their first digits, lengths) of each network.
_NETWORKS: tuple[tuple[tuple[tuple[int, int], ...], frozenset[int]], ...] = (
    (((4, 4),), frozenset({13, 16, 19})),  # Visa
    (((51, 55), (2221, 2720)), frozenset({16})),  # Mastercard
    (((34, 34), (37, 37)), frozenset({15})),  # American Express
    (((300, 305), (36, 36), (38, 39)), frozenset({14, 16, 17, 18, 19})),  # Diners Club
    (((6011, 6011), (644, 649), (65, 65)), frozenset({16, 17, 18, 19})),  # Discover
    (((3528, 3589),), frozenset({16, 17, 18, 19})),  # JCB
    (((62, 62), (81, 81)), frozenset({16, 17, 18, 19})),  # UnionPay
    (((50, 50), (56, 58), (6304, 6304), (67, 67)), frozenset(range(13, 20))),  # Maestro
    (((2200, 2204),), frozenset({16, 17, 18, 19})),  # Mir
)


class CardNumberRefused(InvalidInput):
    code = "card_number_refused"
    title = "A card number was sent; send a gateway's token instead"


def contains_card_number(text: str) -> bool:
    """Whether some run of digits in `text` is a valid number of a known card network."""
    return len(text) >= _SHORTEST and any(_is_card_number(re.sub("[ -]", "", run)) for run in _RUN.findall(text))


def refuse_card_numbers(values: Mapping[str, Any]) -> None:
    """CardNumberRefused naming the first field that holds a card number; the number itself is never repeated."""
    for path, text in _texts(values, ""):
        if contains_card_number(text):
            message = "looks like a card number; send a token of the gateway instead"
            raise CardNumberRefused(f"{path} {message}", errors=[FieldError(path, message, "card_number")])


def _is_card_number(digits: str) -> bool:
    return any(
        len(digits) in lengths and any(low <= int(digits[: len(str(low))]) <= high for low, high in ranges)
        for ranges, lengths in _NETWORKS
    ) and _luhn(digits)


def _luhn(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text inside `value` with the dotted path to it. A key that is a card number is named `*`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            name = str(key)
            shown = "*" if contains_card_number(name) else name
            yield f"{path}.{shown}".lstrip("."), name
            yield from _texts(inner, f"{path}.{shown}".lstrip("."))
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{path}.{number}".lstrip("."))
