"""DMN elements to compiled logic. Everything that is wrong is gathered as findings, so one look shows all of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from app.decisions import boxed
from app.decisions.allowed import Checks, NotAllowed, checked
from app.decisions.errors import DecisionFailed, Finding
from app.decisions.model import Coercion, Logic, Outcome
from app.decisions.tables import AGGREGATIONS, ORDERED, POLICIES, Input, Output, Rule, Table
from app.decisions.types import Types, coercion, same
from app.decisions.visible import Others, Visible
from app.decisions.xml import EXPRESSIONS, Element, child, children, tag, text_of
from app.feel import Expression, FeelError, Limits, UnaryTests, compile_expression, compile_unary_tests
from app.feel.expression import Compiled
from app.feel.lexer import Names
from app.feel.parser import split_tests
from app.feel.scope import Run
from app.feel.values import Range

_NOTHING = compile_expression("null")
_CONSTANT = Limits(steps=100)
#: How many strange names of one model are told, and how many that are too long.
TOLD = 100
_ANYTHING = compile_unary_tests("-")
C = TypeVar("C", bound=Compiled)


class Compiler:
    """Compiles the expressions of one model, each with the names it sees.

    `names` are all of the model, `entries` those that count after a dot and inside filters.

    `findings` make a model unusable; `strange` is told of one that can be evaluated all the same.
    """

    def __init__(self, types: Types, names: frozenset[str], entries: frozenset[str]) -> None:
        self.types = types
        self.entries = entries
        self._names = Names(names)
        self.findings: list[Finding] = []
        self.strange: list[Finding] = []
        self._visible = Visible()
        self._checks = Checks(types, self._item_tests)
        self._boxed: dict[str, Callable[[Element, str], Logic]] = {
            "decisionTable": self._table,
            "literalExpression": lambda element, owner: boxed.literal(self.expression(text_of(element), owner)),
            "context": self._context,
            "invocation": self._invocation,
            "functionDefinition": lambda element, owner: boxed.function_logic(*self.function(element, owner)),
            "list": lambda element, owner: boxed.list_of([self.logic(one, owner) for one in _expressions(element)]),
            "relation": self._relation,
            "conditional": self._conditional,
            "filter": self._filter,
            "for": self._iteration,
            "some": self._iteration,
            "every": self._iteration,
        }

    def report(self, code: str, element: str, message: str, remedy: str) -> None:
        self.findings.append(Finding(code, element, message, remedy))

    @contextmanager
    def seeing(self, visible: Visible) -> Iterator[None]:
        """What is compiled meanwhile sees these names."""
        outer, self._visible = self._visible, visible
        yield
        self._visible = outer

    def inside(self, element: Element, owner: str) -> Logic:
        """The logic of the one expression inside an element."""
        found = _expressions(element)
        if not found:
            self.report("no_logic", owner, "It has no expression.", "Add a decision table or a literal expression.")
            return lambda _run, _variables: Outcome(None)
        return self.logic(found[0], owner)

    def logic(self, element: Element, owner: str) -> Logic:
        owner = str(element.get("id") or owner)
        logic, reference = self._boxed[tag(element)](element, owner), str(element.get("typeRef", ""))
        if not reference or tag(element) == "functionDefinition":
            return logic
        coerce = self.coerce(reference, owner)

        def typed(run: Run, variables: Mapping[str, Any]) -> Outcome:
            outcome = logic(run, variables)
            return replace(outcome, value=coerce(run, outcome.value))

        return typed

    def coerce(self, reference: str, owner: str) -> Coercion:
        wanted = self.types.find(reference)
        if wanted is None:
            self.report(
                "unknown_type", owner, f'The type "{reference}" is not known.', "Define it, or use a FEEL type."
            )
            return same
        return checked(coercion(wanted), self._checks.find(reference), owner)

    def expression(self, text: str, owner: str) -> Expression:
        try:
            return self._looked_at(compile_expression(text, *self._known(text)), owner) if text else _NOTHING
        except FeelError as error:
            self.report("invalid_expression", owner, error.detail, "Correct the expression.")
            return _NOTHING

    def tests(self, text: str, owner: str) -> UnaryTests:
        try:
            return self._looked_at(compile_unary_tests(text, *self._known(text)), owner) if text else _ANYTHING
        except FeelError as error:
            self.report("invalid_expression", owner, error.detail, "Correct the cell.")
            return _ANYTHING

    def _item_tests(self, text: str, owner: str) -> UnaryTests:
        """Those of an item definition: they see the value and nothing else."""
        with self.seeing(Visible(others=Others.NOTHING)):
            return self.tests(text, owner)

    def _known(self, text: str) -> tuple[frozenset[str], frozenset[str]]:
        """The names that are seen and the entries, of those in the text: so few that compiled texts can be kept."""
        held = self._names.within(text)
        return self._visible.names & held, self.entries & held

    def _looked_at(self, compiled: C, owner: str) -> C:
        if len(self.strange) < TOLD:
            self.strange += self._visible.strange(compiled, owner)
        return compiled

    def function(self, element: Element, owner: str) -> tuple[list[tuple[str, Coercion]], Logic]:
        if element.get("kind", "FEEL") != "FEEL":
            self.report("unsupported", owner, "The function is not written in FEEL.", "Write its body in FEEL.")
        parameters = [
            (str(one.get("name", "")), self.coerce(str(one.get("typeRef", "")), owner))
            for one in children(element, "formalParameter")
        ]
        with self.seeing(self._visible.plus(name for name, _ in parameters)):
            return parameters, self.inside(element, owner)

    def _part(self, element: Element, name: str, owner: str) -> Logic:
        part = child(element, name)
        return self.inside(element if part is None else part, owner)

    def _context(self, element: Element, owner: str) -> Logic:
        entries: list[tuple[str, Logic, Coercion]] = []
        visible = self._visible
        for entry in children(element, "contextEntry"):
            variable = child(entry, "variable")
            name = "" if variable is None else str(variable.get("name", ""))
            coerce = same if variable is None else self.coerce(str(variable.get("typeRef", "")), owner)
            outside, visible = visible, visible.plus([name])
            # A function may call itself; anything else sees only what stands before it.
            with self.seeing(outside if child(entry, "functionDefinition") is None else visible):
                entries.append((name, self.inside(entry, owner), coerce))
        return boxed.context(entries)

    def _invocation(self, element: Element, owner: str) -> Logic:
        target = child(element, "literalExpression")
        bindings = []
        for binding in children(element, "binding"):
            parameter = child(binding, "parameter")
            name = "" if parameter is None else str(parameter.get("name", ""))
            bindings.append((name, self.inside(binding, owner)))
        with self.seeing(self._visible.closed()):
            return boxed.invocation(self.expression(text_of(target), owner), bindings)

    def _relation(self, element: Element, owner: str) -> Logic:
        columns = [str(one.get("name", "")) for one in children(element, "column")]
        rows = [[self.logic(cell, owner) for cell in _expressions(row)] for row in children(element, "row")]
        if any(len(row) != len(columns) for row in rows):
            self.report("incomplete", owner, "A row has not as many cells as there are columns.", "Fill every cell.")
            return boxed.list_of([])
        return boxed.relation(columns, rows)

    def _conditional(self, element: Element, owner: str) -> Logic:
        return boxed.conditional(*(self._part(element, name, owner) for name in ("if", "then", "else")))

    def _filter(self, element: Element, owner: str) -> Logic:
        items = self._part(element, "in", owner)
        # The item's entries are seen by their names alone.
        with self.seeing(self._visible.plus(["item", *self.entries]).open()):
            return boxed.filtered(items, self._part(element, "match", owner))

    def _iteration(self, element: Element, owner: str) -> Logic:
        kind, name = tag(element), str(element.get("iteratorVariable", ""))
        items = self._part(element, "in", owner)
        with self.seeing(self._visible.plus([name, "partial"])):
            body = self._part(element, "return" if kind == "for" else "satisfies", owner)
        return boxed.iterated(kind, name, items, body)

    def _table(self, element: Element, owner: str) -> Logic:
        policy, aggregation = str(element.get("hitPolicy", "UNIQUE")), str(element.get("aggregation", ""))
        inputs = tuple(self._input(one, owner) for one in children(element, "input"))
        columns = children(element, "output")
        outputs = tuple(
            self._output(one, owner, index, ranked=policy in ORDERED) for index, one in enumerate(columns, 1)
        )
        rules = tuple(self._rule(one, index, owner) for index, one in enumerate(children(element, "rule"), 1))
        self._check_policy(policy, aggregation, outputs, owner)
        for rule in rules:
            if (len(rule.tests), len(rule.outputs)) != (len(inputs), len(outputs)):
                self.report(
                    "incomplete",
                    rule.id or owner,
                    f"Rule {rule.index} has {len(rule.tests)} conditions and {len(rule.outputs)} results; "
                    f"the table has {len(inputs)} and {len(outputs)} columns.",
                    "Give the rule one cell per column.",
                )
        return Table(owner, policy, aggregation, inputs, outputs, rules).evaluate

    def _check_policy(self, policy: str, aggregation: str, outputs: tuple[Output, ...], owner: str) -> None:
        if policy not in POLICIES:
            self.report("hit_policy", owner, f'There is no hit policy "{policy}".', f"Use {', '.join(POLICIES)}.")
        if aggregation and (aggregation not in AGGREGATIONS or policy != "COLLECT"):
            self.report("hit_policy", owner, f'"{policy}" cannot take "{aggregation}".', "Aggregate with COLLECT only.")
        if aggregation and len(outputs) > 1:
            self.report("hit_policy", owner, f"{aggregation} needs a single output.", "Remove outputs, or collect.")
        if policy in ORDERED and not any(output.allowed for output in outputs):
            self.report(
                "hit_policy", owner, f"{policy} needs an order.", "List the output values, most important first."
            )
        if not outputs:
            self.report("incomplete", owner, "The table has no output.", "Add an output column.")
        names = [output.name for output in outputs]
        if len(outputs) > 1 and (len(set(names)) < len(names) or not all(names)):
            self.report("incomplete", owner, "Outputs need names that differ.", "Name every output column.")

    def _input(self, element: Element, owner: str) -> Input:
        expression = child(element, "inputExpression")
        owner = str(element.get("id") or owner)
        text = text_of(expression)
        if not text:
            self.report("incomplete", owner, "An input column has no expression.", "Say what the column tests.")
        allowed = text_of(child(element, "inputValues"))
        reference = "" if expression is None else str(expression.get("typeRef", ""))
        return Input(
            str(element.get("label") or text),
            self.expression(text, owner),
            self.tests(allowed, owner) if allowed else None,
            self.coerce(reference, owner),
        )

    def _output(self, element: Element, owner: str, index: int, *, ranked: bool) -> Output:
        owner = str(element.get("id") or owner)
        name = str(element.get("name") or element.get("label") or f"output {index}")
        default = text_of(child(element, "defaultOutputEntry"))
        listed = text_of(child(element, "outputValues"))
        values = self._values(listed, owner)
        output = Output(
            name,
            self.tests(listed, owner) if values else None,
            self._ranks(values, owner) if ranked else (),
            self.expression(default, owner) if default else None,
            self.coerce(str(element.get("typeRef", "")), owner),
        )
        self._check_default(output, owner)
        return output

    def _check_default(self, output: Output, owner: str) -> None:
        """A default that reads nothing is known to be allowed or not before anything runs."""
        used = [one for one in (output.default, output.allowed) if one is not None]
        if output.default is None or any(one.unknown(frozenset()) for one in used):
            return
        try:
            output.otherwise(Run(output.default.text, None, _CONSTANT), {})
        except (NotAllowed, DecisionFailed) as broken:
            sentence = broken.sentence if isinstance(broken, DecisionFailed) else str(broken)
            self.report("incomplete", owner, sentence, "Give a default that is allowed, or allow it.")
        except (FeelError, RecursionError):
            return  # it takes longer than a look at it may

    def _values(self, text: str, owner: str) -> list[str]:
        """The tests an output value must pass one of; none for `-`, which is any value."""
        try:
            return split_tests(text, *self._known(text)) if text else []
        except FeelError as error:
            self.report("invalid_expression", owner, error.detail, "Correct the output values.")
            return []

    def _ranks(self, texts: list[str], owner: str) -> tuple[Any, ...]:
        """The values themselves, worked out once: a range or a comparison allows values but puts them in no order."""
        ranks = []
        for text in texts:
            value = self._constant(text)
            if value is None:
                self.report(
                    "hit_policy",
                    owner,
                    f'The output values give the order of priority, and "{text}" is not a value.',
                    "List the values one by one, most important first, or use another hit policy.",
                )
            ranks.append(value)
        return tuple(ranks)

    def _constant(self, text: str) -> Any:
        """The value of a text that reads nothing; None for a range, a comparison, and what depends on variables."""
        try:
            expression = compile_expression(text, *self._known(text))
            value = None if expression.unknown(frozenset()) else expression.evaluate({}, limits=_CONSTANT)
        except FeelError:
            return None
        return None if isinstance(value, Range) else value

    def _rule(self, element: Element, index: int, owner: str) -> Rule:
        name = str(element.get("id", ""))
        annotations = [text_of(one) for one in children(element, "annotationEntry")]
        annotations.append(text_of(child(element, "description")))
        shown = name or f"{owner}, rule {index}"
        tests = tuple(self.tests(text_of(one), shown) for one in children(element, "inputEntry"))
        return Rule(
            index,
            name,
            "\n".join(annotation for annotation in annotations if annotation),
            tests,
            tuple((column, test) for column, test in enumerate(tests) if test.text != _ANYTHING.text),
            tuple(self.expression(text_of(one), shown) for one in children(element, "outputEntry")),
        )


def _expressions(element: Element) -> list[Any]:
    return [one for one in element if tag(one) in EXPRESSIONS]
