"""Names that an expression of a model reads and functions it calls: there, or told."""

import time

import pytest

from app.decisions import Finding, parse_decisions
from tests.decisions.dmn import decision, document, literal, needs_decision, needs_input, needs_knowledge, table

AMOUNT = '<inputData id="amount" name="amount"><variable name="amount" typeRef="number"/></inputData>'
NEEDS = [needs_input("amount")]


def strange(*elements: str) -> list[Finding]:
    return list(parse_decisions(document(*elements)).strange)


def told(*elements: str) -> list[tuple[str, bool]]:
    return [(one.code, one.certain) for one in strange(*elements)]


def knowledge(identity: str, text: str, *parameters: str, requires: str = "") -> str:
    formal = "".join(f'<formalParameter name="{name}"/>' for name in parameters)
    return (
        f'<businessKnowledgeModel id="{identity}" name="{identity}"><variable name="{identity}"/>'
        f"<encapsulatedLogic>{formal}{literal(text)}</encapsulatedLogic>{requires}</businessKnowledgeModel>"
    )


def test_every_cell_of_a_table_is_looked_at() -> None:
    drawn = table("FIRST", ["amuont"], ["fee"], [["> lmit", "flor(1.5)"]], defaults=["amont"])
    found = strange(AMOUNT, decision(drawn, requires=NEEDS))
    assert [(one.code, one.element, one.certain) for one in found] == [
        ("unknown_name", "d", False),
        ("unknown_name", "d", False),
        ("unknown_name", "r1", False),
        ("unknown_function", "r1", True),
    ]
    assert 'Did you mean "amount"?' in found[0].remedy
    assert 'Did you mean "floor"?' in found[3].remedy


def test_a_decision_that_declares_no_inputs_may_read_any_variable_and_call_no_unknown_function() -> None:
    assert told(decision(literal("amount + tax"))) == []
    assert told(decision(literal('open("/etc/passwd").read()'))) == [("unknown_function", True)]
    assert told(decision(literal("floor(1.5, 2, 3)"))) == [("unknown_function", True)]
    assert told(decision(literal("items[flor(item) > 1]"))) == [("unknown_function", True)]


def test_what_is_required_is_known() -> None:
    base = decision(literal("amount"), identity="base", requires=NEEDS)
    fee = knowledge("fee", "sum * 2", "sum")
    links = [*NEEDS, needs_decision("base"), needs_knowledge("fee")]
    assert told(AMOUNT, base, fee, decision(literal("fee(base) + amount"), requires=links)) == []
    assert told(AMOUNT, base, fee, decision(literal("fee(base)"), requires=NEEDS)) == [
        ("unknown_function", True),
        ("unknown_name", False),
    ]


def test_a_knowledge_model_sees_its_parameters_and_what_it_requires_and_no_variables() -> None:
    one, user = knowledge("one", "x", "x"), decision(literal("1"))
    assert told(one, user, knowledge("two", "one(y)", "y", requires=needs_knowledge("one"))) == []
    assert told(one, user, knowledge("two", "one(amount)", "y")) == [("unknown_function", True), ("unknown_name", True)]


FACTORIAL = "if n < 2 then 1 else n * my f(n - 1)"
ITSELF = f'<functionDefinition><formalParameter name="n"/>{literal(FACTORIAL)}</functionDefinition>'
RECURSIVE = {
    "a knowledge model": (
        knowledge("k", FACTORIAL, "n").replace('name="k"', 'name="my f"'),
        decision(literal("my f(5)"), requires=[needs_knowledge("k")]),
    ),
    "a boxed function": (
        "",
        decision(
            f'<context><contextEntry><variable name="my f"/>{ITSELF}</contextEntry>'
            f"<contextEntry>{literal('my f(5)')}</contextEntry></context>"
        ),
    ),
    "a function in a text": ("", decision(literal(f"{{my f: function(n) {FACTORIAL}, r: my f(5)}}.r"))),
}


@pytest.mark.parametrize("what", RECURSIVE)
def test_a_function_may_call_itself(what: str) -> None:
    model = parse_decisions(document(*RECURSIVE[what]))
    assert (model.strange, model.evaluate("d", {}).output) == ((), 120)


def test_what_is_no_function_does_not_see_itself() -> None:
    boxed = f'<context><contextEntry><variable name="f"/>{literal("f(1)")}</contextEntry></context>'
    assert told(decision(boxed)) == [("unknown_function", True)]
    assert told(decision(literal("{f: f(1)}"))) == [("unknown_function", True)]


INVOKED = (
    "<invocation><literalExpression><text>{}</text></literalExpression>"
    '<binding><parameter name="x"/><literalExpression><text>amount</text></literalExpression></binding></invocation>'
)


@pytest.mark.parametrize(("name", "found"), [("one", []), ("two", [("unknown_name", True)])])
def test_what_is_invoked_is_there(name: str, found: list[tuple[str, bool]]) -> None:
    drawn = decision(INVOKED.format(name), requires=[needs_knowledge("one")])
    assert told(knowledge("one", "x", "x"), drawn) == found


F = '<functionDefinition><formalParameter name="a"/>{a}</functionDefinition>'
A, B = '<contextEntry><variable name="a"/>', '<contextEntry><variable name="b"/>'
BOXED = {
    "a context's later entries see earlier ones": (
        f"<context>{A}{{amount}}</contextEntry><contextEntry>{{a}}</contextEntry></context>",
        0,
    ),
    "its earlier ones do not see later ones": (
        f"<context>{B}{{a}}</contextEntry>{A}{{amount}}</contextEntry></context>",
        1,
    ),
    "a function sees its parameters": (
        f"<context>{B}{F}</contextEntry><contextEntry>{{call}}</contextEntry></context>",
        0,
    ),
    "an iterator": ('<for iteratorVariable="a"><in>{amount}</in><return>{a}</return></for>', 0),
    "an iterator is not seen by its own list": (
        '<for iteratorVariable="a"><in>{a}</in><return>{partial}</return></for>',
        1,
    ),
    "a filter's items may have any entry": ("<filter><in>{amount}</in><match>{a}</match></filter>", 0),
}


@pytest.mark.parametrize("what", BOXED)
def test_names_inside_boxes(what: str) -> None:
    drawn, count = BOXED[what]
    parts = {"amount": literal("amount"), "a": literal("a"), "call": literal("b(1)"), "partial": literal("partial")}
    found = strange(AMOUNT, decision(drawn.format(**parts), requires=NEEDS))
    assert [one.code for one in found] == ["unknown_name"] * count


def test_allowed_values_see_the_value_and_nothing_else() -> None:
    limit = "<typeRef>string</typeRef><allowedValues><text>{}</text></allowedValues>"
    item = f'<itemDefinition name="Kind">{limit}</itemDefinition>'
    data = '<inputData id="kind" name="kind"><variable name="kind" typeRef="Kind"/></inputData>'
    using = decision(literal("kind"), requires=[needs_input("kind")])
    assert told(item.format('"a", "b"'), data, using) == []
    assert told(item.format("a, b"), data, using) == [("unknown_name", True)] * 2


def test_a_model_of_nothing_but_strange_names_is_told_of_at_once() -> None:
    cells = [[f"> v{row}a + v{row}b", f"w{row}(1)"] for row in range(3000)]
    began = time.process_time()
    found = strange(AMOUNT, decision(table("FIRST", ["amount"], ["fee"], cells), requires=NEEDS))
    assert time.process_time() - began < 5
    assert 100 <= len(found) <= 140
