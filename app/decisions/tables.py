"""Decision tables: which rules hold, and what their hit policy makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cmp_to_key
from typing import Any

from app.decisions.allowed import NotAllowed, show
from app.decisions.errors import DecisionFailed
from app.decisions.model import Coercion, MatchedRule, Outcome
from app.feel import Expression, UnaryTests
from app.feel.arithmetic import add
from app.feel.expression import input_scope
from app.feel.scope import Run
from app.feel.values import NUMBERS, Months, equal, order, volume

POLICIES = ("UNIQUE", "ANY", "PRIORITY", "FIRST", "RULE ORDER", "OUTPUT ORDER", "COLLECT")
AGGREGATIONS = ("SUM", "COUNT", "MIN", "MAX")
ORDERED = ("PRIORITY", "OUTPUT ORDER")
_SUMMED = (NUMBERS, {timedelta}, {Months})


@dataclass(frozen=True, slots=True)
class Input:
    """A column that is tested. `allowed` are the values it may have; null is always let through to the rules."""

    label: str
    expression: Expression
    allowed: UnaryTests | None
    coerce: Coercion


@dataclass(frozen=True, slots=True)
class Output:
    """A column that is given. `ranks` are its values, most important first, where the hit policy asks for an order."""

    name: str
    allowed: UnaryTests | None
    ranks: tuple[Any, ...]
    default: Expression | None
    coerce: Coercion

    def given(self, expression: Expression, giver: str, run: Run, variables: Mapping[str, Any]) -> Any:
        """The value of an expression as one of the column. NotAllowed when it is none of its values."""
        value = self.coerce(run, expression.value(run, variables))
        if value is not None and self.allowed and not _allows(self.allowed, run, value, variables):
            raise NotAllowed(f'{giver} gives {show(value)} for "{self.name}"; allowed is {self.allowed.text}.')
        return value

    def otherwise(self, run: Run, variables: Mapping[str, Any]) -> Any:
        return self.given(self.default, "The default", run, variables) if self.default else None


@dataclass(frozen=True, slots=True)
class Rule:
    """`asked` are the tests that can fail, each with the place of its column: most cells of a table are `-`."""

    index: int
    id: str
    annotation: str
    tests: tuple[UnaryTests, ...]
    asked: tuple[tuple[int, UnaryTests], ...]
    outputs: tuple[Expression, ...]

    @property
    def shown(self) -> str:
        return f"{self.index} ({self.id})" if self.id else str(self.index)


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that holds, with the values of its outputs in column order."""

    rule: Rule
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`decision` names the table in errors; `policy` is one of POLICIES, `aggregation` one of AGGREGATIONS or ""."""

    decision: str
    policy: str
    aggregation: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    rules: tuple[Rule, ...]

    def evaluate(self, run: Run, variables: Mapping[str, Any]) -> Outcome:
        values = tuple(self._input(column, run, variables) for column in self.inputs)
        hits = tuple(Hit(rule, self._outputs(rule, run, variables)) for rule in self._matching(run, variables, values))
        matched = tuple(
            MatchedRule(hit.rule.index, hit.rule.id, hit.rule.annotation, self._named(hit.values)) for hit in hits
        )
        value = _RESULTS[self.policy](self, run, variables, hits) if hits else self._otherwise(run, variables)
        return Outcome(value, {column.label: value for column, value in zip(self.inputs, values, strict=True)}, matched)

    def _input(self, column: Input, run: Run, variables: Mapping[str, Any]) -> Any:
        value = column.coerce(run, column.expression.value(run, variables))
        if value is not None and column.allowed and not _allows(column.allowed, run, value, variables):
            raise DecisionFailed(
                self.decision,
                f'The input "{column.label}" is {show(value)}; allowed is {column.allowed.text}.',
            )
        return value

    def _matching(self, run: Run, variables: Mapping[str, Any], values: tuple[Any, ...]) -> list[Rule]:
        tested = [(value, input_scope(run, value, variables)) for value in values]
        found = []
        for rule in self.rules:
            run.charge(1 + len(tested) // 16)
            for column, test in rule.asked:
                value, scope = tested[column]
                if test.verdict(scope, value) is not True:
                    break
            else:
                found.append(rule)
                if self.policy == "FIRST":
                    break
        return found

    def _outputs(self, rule: Rule, run: Run, variables: Mapping[str, Any]) -> tuple[Any, ...]:
        try:
            return tuple(
                column.given(expression, f"Rule {rule.shown}", run, variables)
                for column, expression in zip(self.outputs, rule.outputs, strict=True)
            )
        except NotAllowed as broken:
            raise DecisionFailed(self.decision, str(broken), [rule.shown]) from None

    def _named(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return {column.name: value for column, value in zip(self.outputs, values, strict=True)}

    def _single(self, values: tuple[Any, ...]) -> Any:
        """One output gives its value, several give a context."""
        return values[0] if len(self.outputs) == 1 else self._named(values)

    def _otherwise(self, run: Run, variables: Mapping[str, Any]) -> Any:
        """No rule holds: the defaults, else an empty list, a count of 0, or null."""
        several = self.policy in ("RULE ORDER", "OUTPUT ORDER") or (self.policy == "COLLECT" and not self.aggregation)
        if any(column.default for column in self.outputs):
            try:
                values = tuple(column.otherwise(run, variables) for column in self.outputs)
            except NotAllowed as broken:
                raise DecisionFailed(self.decision, str(broken)) from None
            return [self._single(values)] if several else self._single(values)
        if several:
            return []
        return 0 if self.aggregation == "COUNT" else None

    def unique(self, _run: Run, _variables: Mapping[str, Any], hits: tuple[Hit, ...]) -> Any:
        if len(hits) > 1:
            raise self._clash(hits, "hold at once, but its hit policy is unique. Make their conditions exclusive.")
        return self._single(hits[0].values)

    def any(self, run: Run, _variables: Mapping[str, Any], hits: tuple[Hit, ...]) -> Any:
        first = hits[0]
        size = volume(list(first.values))
        for hit in hits[1:]:
            run.charge(size // 8)
            if equal(list(hit.values), list(first.values)) is not True:
                raise self._clash((first, hit), "hold at once with different outputs. Give them the same outputs.")
        return self._single(first.values)

    def _clash(self, hits: tuple[Hit, ...], sentence: str) -> DecisionFailed:
        rules = [hit.rule.shown for hit in hits]
        return DecisionFailed(self.decision, f"Rules {' and '.join(rules)} {sentence}", rules)

    def first(self, _run: Run, _variables: Mapping[str, Any], hits: tuple[Hit, ...]) -> Any:
        return self._single(hits[0].values)

    def priority(self, run: Run, _variables: Mapping[str, Any], hits: tuple[Hit, ...]) -> Any:
        return self._single(self._ranked(run, hits)[0].values)

    def output_order(self, run: Run, _variables: Mapping[str, Any], hits: tuple[Hit, ...]) -> Any:
        return [self._single(hit.values) for hit in self._ranked(run, hits)]

    def _ranked(self, run: Run, hits: tuple[Hit, ...]) -> list[Hit]:
        def ranks(hit: Hit) -> list[int]:
            return [_rank(column, value, run) for column, value in zip(self.outputs, hit.values, strict=True)]

        return sorted(hits, key=ranks)

    def collect(self, _run: Run, _variables: Mapping[str, Any], hits: tuple[Hit, ...]) -> Any:
        values = [self._single(hit.values) for hit in hits]
        return _AGGREGATIONS[self.aggregation](values) if self.aggregation else values


def _rank(column: Output, value: Any, run: Run) -> int:
    """The place of a value among those of its column; null, and a column without an order, come last."""
    run.charge(1 + len(column.ranks) // 16)
    return next((rank for rank, one in enumerate(column.ranks) if equal(value, one) is True), len(column.ranks))


def _allows(allowed: UnaryTests, run: Run, value: Any, variables: Mapping[str, Any]) -> bool:
    run.charge(volume(value) // 8)
    return allowed.verdict(input_scope(run, value, variables), value) is True


def _sum(values: list[Any]) -> Any:
    """Numbers or durations of one kind; null for anything else, though texts could be joined."""
    if not any(all(type(value) in kinds for value in values) for kinds in _SUMMED):
        return None
    total = values[0]
    for value in values[1:]:
        total = add(total, value)
    return total


def _extreme(wanted: int) -> Callable[[list[Any]], Any]:
    def pick(values: list[Any]) -> Any:
        if any(order(value, values[0]) is None for value in values):
            return None
        return min(values, key=cmp_to_key(lambda a, b: wanted * (order(a, b) or 0)))

    return pick


_AGGREGATIONS: dict[str, Callable[[list[Any]], Any]] = {
    "SUM": _sum,
    "COUNT": len,
    "MIN": _extreme(1),
    "MAX": _extreme(-1),
}
_RESULTS: dict[str, Callable[[Table, Run, Mapping[str, Any], tuple[Hit, ...]], Any]] = {
    "UNIQUE": Table.unique,
    "ANY": Table.any,
    "PRIORITY": Table.priority,
    "FIRST": Table.first,
    "RULE ORDER": Table.collect,
    "OUTPUT ORDER": Table.output_order,
    "COLLECT": Table.collect,
}
