"""What can be wrong with a FEEL text, and the limits that keep an evaluation small.

An expression that reads wrong types gives null; only text that cannot be understood and work beyond a limit raise.
"""

from dataclasses import dataclass

from app.errors import AppError


class FeelError(AppError):
    """`text` is the whole expression, `line` and `column` (both from 1) the place, `sentence` what to change."""

    code = "invalid_expression"
    title = "The expression is not valid"
    status = 422

    def __init__(self, sentence: str, text: str = "", offset: int = 0) -> None:
        self.sentence = sentence
        self.text = text
        self.line, self.column = place(text, offset)
        shown = text if len(text) <= 120 else f"{text[:117]}..."
        super().__init__(f"{sentence} (line {self.line}, column {self.column} of: {shown})")


class TooLarge(FeelError):
    """A value has no end when it is written out; as a value it may be small, for what it holds many times is shared."""


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both counted from 1, of a character offset."""
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one evaluation; `steps` are loop rounds and calls weighted by the size of what they touch."""

    steps: int = 100_000
    calls: int = 40
    text: int = 1_000_000
    items: int = 10_000


DEFAULT = Limits()
MAX_TEXT = 10_000
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Note:
    """Why a null appeared: the place in the text and one sentence."""

    line: int
    column: int
    sentence: str
