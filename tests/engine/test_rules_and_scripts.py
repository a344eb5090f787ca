"""Business rule tasks and script tasks: computed at once, explained in the journal."""

from time import process_time

import orjson
import pytest

from app.engine.bundle import IncompleteBundle
from app.engine.step import InstanceStatus, JournalKind
from tests.decisions.dmn import decision, document, literal, needs_decision, table
from tests.engine.diagrams import chain, draw, end, gateway, mapping, node, rule, script, start
from tests.engine.drive import Drive

RISK = document(
    decision(table("UNIQUE", ["amount"], ["level"], [["> 100", '"high"'], ["<= 100", '"low"']]), identity="risk")
)
ASKING = draw(start(), rule("r", "risk", "level", inputs={"amount": "=total"}), end(), chain("s", "r", "e"))


def test_a_decision_is_made_and_the_journal_tells_why() -> None:
    drive = Drive(ASKING, decisions=RISK, total=500)
    assert drive.step.variables == {"total": 500, "level": "high"}
    (facts,) = drive.facts(JournalKind.DECISION)
    assert (facts["decision"], facts["inputs"], facts["output"]) == ("risk", {"amount": 500}, "high")
    assert [matched["index"] for matched in facts["matched"]] == [1]


def test_a_decision_that_fails_is_an_incident_that_corrected_variables_repair() -> None:
    clashing = document(decision(table("UNIQUE", ["amount"], ["level"], [["> 1", "1"], ["> 2", "2"]]), identity="risk"))
    drive = Drive(ASKING, decisions=clashing, total=500)
    assert (drive.step.status, drive.step.incidents[0].kind) == (InstanceStatus.INCIDENT, "decision")
    assert drive.retry("r#1", {"total": 2}).variables == {"total": 2, "level": 1}


def test_without_a_result_variable_the_entries_of_a_context_become_variables() -> None:
    model = document(decision(literal("{a: 1, b: 2}"), identity="risk"))
    drawn = draw(start(), rule("r", "risk", ""), end(), chain("s", "r", "e"))
    assert Drive(drawn, decisions=model).step.variables == {"a": 1, "b": 2}


def test_a_bundle_without_a_decision_cannot_start() -> None:
    with pytest.raises(IncompleteBundle, match="risk"):
        Drive(ASKING)


def test_a_script_sets_its_result() -> None:
    drawn = draw(start(), script("x", "=[a, a * 1.5]", "b"), end(), chain("s", "x", "e"))
    assert Drive(drawn, a=3).step.variables == {"a": 3, "b": [3, 4.5]}


def test_a_script_beyond_the_limits_is_an_incident() -> None:
    drawn = draw(start(), script("x", "=count(for i in 1..9999999 return i)", "b"), end(), chain("s", "x", "e"))
    step = Drive(drawn).step
    assert (step.status, step.incidents[0].kind) == (InstanceStatus.INCIDENT, "expression")


@pytest.mark.parametrize("written", ['="a\\u0000b"', '=["a\\u0000b"]', '=context put({}, "a\\u0000", 1)'])
def test_a_text_that_no_database_stores_is_an_incident(written: str) -> None:
    drive = Drive(draw(start(), script("a", written, "x"), end(), chain("s", "a", "e")))
    (incident,) = drive.step.incidents
    assert (incident.kind, incident.message.partition(",")[0]) == ("expression", "A text holds the character NUL")


def test_the_inputs_of_a_script_are_its_own() -> None:
    task = '<zeebe:script expression="=x + 1" resultVariable="y"/>' + mapping(inputs={"x": "=a * 10"})
    drawn = draw(start(), node("scriptTask", "z", "", task), end(), chain("s", "z", "e"))
    assert Drive(drawn, a=3).step.variables == {"a": 3, "y": 31}


@pytest.mark.parametrize("drawn", [script("a", "=[n]", "n"), rule("a", "d", "n")])
def test_a_value_that_grows_deeper_in_every_round_becomes_an_incident(drawn: str) -> None:
    looping = draw(start(), gateway("exclusive", "g"), drawn, chain("s", "g", "a", "g"))
    step = Drive(looping, decisions=document(decision(literal("[n]"))), n=1).step
    assert step.incidents[0].element == "a"
    assert "levels deep" in step.incidents[0].message


def test_a_decision_that_others_share_is_told_once_and_all_of_it_within_a_bound() -> None:
    def diamonds(levels: int, text: str) -> bytes:
        drawn = [decision(literal(text), identity="d0")]
        for level in range(1, levels + 1):
            below = (
                needs_decision("d0")
                if level == 1
                else needs_decision(f"a{level - 1}") + needs_decision(f"b{level - 1}")
            )
            drawn += [decision(literal(text), identity=f"{side}{level}", requires=[below]) for side in "ab"]
        top = [needs_decision(f"a{levels}"), needs_decision(f"b{levels}")]
        return document(*drawn, decision(literal(text), identity="risk", requires=top))

    def kept(decisions: bytes) -> bytes:
        (facts,) = Drive(ASKING, decisions=decisions, total=5).facts(JournalKind.DECISION)
        return orjson.dumps(facts)

    small = kept(diamonds(15, "1"))
    assert all(small.count(f'"decision":"{side}{level}"'.encode()) == 1 for side in "ab" for level in range(1, 16))
    assert small.count(b'"decision":"d0"') == 1
    assert b"note" not in small
    assert len(kept(diamonds(100, "1"))) < 20_000
    large = kept(diamonds(15, f'"{"x" * 4_000}"'))
    assert len(large) < 20_000
    assert b"too long to be kept" in large
    huge = kept(diamonds(1, 'for i in 1..9999 return "x"'))
    assert len(huge) < 20_000


def test_decisions_that_hand_on_what_has_no_end_are_told_in_little_time() -> None:
    levels = ", ".join(f"a{level}: [a{level - 1}, a{level - 1}]" for level in range(1, 40))
    endless = decision(literal(f"{{a0: [0, 0], {levels}}}.a39"), identity="d0")
    handed = [
        decision(literal(f"d{at}"), identity=f"d{at + 1}", requires=[needs_decision(f"d{at}")]) for at in range(9)
    ]
    wide = [decision(literal("d0"), identity=f"w{at}", requires=[needs_decision("d0")]) for at in range(50)]
    asked = [needs_decision("d9"), *(needs_decision(f"w{at}") for at in range(50))]
    begun = process_time()
    small = document(endless, *handed, *wide, decision(literal("count(d9)"), identity="risk", requires=asked))
    drive = Drive(ASKING, decisions=small, total=5)
    (facts,) = drive.facts(JournalKind.DECISION)
    assert (drive.step.variables["level"], len(orjson.dumps(facts)) < 20_000) == (2, True)
    large = document(endless, decision(literal("d0"), identity="risk", requires=[needs_decision("d0")]))
    (incident,) = Drive(ASKING, decisions=large, total=5).step.incidents
    assert "grew beyond" in incident.message
    assert process_time() - begun < 4
