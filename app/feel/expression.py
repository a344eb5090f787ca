"""The front of the room: texts compiled once and kept, evaluated any number of times, checked before they run."""

from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from app.feel.compile import compile_node, compile_tests
from app.feel.compile_compare import Match
from app.feel.convert import to_feel
from app.feel.errors import DEFAULT, FeelError, Limits, Note
from app.feel.names import Reads, reads
from app.feel.parser import parse_expression, parse_tests
from app.feel.registry import BUILTINS
from app.feel.scope import Code, Run, Scope
from app.feel.standard import load_standard_functions
from app.feel.syntax import Node

load_standard_functions()
_FUNCTIONS = frozenset(BUILTINS)
_NONE: frozenset[str] = frozenset()
#: Characters of a text that is kept as one of thousands; conditions and cells are shorter by far.
_SHORT = 500
#: How many strange names of one text are told: finding what each was meant to be takes time.
_TOLD = 20
_TOO_DEEP = "The expression goes too deep while it is evaluated; work on less nested data."


class Compiled:
    """A text and what is known of it before it runs. `names` are the variables it surely reads."""

    __slots__ = ("_reads", "names", "text")

    def __init__(self, text: str, found: Reads) -> None:
        self.text = text
        self._reads = found
        self.names = frozenset(found.names)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def unknown(self, known: frozenset[str]) -> list[FeelError]:
        """Names it surely reads that are neither known nor standard functions, with suggestions; the first few."""
        return self._strange(self._reads.names, known)

    def uncallable(self, known: frozenset[str]) -> list[FeelError]:
        """What it calls that is neither known nor a standard function, and those called with what they cannot take."""
        misfits = {name: at for name, at in self._reads.misfits.items() if name not in known}
        sentence = "{}() does not take these arguments; check their number and names."
        wrong = [FeelError(sentence.format(name), self.text, at) for name, at in misfits.items()]
        return [*self._strange(self._reads.called, known), *wrong]

    def _strange(self, names: Mapping[str, int], known: frozenset[str]) -> list[FeelError]:
        strange = sorted((at, name) for name, at in names.items() if name not in known and name not in BUILTINS)
        return [FeelError(_suggestion(name, known), self.text, at) for at, name in strange[:_TOLD]]


class Expression(Compiled):
    """A compiled expression. `paths` are its names with their dotted way down.

    `possible` are names inside filters, which may as well be entries of the filtered items.
    """

    __slots__ = ("_code", "paths", "possible")

    def __init__(self, text: str, node: Node, code: Code) -> None:
        super().__init__(text, reads(node))
        self._code = code
        self.paths = frozenset(self._reads.paths)
        self.possible = frozenset(self._reads.possible)

    def evaluate(self, variables: Mapping[str, Any], *, now: datetime | None = None, limits: Limits = DEFAULT) -> Any:
        """The value for these variables (JSON-like, converted as they are read). Treat the result as immutable.

        What cannot be computed is None; FeelError only when a limit is exceeded.
        """
        try:
            return self._code(Scope(variables, Run(self.text, now, limits)))
        except RecursionError:
            raise FeelError(_TOO_DEEP, self.text) from None

    def explain(
        self, variables: Mapping[str, Any], *, now: datetime | None = None, limits: Limits = DEFAULT
    ) -> tuple[Any, list[Note]]:
        """The value, and why nulls appeared on the way to it."""
        notes: list[Note] = []
        try:
            return self._code(Scope(variables, Run(self.text, now, limits, notes))), notes
        except RecursionError:
            raise FeelError(_TOO_DEEP, self.text) from None

    def value(self, run: Run, variables: Mapping[str, Any]) -> Any:
        """The value as a part of a larger evaluation, on the budget of its run."""
        outer, run.text = run.text, self.text
        value = self._code(Scope(variables, run))
        run.text = outer
        return value


class UnaryTests(Compiled):
    """The compiled tests of one cell of a decision table; `?` is the value tested."""

    __slots__ = ("_match",)

    def __init__(self, text: str, node: Node, match: Match) -> None:
        found = reads(node)
        found.names.pop("?", None)
        super().__init__(text, found)
        self._match = match

    def matches(
        self, value: Any, variables: Mapping[str, Any], *, now: datetime | None = None, limits: Limits = DEFAULT
    ) -> bool | None:
        """Whether the value passes; None when it cannot be compared with the tests."""
        try:
            value = to_feel(value)
            return self.verdict(input_scope(Run(self.text, now, limits), value, variables), value)
        except RecursionError:
            raise FeelError(_TOO_DEEP, self.text) from None

    def verdict(self, scope: Scope, value: Any) -> bool | None:
        """The same as a part of a larger evaluation, for a FEEL value and its `input_scope`."""
        run = scope.run
        outer, run.text = run.text, self.text
        result = self._match(scope, value)
        run.text = outer
        return result


def input_scope(run: Run, value: Any, variables: Mapping[str, Any]) -> Scope:
    """What tests of one value see: the value as `?`, and the variables. Made once per value, not per test."""
    return Scope(variables, run, {"?": value}, Scope(variables, run))


def compile_expression(text: str, names: frozenset[str] = _NONE, entries: frozenset[str] = _NONE) -> Expression:
    """Compile an expression, written without a leading "=". FeelError says where the text is wrong.

    `names` are variables whose names hold spaces or signs, `entries` such names of what variables hold, which count
    after a dot and inside filters; others need no declaration.
    """
    return (_expression if len(text) <= _SHORT else _long_expression)(text, names, entries)


def compile_unary_tests(text: str, names: frozenset[str] = _NONE, entries: frozenset[str] = _NONE) -> UnaryTests:
    """Compile a cell: `-`, `"A","B"`, `[1..5]`, `< 10`, `not(...)`, or any condition on `?`."""
    return (_tests if len(text) <= _SHORT else _long_tests)(text, names, entries)


def _read(text: str, names: frozenset[str], entries: frozenset[str]) -> Expression:
    try:
        node = parse_expression(text, names, _FUNCTIONS, entries)
        return Expression(text, node, compile_node(node, names))
    except RecursionError:
        raise FeelError("The expression is nested too deeply; split it up.", text) from None


def _read_tests(text: str, names: frozenset[str], entries: frozenset[str]) -> UnaryTests:
    try:
        node = parse_tests(text, names, _FUNCTIONS, entries)
        return UnaryTests(text, node, compile_tests(node, names))
    except RecursionError:
        raise FeelError("The tests are nested too deeply; split them up.", text) from None


# A long text compiles to megabytes: many of them, from whoever may upload files, must not fill the memory.
_expression, _long_expression = lru_cache(maxsize=4096)(_read), lru_cache(maxsize=64)(_read)
_tests, _long_tests = lru_cache(maxsize=4096)(_read_tests), lru_cache(maxsize=64)(_read_tests)


def _suggestion(name: str, known: frozenset[str]) -> str:
    close = get_close_matches(name, [*known, *BUILTINS], n=1, cutoff=0.7)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return f'"{name}" is not known here.{hint}'
