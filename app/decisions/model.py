"""Decisions as immutable values, and how a model works one out with everything it requires."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.decisions.errors import DecisionFailed, Finding
from app.errors import NotFound
from app.feel import DEFAULT, Limits, to_feel
from app.feel.scope import Run


@dataclass(frozen=True, slots=True)
class MatchedRule:
    """A rule that held: `index` counts from 1, `annotation` is what its author wrote beside it."""

    index: int
    rule: str
    annotation: str
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One decision made: what it read, which rules held, what came out, and the decisions it required."""

    decision: str
    inputs: Mapping[str, Any]
    matched: tuple[MatchedRule, ...]
    output: Any
    required: tuple["Evaluation", ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the logic of a decision gives, before the decision's own name and requirements are put around it."""

    value: Any
    inputs: Mapping[str, Any] = field(default_factory=dict)
    matched: tuple[MatchedRule, ...] = ()


Logic = Callable[[Run, Mapping[str, Any]], Outcome]
"""Compiled logic of a decision: a table, a literal expression or a boxed expression."""
Coercion = Callable[[Run, Any], Any]
"""Brings a value to a type, on the budget of the evaluation; DecisionFailed when it is not an allowed one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`variable` is the name under which other decisions see the result, with `by_id` its id is another.

    `inputs` maps input names to coercions.
    """

    id: str
    name: str
    variable: str
    by_id: bool
    logic: Logic
    result: Coercion
    required: tuple[str, ...]
    knowledge: tuple[str, ...]
    inputs: Mapping[str, Coercion]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """A business knowledge model: `bind` makes its function, given the functions it requires itself."""

    id: str
    name: str
    bind: Callable[[Mapping[str, Any]], Any]
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecisionModel:
    """`strange` are names its expressions read and functions they call that are not there: they give null."""

    id: str
    name: str
    decisions: Mapping[str, Decision]
    knowledge: Mapping[str, Knowledge]
    strange: tuple[Finding, ...] = ()

    def evaluate(
        self,
        decision_id: str,
        variables: Mapping[str, Any],
        *,
        now: datetime | None = None,
        limits: Limits = DEFAULT,
    ) -> Evaluation:
        """Make a decision for JSON-like variables; outputs are FEEL values.

        NotFound for an unknown id, DecisionFailed when rules clash or a value is not allowed, FeelError beyond a limit.
        """
        if decision_id not in self.decisions:
            raise NotFound(f'There is no decision "{decision_id}" in "{self.id}"; it has {", ".join(self.decisions)}.')
        run = Run("", now, limits)
        run.converted = True
        functions: dict[str, Any] = {}
        made: dict[str, Evaluation] = {}
        try:
            # Once for all: a value made on the way holds others in many places, and walking through it has no end.
            given = {name: to_feel(value) for name, value in variables.items()}
            return self._make(decision_id, given, run, functions, made)
        except RecursionError:
            raise DecisionFailed(decision_id, "Its expressions go too deep; work on less nested data.") from None

    def _make(
        self,
        decision_id: str,
        variables: Mapping[str, Any],
        run: Run,
        functions: dict[str, Any],
        made: dict[str, Evaluation],
    ) -> Evaluation:
        if decision_id in made:
            return made[decision_id]
        decision = self.decisions[decision_id]
        required = tuple(self._make(one, variables, run, functions, made) for one in decision.required)
        try:
            made[decision_id] = self._decide(decision, required, variables, run, functions)
        except DecisionFailed as failed:
            # What failed is a table or a type somewhere inside; what its reader knows is the decision.
            raise DecisionFailed(decision_id, failed.sentence, failed.rules) from None
        return made[decision_id]

    def _decide(
        self,
        decision: Decision,
        required: tuple[Evaluation, ...],
        variables: Mapping[str, Any],
        run: Run,
        functions: dict[str, Any],
    ) -> Evaluation:
        seen = dict(variables)
        # An id gives way to the names that are drawn.
        seen.update((one.decision, one.output) for one in required if self.decisions[one.decision].by_id)
        for name, coerce in decision.inputs.items():
            seen[name] = coerce(run, variables.get(name))
        seen.update((self.decisions[one.decision].variable, one.output) for one in required)
        seen.update((self.knowledge[one].name, self._function(one, functions)) for one in decision.knowledge)
        outcome = decision.logic(run, seen)
        return Evaluation(decision.id, outcome.inputs, outcome.matched, decision.result(run, outcome.value), required)

    def _function(self, knowledge_id: str, functions: dict[str, Any]) -> Any:
        if knowledge_id not in functions:
            knowledge = self.knowledge[knowledge_id]
            inner = {self.knowledge[one].name: self._function(one, functions) for one in knowledge.required}
            functions[knowledge_id] = inner[knowledge.name] = knowledge.bind(inner)
        return functions[knowledge_id]
