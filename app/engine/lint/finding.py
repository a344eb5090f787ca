"""What the gate says: one finding per thing that is wrong, naming the element, the reason and the way out."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    ERROR = "error"  # the deployment is refused
    WARNING = "warning"  # deployed, and shown beside the diagram


@dataclass(frozen=True, slots=True)
class Finding:
    """`element` is the id of the element (the file's name when it has none); `remedy` says what to draw instead."""

    code: str
    severity: Severity
    element: str
    message: str
    remedy: str
    file: str = ""
    line: int | None = None

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
        }


def error(code: str, element: str, message: str, remedy: str, line: int | None = None) -> Finding:
    return Finding(code, Severity.ERROR, element, message, remedy, line=line)


def warning(code: str, element: str, message: str, remedy: str, line: int | None = None) -> Finding:
    return Finding(code, Severity.WARNING, element, message, remedy, line=line)


def dangling(element: str, message: str, remedy: str, line: int | None) -> Finding:
    """A name that leads nowhere."""
    return error("dangling_reference", element, message, remedy, line)


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
