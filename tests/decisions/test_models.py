"""Decisions that require others, business knowledge, boxed expressions and types."""

from datetime import UTC, date, datetime
from decimal import Decimal
from time import process_time
from typing import Any

import pytest

from app.decisions import DecisionFailed, DmnError, parse_decisions
from app.errors import NotFound
from app.feel import FeelError, Limits
from tests.decisions.dmn import decision, document, literal, needs_decision, needs_input, needs_knowledge, table


def output(*elements: str, **variables: Any) -> Any:
    return parse_decisions(document(*elements)).evaluate("d", variables).output


def test_a_literal_expression_reads_variables() -> None:
    assert output(decision(literal("amount * 0.02 + 30")), amount=1000) == Decimal("50.00")


def test_a_required_decision_is_seen_under_its_name_and_reported() -> None:
    model = parse_decisions(
        document(
            decision(literal('Risk level = "high" and amount > 10'), requires=[needs_decision("risk")]),
            decision(
                table("FIRST", ["score"], ["level"], [["> 70", '"high"'], ["-", '"low"']]),
                identity="risk",
                name="Risk level",
            ),
        )
    )
    made = model.evaluate("d", {"score": 80, "amount": 20})
    assert made.output is True
    assert [(one.decision, one.output, one.matched[0].index) for one in made.required] == [("risk", "high", 1)]


def test_a_required_decision_without_a_variable_is_seen_under_its_id_as_well() -> None:
    season = f'<decision id="season" name="Season now">{literal(chr(34) + "Summer" + chr(34))}</decision>'
    both = decision(literal("[season, Season now]"), requires=[needs_decision("season")])
    assert output(season, both) == ["Summer", "Summer"]
    data = '<inputData id="i" name="season"/>'
    drawn = decision(literal("[season, Season now]"), requires=[needs_input("i"), needs_decision("season")])
    assert output(season, data, drawn, season="Winter") == ["Winter", "Summer"]
    named = season.replace('now">', 'now"><variable name="Season now"/>')
    assert output(named, both, season="Winter") == ["Winter", "Summer"]


def test_a_decision_required_twice_is_made_once() -> None:
    model = parse_decisions(
        document(
            decision(literal("a + b"), requires=[needs_decision("a"), needs_decision("b")]),
            decision(literal("c + 1"), identity="a", requires=[needs_decision("c")]),
            decision(literal("c + 2"), identity="b", requires=[needs_decision("c")]),
            decision(literal("count(for i in 1..100 return i)"), identity="c"),
        )
    )
    made = model.evaluate("d", {})
    assert made.output == 203
    assert made.required[0].required[0] is made.required[1].required[0]


def test_an_unknown_decision_is_not_found() -> None:
    with pytest.raises(NotFound, match="it has d"):
        parse_decisions(document(decision(literal("1")))).evaluate("x", {})


INPUT = '<inputData id="i" name="Due date"><variable name="Due date" typeRef="date"/></inputData>'


def test_a_typed_input_is_read_from_the_text_json_has_for_it() -> None:
    elements = (decision(literal('Due date + duration("P1D")'), requires=[needs_input("i")]), INPUT)
    assert output(*elements, **{"Due date": "2026-01-31"}) == date(2026, 2, 1)
    assert output(*elements, **{"Due date": 5}) is None


def test_results_conform_to_the_type_of_the_decision() -> None:
    assert output(decision(literal("[5]"), type_ref="number")) == 5
    assert output(decision(literal("5"), type_ref="integer")) == 5
    assert output(decision(literal('"five"'), type_ref="number")) is None
    typed = '<literalExpression typeRef="number"><text>{}</text></literalExpression>'
    assert output(decision(typed.format("[10]"))) == 10
    assert output(decision(typed.format('["foo"]'))) is None


def test_item_definitions_are_types_whose_names_may_hold_spaces() -> None:
    item = (
        '<itemDefinition name="Card"><itemComponent name="holder name"><typeRef>string</typeRef></itemComponent>'
        '<itemComponent name="limits" isCollection="true"><typeRef>number</typeRef></itemComponent></itemDefinition>'
    )
    data = '<inputData id="i" name="card"><variable name="card" typeRef="Card"/></inputData>'
    elements = (item, data, decision(literal("card.holder name"), requires=[needs_input("i")]))
    assert output(*elements, card={"holder name": "Ada", "limits": [1]}) == "Ada"
    assert output(*elements, card={"holder name": 5, "limits": [1]}) is None


def test_what_is_checked_item_by_item_is_on_the_budget_of_the_decision() -> None:
    costly = "<allowedValues><text>some a in 1..1000 satisfies a = ?</text></allowedValues>"
    types = f'<itemDefinition name="T" isCollection="true"><typeRef>number</typeRef>{costly}</itemDefinition>'
    data = '<inputData id="i" name="x"><variable name="x" typeRef="T"/></inputData>'
    model = parse_decisions(document(types, data, decision(literal("count(x)"), requires=[needs_input("i")])))
    assert model.evaluate("d", {"x": [10] * 20}).output == 20
    with pytest.raises(FeelError, match="steps"):
        model.evaluate("d", {"x": [1000] * 2_000})


def test_output_values_times_rules_are_on_the_budget_of_the_decision() -> None:
    listed = ", ".join(str(number) for number in range(1_500))
    rules = [["-", "1499"]] * 800
    for policy, allowed in (("COLLECT", f"{listed}, > 5000"), ("OUTPUT ORDER", listed)):
        model = parse_decisions(document(decision(table(policy, ["a"], ["x"], rules, values=[allowed]))))
        with pytest.raises(FeelError, match="steps"):
            model.evaluate("d", {"a": 1}, limits=Limits(steps=50_000))


def test_a_long_chain_of_decisions_that_ends_in_itself_is_told_quickly() -> None:
    count = 900
    chain = [
        decision(literal("1"), identity=f"d{number}", requires=[needs_decision(f"d{number + 1}")])
        for number in range(count)
    ]
    begun = process_time()
    with pytest.raises(DmnError) as refused:
        parse_decisions(document(*chain, decision(literal("1"), identity=f"d{count}", requires=[needs_decision("d0")])))
    assert {finding.code for finding in refused.value.findings} == {"cycle"}
    parse_decisions(document(*chain, decision(literal("1"), identity=f"d{count}")))
    assert process_time() - begun < 2


def test_allowed_values_of_item_definitions_are_enforced_deep() -> None:
    level = '<itemDefinition name="Level"><typeRef>string</typeRef><allowedValues><text>"a","b"</text></allowedValues>'
    card = (
        '</itemDefinition><itemDefinition name="Card"><itemComponent name="levels" isCollection="true"><typeRef>Level'
        '</typeRef></itemComponent><itemComponent name="limit"><typeRef>number</typeRef><allowedValues><text>[0..10]'
        "</text></allowedValues></itemComponent></itemDefinition>"
    )
    data = '<inputData id="i" name="card"><variable name="card" typeRef="Card"/></inputData>'
    elements = (level + card, data, decision(literal("card.limit"), requires=[needs_input("i")]))
    assert output(*elements, card={"levels": ["a", "b"], "limit": 10}) == 10
    assert output(*elements, card={"levels": ["a", None], "limit": None}) is None
    with pytest.raises(DecisionFailed, match='"Level" is \'c\'; allowed is "a","b"'):
        output(*elements, card={"levels": ["a", "c"], "limit": 10})
    with pytest.raises(DecisionFailed, match=r'"limit" is 11; allowed is \[0\.\.10\]'):
        output(*elements, card={"levels": [], "limit": 11})


def test_a_type_that_names_itself_beside_its_components_is_read() -> None:
    item = (
        '<itemDefinition name="T"><typeRef>T</typeRef><itemComponent name="n"><typeRef>number</typeRef>'
        "<allowedValues><text>[0..10]</text></allowedValues></itemComponent></itemDefinition>"
    )
    data = '<inputData id="i" name="t"><variable name="t" typeRef="T"/></inputData>'
    elements = (item, data, decision(literal("t.n"), requires=[needs_input("i")]))
    assert output(*elements, t={"n": 3}) == 3
    with pytest.raises(DecisionFailed, match="allowed is"):
        output(*elements, t={"n": 11})


def knowledge(identity: str, parameters: str, body: str, requires: str = "", name: str = "") -> str:
    named = "".join(f'<formalParameter name="{one}"/>' for one in parameters.split(",") if one)
    return (
        f'<businessKnowledgeModel id="{identity}" name="{name or identity}">'
        f'<variable name="{name or identity}"/>{requires}'
        f"<encapsulatedLogic>{named}{body}</encapsulatedLogic></businessKnowledgeModel>"
    )


FEE = knowledge("fee", "amount,rate", literal("amount * rate"), name="Fee of")


def test_a_knowledge_model_is_called_by_name() -> None:
    assert output(FEE, decision(literal("Fee of(100, 0.5)"), requires=[needs_knowledge("fee")])) == 50
    assert output(FEE, decision(literal("Fee of(rate: 0.5, amount: 10)"), requires=[needs_knowledge("fee")])) == 5
    model = parse_decisions(document(FEE, decision(literal("Fee of(total, 0.5)"), requires=[needs_knowledge("fee")])))
    assert model.evaluate("d", {"total": 1.5}).inputs == {"total": Decimal("1.5")}


def test_a_knowledge_model_is_invoked_with_bindings() -> None:
    boxed = (
        "<invocation><literalExpression><text>Fee of</text></literalExpression>"
        f'<binding><parameter name="amount"/>{literal("total")}</binding>'
        f'<binding><parameter name="rate"/>{literal("0.1")}</binding></invocation>'
    )
    assert output(FEE, decision(boxed, requires=[needs_knowledge("fee")]), total=200) == 20


def test_a_knowledge_model_may_hold_a_table_and_require_another() -> None:
    rate = knowledge("rate", "kind", table("UNIQUE", ["kind"], ["r"], [['"card"', "0.02"], ['"bank"', "0.01"]]))
    fee = knowledge("fee", "amount,kind", literal("amount * rate(kind)"), requires=needs_knowledge("rate"))
    assert output(rate, fee, decision(literal('fee(100, "card")'), requires=[needs_knowledge("fee")])) == 2


def test_a_knowledge_model_sees_only_its_parameters() -> None:
    nosy = knowledge("f", "a", literal("secret"))
    assert output(nosy, decision(literal("f(1)"), requires=[needs_knowledge("f")]), secret=5) is None


def test_knowledge_models_share_one_budget() -> None:
    first = knowledge("f0", "x", literal("x + 1"))
    chain = [
        knowledge(f"f{n}", "x", literal(f"f{n - 1}(x) + f{n - 1}(x)"), requires=needs_knowledge(f"f{n - 1}"))
        for n in range(1, 30)
    ]
    model = parse_decisions(document(first, *chain, decision(literal("f29(1)"), requires=[needs_knowledge("f29")])))
    with pytest.raises(FeelError, match="steps"):
        model.evaluate("d", {}, limits=Limits(steps=5_000))


def entry(name: str, logic: str) -> str:
    return f'<contextEntry><variable name="{name}"/>{logic}</contextEntry>'


def test_a_boxed_context_builds_up_and_may_end_in_a_result() -> None:
    entries = entry("net price", literal("10")) + entry("tax", literal("net price * 0.2"))
    assert output(decision(f"<context>{entries}</context>")) == {"net price": 10, "tax": Decimal("2.0")}
    result = f"<contextEntry>{literal('net price + tax')}</contextEntry>"
    assert output(decision(f"<context>{entries}{result}</context>")) == 12


def test_a_boxed_context_ends_for_values_that_hold_themselves_many_times() -> None:
    entries = entry("a0", literal("[0, 0]"))
    entries += "".join(entry(f"a{level}", literal(f"[a{level - 1}, a{level - 1}]")) for level in range(1, 40))
    begun = process_time()
    whole = output(decision(f"<context>{entries}<contextEntry>{literal('count(a39)')}</contextEntry></context>"))
    assert whole == 2
    loop = f'<for iteratorVariable="i"><in>{literal("[1..40]")}</in><return>{literal("partial")}</return></for>'
    assert len(output(decision(loop))) == 40
    assert process_time() - begun < 2


def test_an_entry_hides_a_variable_that_was_read_before_it() -> None:
    entries = entry("b", literal("a")) + entry("a", literal("[2]")) + f"<contextEntry>{literal('a')}</contextEntry>"
    assert output(decision(f"<context>{entries}</context>"), a=[1]) == [2]


def test_a_boxed_function_is_called_from_a_later_entry() -> None:
    function = (
        f'<functionDefinition><formalParameter name="x" typeRef="number"/>{literal("x * 2")}</functionDefinition>'
    )
    entries = entry("double", function) + f"<contextEntry>{literal('double(21)')}</contextEntry>"
    assert output(decision(f"<context>{entries}</context>")) == 42


def test_boxed_lists_relations_and_conditionals() -> None:
    assert output(decision(f"<list>{literal('1')}{literal('a')}</list>"), a=2) == [1, 2]
    relation = (
        f'<relation><column name="k"/><column name="v"/><row>{literal("1")}{literal("2")}</row>'
        f"<row>{literal('3')}{literal('a')}</row></relation>"
    )
    assert output(decision(relation), a=4) == [{"k": 1, "v": 2}, {"k": 3, "v": 4}]
    choice = (
        f"<conditional><if>{literal('a > 1')}</if><then>{literal('1')}</then><else>{literal('2')}</else></conditional>"
    )
    assert output(decision(choice), a=2) == 1
    assert output(decision(choice), a=None) == 2


def test_boxed_iterators_and_filters() -> None:
    items = f"<in>{literal('[1, 2, 3]')}</in>"
    assert output(decision(f'<for iteratorVariable="x">{items}<return>{literal("x * 2")}</return></for>')) == [2, 4, 6]
    some = f'<some iteratorVariable="x">{items}<satisfies>{literal("x > 2")}</satisfies></some>'
    assert output(decision(some)) is True
    every = f'<every iteratorVariable="x">{items}<satisfies>{literal("x > 2")}</satisfies></every>'
    assert output(decision(every)) is False
    kept = f"<filter>{items}<match>{literal('item > 1')}</match></filter>"
    assert output(decision(kept)) == [2, 3]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("[1..3]", ([2, 4, 6], True, False)),
        ("(1..3)", ([4], False, False)),
        ("[3..1]", (None, None, None)),
        ('["a".."c"]', (None, None, None)),
        ("null", (None, None, None)),
        ("5", ([10], True, True)),
    ],
)
def test_boxed_iterators_run_through_what_loops_in_texts_run_through(items: str, expected: tuple[Any, ...]) -> None:
    drawn = f'<{{0}} iteratorVariable="x"><in>{literal(items)}</in><{{1}}>{{2}}</{{1}}></{{0}}>'
    kinds = [("for", "return", "x * 2"), ("some", "satisfies", "x > 2"), ("every", "satisfies", "x > 2")]
    boxes = [drawn.format(kind, part, literal(text)) for kind, part, text in kinds]
    assert tuple(output(decision(box)) for box in boxes) == expected
    texts = [f"{kind} x in {items} {part} {text}" for kind, part, text in kinds]
    assert tuple(output(decision(literal(text))) for text in texts) == expected


def test_a_boxed_iterator_over_a_long_range_is_on_the_budget_of_the_decision() -> None:
    long = f'<for iteratorVariable="x"><in>{literal("[1..10 ** 18]")}</in><return>{literal("x")}</return></for>'
    with pytest.raises(FeelError, match="steps"):
        output(decision(long))


def test_the_clock_is_handed_in() -> None:
    model = parse_decisions(document(decision(literal("today()"))))
    assert model.evaluate("d", {}, now=datetime(2026, 5, 6, tzinfo=UTC)).output == date(2026, 5, 6)


def test_cells_see_other_variables_and_the_value_they_test() -> None:
    logic = table(
        "FIRST", ["amount"], ["x"], [["> limit", '"above"'], ["? + 1 = limit", '"just below"'], ["-", '"below"']]
    )
    assert [output(decision(logic), amount=amount, limit=10) for amount in (11, 9, 3)] == [
        "above",
        "just below",
        "below",
    ]


def test_an_empty_cell_matches_everything_and_an_empty_result_is_null() -> None:
    made = parse_decisions(document(decision(table("FIRST", ["a"], ["x"], [["", ""]])))).evaluate("d", {"a": 1})
    assert made.output is None
    assert len(made.matched) == 1


def test_a_clash_in_a_required_decision_names_that_decision() -> None:
    elements = (
        decision(literal("low"), requires=[needs_decision("low")]),
        decision(
            table("UNIQUE", ["a"], ["x"], [["-", "1"], ["-", "2"]]).replace("<decisionTable", '<decisionTable id="t"'),
            identity="low",
        ),
    )
    with pytest.raises(DecisionFailed) as failed:
        output(*elements, a=1)
    assert failed.value.decision == "low"
    assert failed.value.extra["rules"] == ["1 (r1)", "2 (r2)"]


def test_evaluating_changes_no_variables() -> None:
    variables: dict[str, Any] = {"amount": 1.5, "tags": ["a"]}
    parse_decisions(document(decision(literal("append(tags, amount)")))).evaluate("d", variables)
    assert variables == {"amount": 1.5, "tags": ["a"]}
