"""A name with a sign or a keyword in it is a name where it is seen, and anywhere else what FEEL makes of it."""

from time import process_time
from typing import Any

import pytest

from app.decisions import DmnError, parse_decisions
from tests.decisions.dmn import decision, document, literal, needs_decision, needs_input, table


def data(*names: str) -> str:
    return "".join(f'<inputData id="i{at}" name="{name}"/>' for at, name in enumerate(names))


def output(*elements: str, **variables: Any) -> Any:
    return parse_decisions(document(*elements)).evaluate("d", variables).output


NET = '<itemDefinition name="T"><itemComponent name="a-b"><typeRef>number</typeRef></itemComponent></itemDefinition>'
FUNCTION = (
    '<businessKnowledgeModel id="k" name="a-b"><encapsulatedLogic><formalParameter name="a-b"/>'
    f"{literal('1')}</encapsulatedLogic></businessKnowledgeModel>"
)
ELSEWHERE = {
    "its own": ("a-b", ""),
    "another decision's": ("d", decision(literal("1"), identity="e", name="a-b")),
    "an output's": ("d", decision(table("FIRST", ["x"], ["a-b", "y"], [["-", "1", "1"]]), identity="e")),
    "a component's": ("d", NET),
    "an input's that is not required": ("d", data("a-b")),
    "a function's": ("d", FUNCTION),
}


@pytest.mark.parametrize("whose", ELSEWHERE)
def test_a_name_that_is_not_seen_is_a_subtraction(whose: str) -> None:
    name, other = ELSEWHERE[whose]
    assert output(other, decision(literal("a-b + 0"), name=name), a=5, b=3) == 2
    assert output(other, decision(table("FIRST", ["a-b"], ["a-b"], [["2", "a - b"]]), name=name), a=5, b=3) == 2


def test_keywords_in_a_name_that_is_not_seen_are_keywords() -> None:
    chosen = decision(literal('if fraud and risk then "block" else "pass"'), name="fraud and risk")
    assert output(chosen, fraud=True, risk=True) == "block"


def test_a_name_that_is_seen_is_a_name() -> None:
    required = decision(literal("1"), identity="e", name="a-b")
    assert output(decision(literal("a-b"), requires=[needs_decision("e")]), required, a=5, b=3) == 1
    given = {"a": 5, "b": 3, "a-b": 7}
    assert output(decision(literal("a-b"), requires=[needs_input("i0")]), data("a-b"), **given) == 7
    each = f'<for iteratorVariable="a-b"><in>{literal("[a-b]")}</in><return>{literal("a-b * 2")}</return></for>'
    assert output(decision(each), a=5, b=3) == [4]
    entries = f'<contextEntry><variable name="a-b"/>{literal("a-b")}</contextEntry><contextEntry>{literal("a-b + 1")}'
    assert output(decision(f"<context>{entries}</contextEntry></context>"), a=5, b=3) == 3


def test_a_component_is_a_name_after_a_dot_and_inside_filters() -> None:
    x = [{"a-b": 1}, {"a-b": 9}]
    assert output(NET, decision(literal("x.a-b")), x=x) == [1, 9]
    assert output(NET, decision(literal("x[a-b > 1].a-b")), x=x) == [9]
    kept = f"<filter><in>{literal('x')}</in><match>{literal('a-b > 1')}</match></filter>"
    assert output(NET, decision(kept), x=x) == [{"a-b": 9}]


def test_a_column_is_a_name_in_the_result_that_holds_it() -> None:
    rates = decision(table("FIRST", ["x"], ["a/b", "y"], [["-", "4", "1"]]), identity="e", name="Rates")
    assert output(decision(literal("Rates.a/b"), requires=[needs_decision("e")]), rates, x=1) == 4


def test_a_name_of_words_is_one_wherever_the_model_has_it() -> None:
    assert output(data("order amount"), decision(literal("order amount + 1")), **{"order amount": 2}) == 3


def test_a_name_of_the_model_that_is_not_seen_hides_no_function() -> None:
    other = decision(table("FIRST", ["x"], ["day of week", "count"], [["-", "1", "1"]]), identity="e")
    assert output(other, decision(literal('day of week(date("2026-01-05"))'))) == "Monday"
    assert output(other, decision(literal("count([1, 2])"))) == 2


def test_thousands_of_names_are_read_in_no_time() -> None:
    # Made of the same beginning, so that each has to be told from all others.
    begun = process_time()
    used = decision(literal("1"), requires=[needs_input(f"i{at}") for at in range(5_000)])
    model = parse_decisions(document(data(*(f"a-b{at}" for at in range(5_000))), used))
    assert model.evaluate("d", {}).output == 1
    assert process_time() - begun < 4


def test_a_name_too_long_to_be_looked_for_is_told_and_is_no_name() -> None:
    name = " ".join(["a"] * 31)
    model = parse_decisions(document(data(name), decision(literal("1"), requires=[needs_input("i0")])))
    assert [(one.code, one.certain, one.element) for one in model.strange] == [("unsupported", False, name)]
    with pytest.raises(DmnError):
        parse_decisions(document(data(name), decision(literal(name), requires=[needs_input("i0")])))
    shorter = name.removeprefix("a ")
    assert output(data(shorter), decision(literal(shorter), requires=[needs_input("i0")]), **{shorter: 2}) == 2
