"""Recognising card numbers in text, so that they are refused at the edge and never stored.

A run of 13 to 19 digits counts only when its first digits and length are those of a card network and its check digit
is right: of random numbers of that length fewer than three in a hundred do.
"""

import re

# Digits that may be grouped by single spaces or dashes, not part of a longer run of digits or letters.
_RUN = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])")

# (first, last, how many leading digits are compared, lengths)
_NETWORKS = (
    (4, 4, 1, {13, 16, 19}),
    (51, 55, 2, {16}),
    (2221, 2720, 4, {16}),
    (34, 34, 2, {15}),
    (37, 37, 2, {15}),
    (6011, 6011, 4, {16, 19}),
    (644, 649, 3, {16, 19}),
    (65, 65, 2, {16, 19}),
    (300, 305, 3, {14}),
    (36, 36, 2, {14}),
    (38, 39, 2, {14}),
    (3528, 3589, 4, {16}),
    (62, 62, 2, {16, 17, 18, 19}),
)


def contains_card_number(text: str) -> bool:
    """Whether `text` holds what looks like a full card number, with or without spaces and dashes."""
    return any(_is_card(re.sub("[ -]", "", match.group())) for match in _RUN.finditer(text))


def _is_card(digits: str) -> bool:
    return _passes_check(digits) and any(
        len(digits) in lengths and first <= int(digits[:leading]) <= last for first, last, leading, lengths in _NETWORKS
    )


def _passes_check(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
