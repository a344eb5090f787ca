"""Regular expressions of XPath to a tree. What the syntax does not allow raises ValueError.

Not supported, and so invalid: back-references (they cannot be matched in bounded time) and most `\\p{IsBlock}`.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

MAX_PATTERN = 1_000
MAX_REPEAT = 1_000
#: Every way through a pattern carries the places of all groups.
MAX_GROUPS = 50
_MAX_DEPTH = 50

Predicate = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Piece:
    """`kind` is set (a character), line or text (an anchor of it, `sign` ^ or $), sequence, choice, repeat or group.

    `cost` is how many questions a set asks about a character.
    """

    kind: str
    parts: "tuple[Piece, ...]" = ()
    accepts: Predicate | None = None
    sign: str = ""
    group: int = 0
    least: int = 0
    most: int | None = None
    greedy: bool = True
    cost: int = 1


_SPACES = frozenset(" \t\n\r")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", **{sign: sign for sign in "\\|.-^?*+{}()[]$/ "}}


_BLOCKS = {
    "IsBasicLatin": ("\0", "\x7f"),
    "IsLatin-1Supplement": ("\x80", "\xff"),
    "IsGreek": ("\u0370", "\u03ff"),
    "IsCyrillic": ("\u0400", "\u04ff"),
}


def _property(name: str) -> Predicate:
    if name in _BLOCKS:
        return _between(*_BLOCKS[name])
    majors = {"L", "M", "N", "P", "Z", "S", "C"}
    if name[:1] not in majors or len(name) > 2:
        raise ValueError(name)
    return lambda character: unicodedata.category(character).startswith(name)


def _not(accepts: Predicate) -> Predicate:
    return lambda character: not accepts(character)


def _is_word(character: str) -> bool:
    return unicodedata.category(character)[0] not in "PZC"


def _is_name_start(character: str) -> bool:
    return character in "_:" or character.isalpha()


def _is_name(character: str) -> bool:
    return character in "-._:·" or character.isalnum() or unicodedata.category(character)[0] == "M"


_CLASSES: dict[str, Predicate] = {
    "d": lambda character: unicodedata.category(character) == "Nd",
    "s": lambda character: character in _SPACES,
    "w": _is_word,
    "i": _is_name_start,
    "c": _is_name,
}


def any_case(accepts: Predicate) -> Predicate:
    return lambda character: accepts(character) or accepts(character.lower()) or accepts(character.upper())


class PatternParser:
    """Reads one pattern. Flags: s dot takes newlines, m anchors at lines, i any case, x ignore blanks, q literal."""

    def __init__(self, pattern: str, flags: str) -> None:
        if len(pattern) > MAX_PATTERN or not set(flags) <= set("smixq"):
            raise ValueError(flags)
        self.pattern = pattern
        self.flags = flags
        self.at = 0
        self.groups = 0
        self.depth = 0

    def parse(self) -> Piece:
        if "q" in self.flags:
            return Piece("sequence", tuple(self._one(_same(character)) for character in self.pattern))
        if "x" in self.flags:
            self.pattern = _without_blanks(self.pattern)
        piece = self._choice()
        if self.at < len(self.pattern):
            raise ValueError(self.pattern)
        return piece

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise ValueError(self.pattern)
        self.at += 1
        return character

    def _accept(self, text: str) -> bool:
        if self.pattern.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def _one(self, accepts: Predicate) -> Piece:
        return Piece("set", accepts=self._cased(accepts))

    def _cased(self, accepts: Predicate) -> Predicate:
        return any_case(accepts) if "i" in self.flags else accepts

    def _choice(self) -> Piece:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ValueError(self.pattern)
        branches = [self._sequence()]
        while self._accept("|"):
            branches.append(self._sequence())
        self.depth -= 1
        return branches[0] if len(branches) == 1 else Piece("choice", tuple(branches))

    def _sequence(self) -> Piece:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._quantified(self._atom()))
        return Piece("sequence", tuple(parts))

    def _atom(self) -> Piece:
        character = self._take()
        if character in "?*+{}]":
            raise ValueError(self.pattern)
        if character in "^$":
            return Piece("line" if "m" in self.flags else "text", sign=character)
        if character == "(":
            return self._group()
        if character == "[":
            accepts, cost = self._set()
            return Piece("set", accepts=accepts, cost=cost)
        if character == "\\":
            return self._one(self._escape())
        if character == ".":
            return self._one(_anything if "s" in self.flags else _no_newline)
        return self._one(_same(character))

    def _group(self) -> Piece:
        number = 0
        if not self._accept("?:"):
            self.groups += 1
            if self.groups > MAX_GROUPS:
                raise ValueError(self.pattern)
            number = self.groups
        inner = self._choice()
        if not self._accept(")"):
            raise ValueError(self.pattern)
        return Piece("group", (inner,), group=number) if number else inner

    def _quantified(self, piece: Piece) -> Piece:
        sign = self._peek()
        if sign not in ("?", "*", "+", "{") or not sign:
            return piece
        self.at += 1
        least, most = self._counts() if sign == "{" else _COUNTS[sign]
        greedy = not self._accept("?")
        if self._peek() in ("?", "*", "+", "{") and self._peek():
            raise ValueError(self.pattern)
        return Piece("repeat", (piece,), least=least, most=most, greedy=greedy)

    def _counts(self) -> tuple[int, int | None]:
        least = self._number()
        most: int | None = least
        if self._accept(","):
            most = None if self._peek() == "}" else self._number()
        if not self._accept("}") or (most is not None and most < least):
            raise ValueError(self.pattern)
        return least, most

    def _number(self) -> int:
        start = self.at
        while self._peek().isdecimal() and self.at - start < 5:
            self.at += 1
        number = int(self.pattern[start : self.at])
        if number > MAX_REPEAT:
            raise ValueError(self.pattern)
        return number

    def _escape(self) -> Predicate:
        character = self._take()
        if character in _ESCAPED:
            return _same(_ESCAPED[character])
        if character in "pP":
            if not self._accept("{"):
                raise ValueError(self.pattern)
            end = self.pattern.index("}", self.at)
            accepts = _property(self.pattern[self.at : end])
            self.at = end + 1
            return accepts if character == "p" else _not(accepts)
        if character.lower() in _CLASSES:
            accepts = _CLASSES[character.lower()]
            return accepts if character.islower() else _not(accepts)
        raise ValueError(self.pattern)

    def _set(self) -> tuple[Predicate, int]:
        """The inside of `[...]`, which may end with a set taken away (`[a-z-[aeiou]]`), and its cost."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ValueError(self.pattern)
        negated = self._accept("^")
        spans: list[tuple[str, str]] = []
        classes: dict[str, Predicate] = {}
        without: Predicate | None = None
        cost = 1
        while not self._accept("]"):
            if self._accept("-["):
                without, cost = self._set()
                cost += 1
                if not self._accept("]"):
                    raise ValueError(self.pattern)
                break
            self._member(spans, classes)
        if not spans and not classes:
            raise ValueError(self.pattern)
        self.depth -= 1
        inside = self._cased(_any_of(spans, tuple(classes.values())))
        return _set_of(inside, without, negated=negated), cost + len(classes)

    def _member(self, spans: list[tuple[str, str]], classes: dict[str, Predicate]) -> None:
        """Add a character, the ends of a range, or a class under its spelling, so that none is asked twice."""
        begin = self.at
        start = self._take()
        if start == "[":
            raise ValueError(self.pattern)
        first = self._single(start)
        if first is None:
            accepts = self._escape()
            classes[self.pattern[begin : self.at]] = accepts
            return
        last = first
        if self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("", "]", "["):
            self.at += 1
            found = self._single(self._take())
            if found is None or found < first:
                raise ValueError(self.pattern)
            last = found
        spans.append((first, last))

    def _single(self, character: str) -> str | None:
        """The character a member starts with; None for a class such as `\\d`, which then follows."""
        if character != "\\":
            return character
        if self._peek() in _ESCAPED and self._peek():
            return _ESCAPED[self._take()]
        return None


_COUNTS: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}


def _anything(_character: str) -> bool:
    return True


def _no_newline(character: str) -> bool:
    return character not in "\n\r"


def _same(wanted: str) -> Predicate:
    return lambda character: character == wanted


def _between(first: str, last: str) -> Predicate:
    return lambda character: first <= character <= last


def _any_of(spans: list[tuple[str, str]], classes: tuple[Predicate, ...]) -> Predicate:
    """Whether a character lies in a range, which is looked up, or in a class, which are asked one after another."""
    merged: list[tuple[str, str]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    starts, ends = [first for first, _ in merged], [last for _, last in merged]

    def accepts(character: str) -> bool:
        place = bisect_right(starts, character) - 1
        return (place >= 0 and character <= ends[place]) or any(found(character) for found in classes)

    return accepts


def _set_of(inside: Predicate, without: Predicate | None, *, negated: bool) -> Predicate:
    def accepts(character: str) -> bool:
        return inside(character) is not negated and not (without is not None and without(character))

    return accepts


def _without_blanks(pattern: str) -> str:
    """The pattern without the blanks outside of sets (flag x)."""
    kept: list[str] = []
    inside = 0
    escaped = False
    for character in pattern:
        if not escaped and character in "[]":
            inside += 1 if character == "[" else -1
        if inside or character not in _SPACES:
            kept.append(character)
        escaped = character == "\\" and not escaped
    return "".join(kept)
