"""Identifiers: a word that says what it names, then 26 letters and digits.

`new_id` is ordered by time, so keyset paging and indexes follow creation; `derived_id` is the same for the same
parts, which makes an operation's key survive every crash. Neither looks like a card number: both start with a word
and the alphabet (Crockford base 32, lower case) mixes letters into any long run of digits.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from typing import Protocol

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


class Source(Protocol):
    """What new ids are made of."""

    def milliseconds(self) -> int:
        """Since 1970."""
        ...

    def randbytes(self, n: int, /) -> bytes: ...


@dataclass(frozen=True)
class _Machine:
    def milliseconds(self) -> int:
        return time.time_ns() // 1_000_000

    def randbytes(self, n: int, /) -> bytes:
        return os.urandom(n)


_source: Source = _Machine()


def draw_from(source: Source | None) -> None:
    """Make new ids of `source` from now on, so that a simulation can be replayed; None: of the machine again."""
    global _source  # noqa: PLW0603 - one for the whole process, as the machine is
    _source = source or _Machine()


def _encode(value: int, length: int) -> str:
    pairs = []
    for _ in range((length + 1) // 2):
        value, rest = divmod(value, 1024)
        pairs.append(_PAIRS[rest])
    return "".join(reversed(pairs))[-length:]


def new_id(prefix: str) -> str:
    """`pay_` and 48 bits of milliseconds followed by 80 random bits."""
    return f"{prefix}_{_encode(_source.milliseconds(), 10)}{_encode(int.from_bytes(_source.randbytes(10)), 16)}"


def derived_id(prefix: str, *parts: object) -> str:
    """An id that depends on nothing but its parts."""
    text = "\x1f".join(str(part) for part in parts)
    return f"{prefix}_{_encode(int.from_bytes(hashlib.sha256(text.encode()).digest()[:17]) >> 6, 26)}"


def new_secret(prefix: str, size: int = 32) -> str:
    """A secret of `size` random bytes, for keys and tokens; shown once, stored only as a hash."""
    return f"{prefix}_{_encode(int.from_bytes(os.urandom(size)), (size * 8 + 4) // 5)}"
