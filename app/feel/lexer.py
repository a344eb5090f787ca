"""Text to tokens, and names that hold spaces or operators found among them.

Whether `a-b` is one name or a subtraction depends on the names in scope, so the parser asks for the longest known
name at a token; the tokens themselves are cut without knowing any name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

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
KEYWORDS = frozenset(
    {
        "for", "return", "if", "then", "else", "some", "every", "satisfies", "in", "between", "and", "or", "instance",
        "function", "true", "false", "null",
    }
)  # fmt: skip
#: Tokens of the longest name that is looked for, so that reading a text costs no more than this for each of its tokens.
MAX_NAME = 30
_NO_NAMES: Mapping[str | None, Any] = {}
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
    """Names as a tree of their tokens; under None stands the name that ends there. `endless` ones are none."""

    __slots__ = ("_tree",)

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._tree: dict[str | None, Any] = {}
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        if endless(name):
            return
        at = self._tree
        for _, part in _parts(name):
            at = at.setdefault(part, {})
        at.setdefault(None, name)

    def longest(self, found: list[Token], index: int) -> tuple[str, int] | None:
        """The longest known name of more than one token that starts at a token, with its number of tokens."""
        best = None
        for name, length in self._starting(found, index):
            best = (name, length) if length > 1 else None
        return best

    def within(self, text: str) -> frozenset[str]:
        """All names that a text can be read to hold. FeelError when it cannot be cut into tokens."""
        found = tokens(text)
        return frozenset(name for index in range(len(found)) for name, _ in self._starting(found, index))

    def _starting(self, found: list[Token], index: int) -> Iterator[tuple[str, int]]:
        """The names that start at a token, the shortest first."""
        at = self._tree
        for end in range(index, len(found) - 1):
            at = at.get(found[end].text, _NO_NAMES)
            if not at:
                return
            if None in at:
                yield at[None], end + 1 - index


def _parts(name: str) -> list[tuple[str, str]]:
    """Kind and text of the tokens of a name."""
    found = ((match.lastgroup or "", match.group()) for match in _TOKEN.finditer(name))
    return [(kind, text) for kind, text in found if kind != "space"]


def endless(name: str) -> bool:
    """Whether a name has more tokens than are looked for."""
    return len(_parts(name)) > MAX_NAME


def plain(name: str) -> bool:
    """Whether a name of several words can be nothing but a name: nothing in it joins or compares values."""
    return all(
        kind == "number" or text == "'" or (kind == "word" and text not in KEYWORDS) for kind, text in _parts(name)
    )


@lru_cache(maxsize=256)
def known_names(names: frozenset[str]) -> Names:
    """The names of a set that need looking for; shared, so nothing may be added to them."""
    return Names(names)


@lru_cache(maxsize=256)
def plain_names(names: frozenset[str]) -> Names:
    """The same of those among them that are `plain`."""
    return Names(name for name in names if plain(name))
