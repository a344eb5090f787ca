"""Card numbers have no place here: gateways hold them, we hold tokens. This finds one wherever a text came in.

A number counts when its prefix and length are a network's and its check digit is right. Check digits alone would flag
one random number in ten.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.errors import FieldError, InvalidInput

# Digits that no other digit or letter continues. A number is one such group, or several with single spaces or dashes.
_GROUP = re.compile(r"(?<![0-9A-Za-z])[0-9]{1,19}(?![0-9A-Za-z])")
# How an account number begins, which goes on with groups like those of a card.
_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}[ -]$")

_SHORTEST = 13
_LONGEST = 19
#: Beside a number may stand a month, a year or a security code; in the groups of a number itself are this many digits.
_SMALLEST_GROUP = 3

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
    return next(_found(text), None) is not None


def without_card_numbers(text: str, mask: str) -> str:
    """`text` with `mask` in the place of every card number."""
    for start, end in reversed(list(_found(text))):
        text = text[:start] + mask + text[end:]
    return text


def refuse_card_numbers(values: Mapping[str, Any]) -> None:
    """CardNumberRefused naming the first field that holds a card number; the number itself is never repeated."""
    for path, text in _texts(values, ""):
        if contains_card_number(text):
            message = "looks like a card number; send a token of the gateway instead"
            raise CardNumberRefused(f"{path} {message}", errors=[FieldError(path, message, "card_number")])


def _found(text: str) -> Iterator[tuple[int, int]]:
    """Where the card numbers of `text` stand, from the left, none inside another."""
    if len(text) < _SHORTEST:
        return
    for run in _runs(text):
        after = 0
        for start, end in _candidates(text, run):
            if start >= after and _is_card_number(re.sub("[ -]", "", text[start:end])):
                after = end
                yield start, end


def _runs(text: str) -> Iterator[list[tuple[int, int]]]:
    """Groups of digits with single spaces or dashes between them."""
    run: list[tuple[int, int]] = []
    for found in _GROUP.finditer(text):
        if run and text[run[-1][1] : found.start()] not in (" ", "-"):
            yield run
            run = []
        run.append(found.span())
    if run:
        yield run


def _candidates(text: str, run: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The whole run, however it is divided, and every part of it that is divided as cards are."""
    is_account = _IBAN.search(text[max(0, run[0][0] - 6) : run[0][0]]) is not None
    for first, (start, _) in enumerate(run):
        digits, cardlike = 0, not is_account
        for place, (begin, end) in enumerate(run[first : first + _LONGEST], start=first):
            digits += end - begin
            cardlike = cardlike and end - begin >= _SMALLEST_GROUP
            if digits > _LONGEST or not (cardlike or first == 0):
                break
            if digits >= _SHORTEST and (cardlike or place == len(run) - 1):
                yield start, end


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
