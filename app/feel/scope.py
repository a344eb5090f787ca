"""What an expression sees while it runs: variables, local names, and the budget of the evaluation."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from app.feel.convert import to_feel
from app.feel.errors import FeelError, Limits, Note, place

MAX_NOTES = 50


class Run:
    """One evaluation: its clock, its remaining steps, its notes (None when nobody asked for them)."""

    # What most conditions never touch stands on the class, or is made when it is asked for: making a run is a good part
    # of what a condition costs.
    calls = 0
    #: Whether the variables are FEEL values already, as those are that another part of the evaluation made.
    converted = False
    notes: list[Note] | None = None
    _loaded: dict[tuple[int, str], tuple[Any, Any]] | None = None

    def __init__(self, text: str, now: datetime | None, limits: Limits, notes: list[Note] | None = None) -> None:
        self.text = text
        self.now = now
        self.limits = limits
        self.steps = limits.steps
        if notes is not None:
            self.notes = notes

    @property
    def loaded(self) -> dict[tuple[int, str], tuple[Any, Any]]:
        """Lists and contexts of the variables that were converted, by the mapping's identity and their name."""
        if self._loaded is None:
            self._loaded = {}
        return self._loaded

    def charge(self, steps: int, at: int = 0) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise self.exceeded(f"The expression needs more than {self.limits.steps} steps; work on less data.", at)

    def exceeded(self, sentence: str, at: int = 0) -> FeelError:
        return FeelError(sentence, self.text, at)

    def null(self, at: int, sentence: str) -> None:
        """Record why the value at this place is null."""
        if self.notes is not None and len(self.notes) < MAX_NOTES:
            line, column = place(self.text, at)
            note = Note(line, column, sentence)
            if note not in self.notes:
                self.notes.append(note)

    def text_of(self, value: str, at: int = 0) -> str:
        self.check_length(len(value), at)
        return value

    def check_length(self, characters: int, at: int = 0) -> None:
        if characters > self.limits.text:
            raise self.exceeded(f"A text grew beyond {self.limits.text} characters.", at)

    def list_of(self, value: list[Any], at: int = 0) -> list[Any]:
        if len(value) > self.limits.items:
            raise self.exceeded(f"A list grew beyond {self.limits.items} items.", at)
        return value


class Scope:
    """A chain of frames of local names above the variables. The root's frame is None."""

    __slots__ = ("frame", "parent", "run", "variables")

    def __init__(
        self, variables: Mapping[str, Any], run: Run, frame: dict[str, Any] | None = None, parent: "Scope | None" = None
    ) -> None:
        self.variables = variables
        self.run = run
        self.frame = frame
        self.parent = parent

    def inner(self, frame: dict[str, Any]) -> "Scope":
        return Scope(self.variables, self.run, frame, self)

    def load(self, name: str) -> Any:
        """A variable as a FEEL value; a list or context is converted once per evaluation."""
        value = self.variables.get(name)
        if self.run.converted:
            return value
        if type(value) is not list and type(value) is not dict:
            return to_feel(value)
        loaded, key = self.run.loaded, (id(self.variables), name)
        if key not in loaded:
            # Holding the mapping too keeps its id from being given to another one while the evaluation runs.
            loaded[key] = (self.variables, to_feel(value))
        return loaded[key][1]


Code = Callable[[Scope], Any]
"""A compiled expression."""
