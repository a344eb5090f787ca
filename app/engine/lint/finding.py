"""What the gate says: one finding per thing that is wrong, naming the element, the reason and the way out."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.engine.lint.fix import Fix


class Severity(StrEnum):
    ERROR = "error"  # the deployment is refused
    WARNING = "warning"  # deployed, and shown beside the diagram


@dataclass(frozen=True, slots=True)
class Finding:
    """`element` is the id of the element (the file's name when it has none); `remedy` says what to draw instead.

    `fix` is there where the file alone tells how to correct it.
    """

    code: str
    severity: Severity
    element: str
    message: str
    remedy: str
    file: str = ""
    line: int | None = None
    fix: Fix | None = field(default=None, compare=False)

    def view(self) -> dict[str, Any]:
        """The finding in the API's shape."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "element": self.element,
            "message": self.message,
            "remedy": self.remedy,
            "file": self.file,
            "line": self.line,
            "fixable": self.fix is not None,
        }


def error(
    code: str, element: str, message: str, remedy: str, line: int | None = None, *, fix: Fix | None = None
) -> Finding:
    return Finding(code, Severity.ERROR, element, message, remedy, line=line, fix=fix)


def warning(
    code: str, element: str, message: str, remedy: str, line: int | None = None, *, fix: Fix | None = None
) -> Finding:
    return Finding(code, Severity.WARNING, element, message, remedy, line=line, fix=fix)


def dangling(element: str, message: str, remedy: str, line: int | None, *, fix: Fix | None = None) -> Finding:
    """A name that leads nowhere."""
    return error("dangling_reference", element, message, remedy, line, fix=fix)


def nearest(word: str, words: Iterable[str]) -> str:
    """`Did you mean 'x'? ` when one of `words` looks like `word`, else the choices, else nothing."""
    choices = sorted(words)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    if not choices:
        return ""
    shown = ", ".join(choices[:20])
    return f"Known: {shown}{', …' if len(choices) > 20 else ''}."
