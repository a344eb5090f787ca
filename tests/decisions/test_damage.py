"""Whatever arrives as a decision model, it is read, refused or stopped: nothing else may happen."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from app.decisions import DecisionFailed, DmnError, parse_decisions
from app.feel import FeelError
from tests.decisions.dmn import decision, document, literal, needs_decision, needs_input, needs_knowledge, table

MODEL = document(
    '<itemDefinition name="T" isCollection="true"><typeRef>number</typeRef></itemDefinition>',
    '<inputData id="i" name="a b"><variable name="a b" typeRef="T"/></inputData>',
    '<businessKnowledgeModel id="k" name="k"><encapsulatedLogic><formalParameter name="x"/>',
    literal("x + 1"),
    "</encapsulatedLogic></businessKnowledgeModel>",
    decision(
        table(
            "PRIORITY", ["a b[1]", "c"], ["x", "y"], [["> 1", "-", "1", "k(2)"]], values=["1,2"], defaults=["1", "2"]
        ),
        requires=[needs_input("i"), needs_decision("e"), needs_knowledge("k")],
    ),
    decision(f"<context><contextEntry><variable name='z'/>{literal('1')}</contextEntry></context>", identity="e"),
)


def survives(xml: bytes) -> None:
    try:
        model = parse_decisions(xml)
    except DmnError as refused:
        assert all(finding.code and finding.message and finding.remedy for finding in refused.findings)  # noqa: PT017
        return
    for name in model.decisions:
        with suppress(DecisionFailed, FeelError):
            assert model.evaluate(name, {"a b": [2], "c": 1}).decision == name


def test_the_model_is_sound_before_it_is_damaged() -> None:
    assert parse_decisions(MODEL).evaluate("d", {"a b": [2], "c": 1}).output == {"x": 1, "y": 3}


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    survives(data)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(MODEL)),
    st.integers(0, 40),
    st.sampled_from(
        [b"", b"<", b">", b'"', b"<text>", b"</decision>", b"<decision/>", b"d", b"#", b"-", b"x(", b"&lt;"]
    ),
)
def test_a_damaged_model_is_read_refused_or_stopped(at: int, length: int, piece: bytes) -> None:
    survives(MODEL[:at] + piece + MODEL[at + length :])
