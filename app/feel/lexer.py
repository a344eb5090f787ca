"""Text to tokens, and names that hold spaces or operators found among them.

Whether `a-b` is one name or a subtraction depends on the names in scope, so the parser asks for the longest known
name at a token; the tokens themselves are cut without knowing any name.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from app.feel.errors import MAX_TEXT, FeelError

_TOKEN = re.compile(
    r"""
    (?P<space>(?:[\s\u180e\u200b\ufeff]|//[^\n]*|/\*.*?\*/)+)
  | (?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
  | (?P<at>@"(?:[^"\\]|\\.)*")
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<word>(?:[^\W\d]|[\U00010000-\U000EFFFF])(?:\w|[\U00010000-\U000EFFFF])*|\?)
  | (?P<sign>\*\*|\.\.|<=|>=|!=|->|[-+*/=<>()\[\]{},:.'])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{6})|([nrtbf"'\\/]))""")
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\", "/": "/"}


class Token(NamedTuple):
    """`kind` is number, at, string, word, sign or end."""

    kind: str
    text: str
    at: int


def tokens(text: str) -> list[Token]:
    if len(text) > MAX_TEXT:
        raise FeelError(f"The expression has {len(text)} characters; keep it below {MAX_TEXT}.", text)
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FeelError(_unreadable(text[at]), text, at)
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Token(kind, match.group(), at))
        at = match.end()
    found.append(Token("end", "", len(text)))
    return found


def _unreadable(character: str) -> str:
    if character == '"':
        return 'This text has no closing quote: add a ".'
    if character in "“”":
        return 'Use straight quotes (") around text, not typographic ones.'
    if character in "&|":
        return 'Write "and" / "or" between conditions.'
    if character == "!":
        return 'Write "not(...)" to negate, or "!=" to compare.'
    return f"The character {character!r} has no meaning here."


def unescape(token: Token, text: str) -> str:
    """The value of a string token; unknown escapes stay as they are, so patterns may be written with one backslash."""
    body = token.text[token.text.index('"') + 1 : -1]
    if "\\" not in body:
        return body
    try:
        value = _ESCAPE.sub(_character, body)
        # Two \u escapes that form a surrogate pair are one character; a lone surrogate is not text at all.
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    except ValueError:
        raise FeelError("This text holds an escape that is not a Unicode character.", text, token.at) from None


def _character(match: re.Match[str]) -> str:
    code = match.group(1) or match.group(2)
    return chr(int(code, 16)) if code else _SIMPLE[match.group(3)]


class Names:
    """Names of more than one token, found by their first token, longest first."""

    __slots__ = ("_by_first",)

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        parts = tuple(match.group() for match in _TOKEN.finditer(name) if match.lastgroup != "space")
        if len(parts) < 2:
            return
        known = self._by_first.setdefault(parts[0], [])
        known.append((parts, name))
        known.sort(key=lambda entry: -len(entry[0]))

    def longest(self, found: list[Token], index: int) -> tuple[str, int] | None:
        """The longest known name that starts at a token, with its number of tokens."""
        for parts, name in self._by_first.get(found[index].text, ()):
            if len(found) > index + len(parts) - 1 and all(
                found[index + offset].text == part for offset, part in enumerate(parts)
            ):
                return name, len(parts)
        return None


@lru_cache(maxsize=256)
def known_names(names: frozenset[str]) -> Names:
    """The names of a set that need looking for; shared, so nothing may be added to them."""
    return Names(names)
