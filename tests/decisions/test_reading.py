"""What is refused at deployment, and what its findings say."""

import pytest

from app.decisions import DecisionFailed, DmnError, parse_decisions
from tests.decisions.dmn import (
    decision,
    document,
    literal,
    needs_decision,
    needs_input,
    needs_knowledge,
    table,
)

ONE = literal("1")


def refusal(xml: bytes) -> DmnError:
    with pytest.raises(DmnError) as refused:
        parse_decisions(xml)
    return refused.value


def codes(*elements: str) -> list[tuple[str, str]]:
    return [(finding.code, finding.element) for finding in refusal(document(*elements)).findings]


@pytest.mark.parametrize("version", ["http/20180521", "https/20191111", "https/20211108", "https/20230324"])
def test_dmn_from_1_2_on_is_read(version: str) -> None:
    scheme, _, date = version.partition("/")
    xml = document(decision(literal("1")), namespace=f"{scheme}://www.omg.org/spec/DMN/{date}/MODEL/")
    model = parse_decisions(xml)
    assert (model.id, model.name, list(model.decisions)) == ("model", "Model", ["d"])


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (b"", "not_xml"),
        (b"<definitions", "not_xml"),
        (b"\xff\xfe\x00", "not_xml"),
        (b"<definitions/>", "not_dmn"),
        (b'<definitions xmlns="http://www.omg.org/spec/DMN/20151101/dmn.xsd"/>', "not_dmn"),
        (b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>', "doctype"),
        ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE d><d/>'.encode("utf-16"), "doctype"),
        (b"<a>" + b" " * 1_000_000 + b"</a>", "too_large"),
        (document("<a/>" * 20_001), "too_large"),
        (document("<a>" * 70 + "</a>" * 70), "too_deep"),
        (document("<a>" * 300 + "</a>" * 300), "not_xml"),
    ],
)
def test_what_is_no_safe_model_is_refused(xml: bytes, code: str) -> None:
    assert refusal(xml).findings[-1].code == code


def test_every_bad_expression_is_found_at_once_with_its_cell() -> None:
    logic = table("FIRST", ["amount +"], ["x"], [["> ", '"a'], ["1..2", "1"]])
    error = refusal(document(decision(logic)))
    assert [finding.element for finding in error.findings] == ["d", "r1", "r1", "r2"]
    assert {finding.code for finding in error.findings} == {"invalid_expression"}
    assert "line 1, column" in error.findings[0].message
    assert error.code == "invalid_decision"
    assert len(error.errors) == 4


def test_links_to_nothing_and_circles_are_found() -> None:
    assert codes(decision(literal("1"), requires=[needs_decision("x")])) == [("missing", "d")]
    assert codes(decision(literal("1"), requires=[needs_input("x")])) == [("missing", "d")]
    assert codes(decision(literal("1"), requires=[needs_knowledge("x")])) == [("missing", "d")]
    assert codes(
        decision(literal("1"), requires=[needs_decision("e")]),
        decision(literal("1"), identity="e", requires=[needs_decision("d")]),
        decision(literal("1"), identity="f", requires=[needs_decision("e")]),
    ) == [("cycle", "d"), ("cycle", "e"), ("cycle", "f")]


def test_a_model_without_decisions_or_a_decision_without_logic_is_found() -> None:
    assert codes() == [("no_decision", "definitions")]
    assert codes(decision("")) == [("no_decision", "definitions")]
    required = decision(literal("1"), identity="e", requires=[needs_decision("d")])
    assert codes(decision(""), required) == [("no_logic", "d")]
    drawn = parse_decisions(document(decision(""), decision(literal("1"), identity="e")))
    assert [(one.code, one.element, one.certain) for one in drawn.strange] == [("no_logic", "d", False)]
    assert list(drawn.decisions) == ["e"]


def test_an_id_used_twice_is_found() -> None:
    assert codes(decision(literal("1")), decision(literal("2"))) == [("duplicate_id", "d")]


def test_what_is_not_supported_is_named_with_a_way_out() -> None:
    error = refusal(document('<decisionService id="s" name="S"/>', '<import name="i"/>', decision(literal("1"))))
    assert [(finding.element, finding.remedy) for finding in error.findings] == [
        ("s", "Call the decision itself, or draw a business knowledge model."),
        ("i", "Put the imported decisions into this model."),
    ]


@pytest.mark.parametrize(
    ("logic", "code"),
    [
        (f'<functionDefinition kind="Java">{ONE}</functionDefinition>', "unsupported"),
        (f'<context><contextEntry><variable name="a" typeRef="Nope"/>{ONE}</contextEntry></context>', "unknown_type"),
        ('<literalExpression expressionLanguage="juel"><text>1</text></literalExpression>', "unsupported"),
        ("<literalExpression><importedValues/></literalExpression>", "unsupported"),
        (ONE + literal("2"), "unsupported"),
        (ONE + "<foo/>", "unsupported"),
        (f"<list>{ONE}</list>{ONE}", "unsupported"),
        ("<literalExpression><text>1</text><text>2</text></literalExpression>", "unsupported"),
        ("<literalExpression><text>1<b/> + 1</text></literalExpression>", "unsupported"),
        (table("FIRST", ["a"], ["x"], [["-", "1"]]).replace("<rule", "<foo/><rule"), "unsupported"),
        (f"<invocation>{ONE}{ONE}</invocation>", "unsupported"),
        ('<relation><column name="a"/><row/></relation>', "incomplete"),
        ("<decisionTable><input/><output/></decisionTable>", "incomplete"),
        ("<decisionTable/>", "incomplete"),
        ('<decisionTable><output name="a"/><output name="a"/></decisionTable>', "incomplete"),
        ('<decisionTable><output name="a"/><rule/></decisionTable>', "incomplete"),
        ('<list><for iteratorVariable="x"/></list>', "no_logic"),
    ],
)
def test_unsupported_or_incomplete_logic_is_found(logic: str, code: str) -> None:
    assert {found for found, _ in codes(decision(logic))} == {code}


LANGUAGES = ["inputExpression", "inputValues", "inputEntry", "outputEntry", "outputValues", "defaultOutputEntry"]


@pytest.mark.parametrize("where", [*LANGUAGES, "decisionTable", "decision", "definitions"])
def test_another_language_than_feel_is_found_wherever_it_stands(where: str) -> None:
    drawn = table("FIRST", ["a"], ["x"], [["-", "1"]], allowed="1", values=["1"], defaults=["1"])
    xml = document(decision(drawn)).decode()
    other = refusal(xml.replace(f"<{where}", f'<{where} expressionLanguage="groovy"', 1).encode())
    assert [(one.code, one.message) for one in other.findings] == [
        ("unsupported", 'The expression language is "groovy".')
    ]
    feel = f'<{where} expressionLanguage="https://www.omg.org/spec/DMN/20191111/FEEL/"'
    assert list(parse_decisions(xml.replace(f"<{where}", feel, 1).encode()).decisions) == ["d"]


def test_elements_of_other_vocabularies_and_notes_may_stand_anywhere() -> None:
    extra = (
        '<m:width xmlns:m="urn:m">1</m:width><description>x</description><extensionElements><m/></extensionElements>'
    )
    drawn = (
        table("FIRST", ["a"], ["x"], [["-", "1"]])
        .replace("<rule", f"{extra}<rule")
        .replace("</input>", f"{extra}</input>")
    )
    assert parse_decisions(document(decision(drawn + extra))).evaluate("d", {}).output == 1


def test_types_that_contain_themselves_are_found() -> None:
    item = '<itemDefinition name="T"><itemComponent name="t"><typeRef>T</typeRef></itemComponent></itemDefinition>'
    data = '<inputData id="i" name="x"><variable name="x" typeRef="T"/></inputData>'
    assert codes(item, data, decision(literal("x"), requires=[needs_input("i")])) == [("unknown_type", "i")]


def test_types_that_double_at_every_level_are_read_in_no_time() -> None:
    def item(level: int) -> str:
        parts = "".join(
            f'<itemComponent name="{side}"><typeRef>T{level + 1}</typeRef></itemComponent>' for side in "ab"
        )
        return f'<itemDefinition name="T{level}">{parts}</itemDefinition>'

    items = "".join(item(level) for level in range(30))
    allowed = "<allowedValues><text>1</text></allowedValues>"
    last = f'<itemDefinition name="T30"><typeRef>number</typeRef>{allowed}</itemDefinition>'
    data = '<inputData id="i" name="x"><variable name="x" typeRef="T0"/></inputData>'
    model = parse_decisions(document(items, last, data, decision(literal("x.a"), requires=[needs_input("i")])))
    assert model.evaluate("d", {"x": {"a": None, "b": None}}).output is None


def test_types_nested_too_deeply_are_found() -> None:
    items = "".join(
        f'<itemDefinition name="T{level}" isCollection="true"><typeRef>T{level + 1}</typeRef></itemDefinition>'
        for level in range(3_000)
    )
    data = '<inputData id="i" name="x"><variable name="x" typeRef="T0"/></inputData>'
    assert codes(items, data, decision(literal("x"), requires=[needs_input("i")])) == [("unknown_type", "i")]


def test_a_long_chain_of_decisions_fails_and_does_not_crash() -> None:
    chain = [
        decision(literal(f"d{n + 1}"), identity=f"d{n}", requires=[needs_decision(f"d{n + 1}")]) for n in range(2_000)
    ]
    model = parse_decisions(document(*chain, decision(literal("1"), identity="d2000")))
    assert model.evaluate("d1990", {}).output == 1
    with pytest.raises(DecisionFailed, match="too deep"):
        model.evaluate("d0", {})


def test_drawings_and_notes_are_not_in_the_way() -> None:
    drawing = '<d:DMNDI xmlns:d="https://www.omg.org/spec/DMN/20191111/DMNDI/"><d:DMNDiagram/></d:DMNDI>'
    model = parse_decisions(
        document("<description>x</description>", decision(literal("1")), drawing, "<!-- a comment -->")
    )
    assert model.evaluate("d", {}).output == 1


def test_the_values_of_an_output_are_a_list_of_values() -> None:
    error = refusal(document(decision(table("UNIQUE", ["a"], ["x"], [["-", "1"]], values=["not(1)"]))))
    assert [finding.code for finding in error.findings] == ["invalid_expression"]
    assert "not(...) lists none" in error.findings[0].message
    model = parse_decisions(document(decision(table("UNIQUE", ["a"], ["x"], [["-", "1"]], values=["-"]))))
    assert list(model.decisions) == ["d"]
