"""Scenario files as analysts write them: what is wrong is named with its line, what differs is told in words."""

from dataclasses import dataclass

import pytest

import handlers
from app.engine import shipped
from app.engine.scenarios import InvalidScenarios, Library, Verdict, check, library, play, read_documents
from app.engine.scenarios.coverage import covered
from app.operations import registry
from app.settings import ROOT

assert handlers

#: A scenario file of the release process; `{…}` are replaced by each test.
FILE = """\
process: release-authorization
start: {payment: pay_1}
defaults:
  payment.void: {result: {attempt: att_1}}
scenarios:
  - name: The hold is given back
    expect: {ends: [released_all]}
  - name: The second one
ANSWERS
    expect:
      EXPECT
"""


@pytest.fixture(scope="module")
def shelf() -> Library:
    return library(shipped.uploads(ROOT / "workflows"), registry)


def written(answers: str = "    happens: []", expect: str = "ends: [released_all]", file: str = FILE) -> bytes:
    return file.replace("ANSWERS", answers).replace("EXPECT", expect).encode()


def refused(content: bytes, shelf: Library) -> str:
    try:
        for document in read_documents(content, "scenarios.yaml"):
            check(document, shelf)
    except InvalidScenarios as invalid:
        return invalid.detail
    return "nothing was refused"


def verdicts(content: bytes, shelf: Library) -> list[Verdict]:
    (document,) = read_documents(content, "scenarios.yaml")
    check(document, shelf)
    return [play(document.suite, scenario, shelf) for scenario in document.suite.scenarios]


@dataclass(frozen=True)
class Broken:
    """A mistake, and the sentence that must be given for it."""

    content: bytes
    sentence: str


SECOND = "scenarios.yaml:{line}: scenario 'The second one': {rest}"
BROKEN = {
    "a misspelt field": Broken(
        written(expect="endings: [released_all]"),
        SECOND.format(line=11, rest="expect.endings: there is no such field"),
    ),
    "an element that is not there": Broken(
        written(expect="ends: [relesed]"),
        SECOND.format(
            line=11, rest="expect.ends.1: there is no element 'relesed' in release-authorization or what it calls"
        ),
    ),
    "an error the operation never throws": Broken(
        written("    answers: {void: [{error: HARD_DECLINE}]}"),
        SECOND.format(
            line=9,
            rest="answers.void.1.error: payment.void does not throw HARD_DECLINE; "
            "it throws VOID_DECLINED, GATEWAY_UNAVAILABLE, OUTCOME_PENDING, OUTCOME_UNKNOWN",
        ),
    ),
    "a result field the operation does not have": Broken(
        written("    answers:\n      payment.void:\n        - result: {released: true}"),
        SECOND.format(
            line=11,
            rest="answers.payment.void.1.result: payment.void does not answer 'released'; it answers attempt",
        ),
    ),
    "a result without what the operation always answers": Broken(
        written(file=FILE.replace("{attempt: att_1}", "{}")),
        "scenarios.yaml:4: defaults.payment.void.result: payment.void always answers 'attempt'; "
        "give it here or in the defaults",
    ),
    "a result of the wrong type": Broken(
        written("    answers: {void: [{result: {attempt: [1]}}]}"),
        SECOND.format(
            line=9, rest="answers.void.1.result: payment.void answers 'attempt': Input should be a valid string"
        ),
    ),
    "an answer for nobody": Broken(
        written("    answers: {payment.voyd: [{result: {}}]}"),
        SECOND.format(
            line=9, rest="answers.payment.voyd.1: 'payment.voyd' is neither an operation nor an element that calls one"
        ),
    ),
    "a duration that is none": Broken(
        written("    happens: [{wait: 2 seconds}]"), SECOND.format(line=9, rest="happens.1.wait: '2 seconds'")
    ),
    "two things in one event": Broken(
        written("    happens: [{wait: PT1S, cancel: because}]"),
        SECOND.format(line=9, rest="happens.1: give exactly one of wait, message, decide, repair, cancel"),
    ),
    "a process without a diagram": Broken(
        written(file=FILE.replace("process: release", "process: relaese")),
        "scenarios.yaml:1: process: there is no diagram of the process 'relaese-authorization'",
    ),
    "a name twice": Broken(
        written(file=FILE.replace("The second one", "The hold is given back")),
        "scenarios.yaml:8: scenario 'The hold is given back': name: another scenario has this name",
    ),
    "a key twice": Broken(written(expect="ends: []\n      ends: []"), "scenarios.yaml:12: 'ends' is there twice"),
    "no YAML": Broken(b"process: x\n\tscenarios: []", "scenarios.yaml:2: not readable as YAML"),
    "an anchor": Broken(b"process: &p x\nscenarios: *p", "scenarios.yaml:1: anchors and aliases are not allowed"),
    "an empty file": Broken(b"", "scenarios.yaml is empty"),
    "a plain text": Broken(b"hello", "scenarios.yaml:1: a document begins with process: and scenarios:"),
    "no UTF-8": Broken(b"\xff\xfe\x00", "scenarios.yaml is not UTF-8 text"),
    "too much": Broken(b"# " + b"x" * 400_000, "scenarios.yaml has more than 400,000 bytes"),
    "nested without end": Broken(b"process: " + b"[" * 390_000, "scenarios.yaml:1: nested deeper than 30"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_with_its_place(broken: Broken, shelf: Library) -> None:
    assert broken.sentence in refused(broken.content, shelf)


REVIEW = """\
process: manual-review
start: {payment: pay_1, amount: 1, currency: EUR, risk: {}, expires_at: 2026-03-09T09:00:00Z}
defaults:
  review.limits: {result: {second_person: true, limit: 0, asked_by: []}}
scenarios:
  - name: Told
    happens:
HAPPENS
    expect: {}
"""


def told(*events: str) -> bytes:
    return REVIEW.replace("HAPPENS", "\n".join(f"      - {event}" for event in events)).encode()


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ("decide: {task: review, decision: aprove, by: usr_1}", "the form review offers approve, reject, not 'aprove'"),
        ("decide: {task: review, decision: approve, by: usr_1}", "to approve a reason is required: customer_confirmed"),
        (
            "decide: {task: review, decision: approve, reason: policy, by: usr_1}",
            "with approve the form review takes the reasons customer_confirmed",
        ),
        (
            "decide: {task: review, decision: reject, reason: policy, by: usr_1, data: {size: 3}}",
            "happens.1.decide.data.size: is not a field of the form",
        ),
        (
            "decide: {task: limits, decision: approve, by: usr_1}",
            "happens.1.decide.task: there is no user task 'limits'",
        ),
    ],
)
def test_a_decision_is_checked_against_its_form(event: str, sentence: str, shelf: Library) -> None:
    assert sentence in refused(told(event), shelf)


@pytest.mark.parametrize(
    ("expect", "difference"),
    [
        ("ends: [left_to_expire]", "It ended at released_all, expected left_to_expire"),
        ("status: waiting", "The instance is completed, expected waiting"),
        ("variables: {released: false}", "Variable released is true, expected false"),
        ("variables: {released: 1}", "Variable released is true, expected 1"),
        ("variables: {relased: true}", "Variable relased is not there, expected true"),
        ("visits: [resolve]", "resolve was not visited"),
        ("visits: [unavailable_to_read_hold]", "unavailable_to_read_hold was not visited"),
        ("avoids: [void]", "void was visited"),
        ("waits: [wait_longer]", "It rests at nothing, expected wait_longer"),
        ("incidents: [void]", "No incident at void"),
        ("asks: {void: {amount: 3}}", "void was asked with amount is not there, expected 3"),
        ("sends: [payment.done]", "It sent nothing, expected payment.done"),
    ],
)
def test_a_wrong_expectation_fails_with_the_difference_in_words(expect: str, difference: str, shelf: Library) -> None:
    first, second = verdicts(written(expect=expect), shelf)
    assert first.passed
    assert not second.passed
    assert second.differences == (difference,)
    assert str(second) == f"release-authorization: The second one\n  - {difference}"


def test_an_incident_that_nobody_expected_is_a_difference(shelf: Library) -> None:
    _, verdict = verdicts(written("    answers: {void: [{fails: The disk is full}]}", expect="ends: []"), shelf)
    assert verdict.differences == ("Incident at void: The disk is full",)


def test_parameters_the_operation_would_refuse_are_an_incident_as_in_life(shelf: Library) -> None:
    content = REVIEW.replace("amount: 1,", "amount: much,").replace("    happens:\nHAPPENS\n", "").encode()
    (verdict,) = verdicts(content, shelf)
    assert verdict.differences[0].startswith(
        "Incident at limits: review.limits: amount: Input should be a valid integer"
    )


def test_an_answer_that_is_never_asked_for_is_a_difference(shelf: Library) -> None:
    _, verdict = verdicts(written("    answers: {void: [{result: {}}, {result: {}, times: 2}]}"), shelf)
    assert verdict.differences == ("2 of the answers of void were never asked for",)


def test_an_operation_without_an_answer_is_a_difference(shelf: Library) -> None:
    content = written("    answers: {void: [{result: {attempt: a}}]}", file=FILE.replace("defaults:", "start:", 1))
    content = content.replace(b"start:\n  payment.void: {result: {attempt: att_1}}\n", b"")
    first, second = verdicts(content, shelf)
    assert "The scenario does not say what payment.void answers at void" in first.differences
    assert second.passed


def test_who_may_not_decide_is_told(shelf: Library) -> None:
    approve = "decision: approve, reason: known_customer, by: usr_1"
    (verdict,) = verdicts(
        told(f"decide: {{task: review, {approve}}}", f"decide: {{task: second_approval, {approve}}}"), shelf
    )
    assert verdict.differences == ("Event 2: usr_1 may not decide second_approval",)
    (verdict,) = verdicts(told(f"decide: {{task: review, {approve}, refused: true}}"), shelf)
    assert verdict.differences == ("Event 1: usr_1 was allowed to decide review",)


@pytest.mark.parametrize(
    ("event", "difference"),
    [
        (
            "message: {name: gateway.event}",
            "Event 1: the message gateway.event: nobody waits for it; the flow rests at",
        ),
        (
            "message: {name: cancel.requested, key: pay_2}",
            "Event 1: cancel_requested waits for the key 'pay_1', not 'pay_2'",
        ),
        (
            "decide: {task: second_approval, decision: approve, reason: known_customer, by: usr_1}",
            "Event 1: nobody is asked to decide second_approval",
        ),
        ("repair: {element: review}", "Event 1: review has no incident"),
        ("wait: 2026-01-01T00:00:00Z", "Event 1: it is already 2026-03-02T09:00:00+00:00"),
    ],
)
def test_what_cannot_happen_is_told_with_where_the_flow_rests(event: str, difference: str, shelf: Library) -> None:
    (verdict,) = verdicts(told(event), shelf)
    assert len(verdict.differences) == 1
    assert verdict.differences[0].startswith(difference)


def test_a_verdict_knows_the_way_through_every_process(shelf: Library) -> None:
    answers = """\
    answers:
      void: [{error: OUTCOME_UNKNOWN, facts: {attempt: att_1, ladder: [1]}}]
      payment.lookup: [{result: {resolution: approved, decline_code: "", retry: "", expires_at: null}}]
      payment.facts:
        - result: {status: processing, amount_capturable: 0, amount_captured: 0, amount_refunded: 0, expires_at: null}
    happens: [{wait: PT1S}, {wait: PT2S}]"""
    _, verdict = verdicts(written(answers, expect="status: completed"), shelf)
    assert verdict.passed
    assert verdict.visited["release-authorization"].elements == (
        "asked",
        "first_try",
        "again",
        "void",
        "unknown",
        "resolve",
        "read_hold",
        "still_held",
        "wait_longer",
        "released_all",
    )
    assert verdict.visited["resolve-unknown"].flows[-1] == "known_to_resolved"
    assert "gateway_tells" not in verdict.visited["resolve-unknown"].elements, "it only waited"


def test_the_same_scenario_gives_the_same_verdict(shelf: Library) -> None:
    assert verdicts(written(), shelf) == verdicts(written(), shelf)


def test_coverage_names_the_flows_that_nothing_visits(shelf: Library) -> None:
    measured = covered(shelf, verdicts(written(), shelf))
    release = next(one for one in measured.diagrams if one.process == "release-authorization")
    assert (release.visited, release.total) == (4, 13)
    assert "refused_to_read_hold" in release.unvisited
    assert not measured.complete
    assert (
        "release-authorization    2 scenarios    4/13 flows  not visited: unavailable_to_read_hold" in measured.table()
    )
