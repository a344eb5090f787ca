"""The cursor of the parser: current token, names in scope, and errors that say where."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable

from app.feel.errors import FeelError
from app.feel.lexer import KEYWORDS, Names, Token, known_names, plain_names, tokens
from app.feel.syntax import Node
from app.feel.temporal import PROPERTY_NAMES


class Reader(ABC):
    """`scopes` hold the names with spaces visible here, `seen` what may follow a dot: `entries` and the keys read."""

    def __init__(
        self, text: str, names: frozenset[str], functions: frozenset[str], entries: frozenset[str] = frozenset()
    ) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.index = 0
        self.depth = 0
        self.filters = 0
        self.scopes = [known_names(names), plain_names(entries), known_names(functions)]
        self.keys = Names()
        self.seen = [known_names(entries), known_names(PROPERTY_NAMES), self.keys]

    @abstractmethod
    def expression(self, power: int = 0) -> Node:
        """An expression of operators that bind tighter than `power`."""

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def error(self, sentence: str, at: int | None = None) -> FeelError:
        return FeelError(sentence, self.text, self.token.at if at is None else at)

    def is_at(self, *signs: str) -> bool:
        token = self.token
        return token.kind in ("sign", "word") and token.text in signs

    def follows(self, sign: str) -> bool:
        """Whether the next token but one is this sign."""
        return self.index + 1 < len(self.tokens) and self.tokens[self.index + 1].text == sign

    def take(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.index += 1
        return token

    def accept(self, sign: str) -> bool:
        if self.is_at(sign):
            self.index += 1
            return True
        return False

    def expect(self, sign: str, after: str) -> None:
        if not self.accept(sign):
            raise self.error(f'Expected "{sign}" {after}, found {self.found()}.')

    def found(self) -> str:
        return "the end" if self.token.kind == "end" else f'"{self.token.text}"'

    def known_name(self) -> str | None:
        """The longest name in scope at the cursor, or a single word; the cursor moves behind it."""
        places = [*self.scopes, *self.seen] if self.filters else self.scopes
        best = self._longest(places)
        if best is not None:
            return best
        if self.token.kind == "word" and self.token.text not in KEYWORDS:
            return self.take().text
        return None

    def property_name(self) -> str:
        """The name after a dot: any word will do, a keyword too."""
        name = self._longest(self.seen)
        if name is not None:
            return name
        if self.token.kind != "word":
            raise self.error(f"Expected a name after the dot, found {self.found()}.")
        return self.take().text

    def _longest(self, places: Iterable[Names]) -> str | None:
        best: tuple[str, int] | None = None
        for place in places:
            found = place.longest(self.tokens, self.index)
            if found is not None and (best is None or found[1] > best[1]):
                best = found
        if best is None:
            return None
        self.index += best[1]
        return best[0]

    def new_name(self, ends: Collection[str]) -> str:
        """A name being introduced: everything up to one of the signs in `ends`, with its spaces normalised."""
        parts: list[str] = []
        start, previous_end = self.token.at, self.token.at
        while self.token.kind in ("word", "number", "sign") and self.token.text not in ends:
            token = self.take()
            parts.append(f" {token.text}" if token.at > previous_end else token.text)
            previous_end = token.at + len(token.text)
        name = "".join(parts)
        if not name or not (name[0].isalpha() or name[0] in "_?"):
            raise self.error(f"Expected a name, found {self.found()}.", start)
        return name

    def introduce(self, name: str) -> None:
        self.scopes[-1].add(name)
        self.keys.add(name)

    def open_scope(self) -> None:
        self.scopes.append(Names())

    def close_scope(self) -> None:
        self.scopes.pop()
