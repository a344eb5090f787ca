"""Allowed values of item definitions: a value that breaks them stops the decision instead of passing unnoticed."""

from collections.abc import Callable
from typing import Any

from app.decisions.errors import DecisionFailed
from app.decisions.model import Coercion
from app.decisions.types import Types
from app.decisions.xml import Element, child, children, text_of
from app.feel import UnaryTests, to_json
from app.feel.expression import input_scope
from app.feel.scope import Run
from app.feel.values import volume

Check = Callable[[Run, Any], None]
"""Raises NotAllowed; null is always allowed. Every value that is looked at costs steps of the run."""


class NotAllowed(Exception):
    """Says which value is not allowed; whoever knows the decision makes a DecisionFailed of it."""


def show(value: Any) -> str:
    """A value as JSON has it, for the sentence of an error; cut when long."""
    return repr(to_json(value))[:80]


def checked(coerce: Coercion, check: Check | None, owner: str) -> Coercion:
    if check is None:
        return coerce

    def apply(run: Run, value: Any) -> Any:
        value = coerce(run, value)
        try:
            check(run, value)
        except NotAllowed as broken:
            raise DecisionFailed(owner, str(broken)) from None
        return value

    return apply


class Checks:
    """The checks of the item definitions of one model, each made once; `compile_tests` takes a text and its owner."""

    def __init__(self, types: Types, compile_tests: Callable[[str, str], UnaryTests]) -> None:
        self._types = types
        self._compile = compile_tests
        self._made: dict[str, Check | None] = {}

    def find(self, reference: str) -> Check | None:
        """The check of a type that is known not to contain itself; None when nothing limits its values."""
        element = self._types.definition(reference)
        if element is None:
            return None
        name = str(element.get("name", ""))
        if name not in self._made:
            self._made[name] = None  # should it lead back here all the same, the check that is being made is enough
            self._made[name] = self._item(element)
        return self._made[name]

    def _item(self, element: Element) -> Check | None:
        name = str(element.get("name", ""))
        parts = children(element, "itemComponent")
        # What has components is a context of them; a type reference beside them means nothing.
        base = None if parts else self.find(text_of(child(element, "typeRef")))
        checks = [base, self._limit(element, "allowedValues", name)]
        for part in parts:
            inner = self._item(part)
            checks.append(None if inner is None else _entry(str(part.get("name", "")), inner))
        found = [check for check in checks if check is not None]
        if element.get("isCollection") == "true":
            found = [_each(check) for check in found]
        whole = self._limit(element, "typeConstraint", name)
        if whole is not None:
            found.append(whole)
        return _all(found) if found else None

    def _limit(self, element: Element, tag: str, name: str) -> Check | None:
        text = text_of(child(element, tag))
        return _tests(self._compile(text, name), name) if text else None


def _tests(tests: UnaryTests, name: str) -> Check:
    def check(run: Run, value: Any) -> None:
        if value is None:
            return
        run.charge(1 + volume(value) // 8)
        if tests.verdict(input_scope(run, value, {}), value) is not True:
            raise NotAllowed(f'"{name}" is {show(value)}; allowed is {tests.text}.')

    return check


def _entry(name: str, inner: Check) -> Check:
    def check(run: Run, value: Any) -> None:
        if type(value) is dict:
            inner(run, value.get(name))

    return check


def _each(inner: Check) -> Check:
    def check(run: Run, value: Any) -> None:
        for item in value if type(value) is list else []:
            run.charge(1)
            inner(run, item)

    return check


def _all(checks: list[Check]) -> Check:
    def check(run: Run, value: Any) -> None:
        for one in checks:
            one(run, value)

    return check
