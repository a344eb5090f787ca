"""User tasks: who is asked, what they are shown, what comes back."""

from datetime import timedelta
from typing import Any

import pytest

from app.engine.step import InstanceStatus, JournalKind, TaskRequest
from tests.engine.diagrams import HEAD, chain, draw, end, start, user
from tests.engine.drive import START, Drive


def asking(**drawn: Any) -> bytes:
    return draw(start(), user("u", **drawn), end(), chain("s", "u", "e"))


def test_a_user_task_asks_for_people_with_everything_the_diagram_says() -> None:
    drawn = asking(
        inputs={"amount": "=total"},
        excluded="=[initiator]",
        due="=duration(patience)",
        groups="reviewers, seniors",
        priority="=if total > 100 then 90 else 10",
    )
    drive = Drive(drawn, total=500, initiator="usr_1", patience="PT2H")
    assert drive.step.tasks == (
        TaskRequest(
            node="u#1",
            element="u",
            name="Task u",
            form="review",
            candidate_groups=("reviewers", "seniors"),
            excluded=("usr_1",),
            due_at=START + timedelta(hours=2),
            priority=90,
            facts={"amount": 500},
        ),
    )
    assert drive.step.status is InstanceStatus.WAITING
    assert drive.step.due_at is None


def test_what_a_task_asks_for_is_decided_when_it_starts() -> None:
    drive = Drive(asking(due="PT2H"))
    drive.after(hours=1)
    assert drive.step.tasks[0].due_at == START + timedelta(hours=2)


@pytest.mark.parametrize("due", ["2026-05-01T09:00:00Z", '=date and time("2026-05-01T09:00:00Z")'])
def test_a_due_date_may_be_a_moment(due: str) -> None:
    assert Drive(asking(due=due)).step.tasks[0].due_at == START.replace(month=5, day=1, hour=9)


def test_the_decision_becomes_variables_and_the_journal_names_the_person() -> None:
    drive = Drive(asking(outputs={"review.decision": "=decision", "review.by": "=actor"}))
    step = drive.decide("u#1", "approve", actor="usr_7")
    assert step.variables == {"review": {"decision": "approve", "by": "usr_7"}}
    (entry,) = [e for e in step.journal if e.kind is JournalKind.TASK]
    assert (entry.node, entry.actor, entry.facts) == ("u#1", "usr_7", {"decision": "approve", "reason": "because"})


def test_a_person_who_is_excluded_cannot_complete_the_task() -> None:
    drive = Drive(asking(excluded="=[initiator]"), initiator="usr_1")
    step = drive.decide("u#1", "approve", actor="usr_1")
    assert [e.kind for e in step.journal] == [JournalKind.STALE]
    assert len(step.tasks) == 1
    assert drive.decide("u#1", "approve", actor="usr_2").status is InstanceStatus.COMPLETED


def test_without_groups_the_lane_names_them() -> None:
    lanes = (
        '<bpmn:laneSet id="ls"><bpmn:lane id="l1" name="seniors"><bpmn:flowNodeRef>u</bpmn:flowNodeRef></bpmn:lane>'
        "</bpmn:laneSet>"
    )
    drawn = draw(lanes, start(), user("u", groups=""), end(), chain("s", "u", "e"))
    assert HEAD.encode() in drawn
    assert Drive(drawn).step.tasks[0].candidate_groups == ("seniors",)


@pytest.mark.parametrize(
    ("drawn", "word"),
    [
        ({"priority": "=200"}, "priority"),
        ({"priority": "=string(1e5000)"}, "priority"),
        ({"due": '="9999-12-31T23:59:59-14:00"'}, "years 1 to 9999"),
        ({"excluded": "=5"}, "excluded users"),
        ({"due": '="soon"'}, "soon"),
        ({"groups": ""}, "no candidate group"),
        ({"groups": "=nobody"}, "no candidate group"),
    ],
)
def test_what_cannot_be_asked_is_an_incident(drawn: dict[str, str], word: str) -> None:
    step = Drive(asking(**drawn)).step
    assert (step.tasks, step.incidents[0].kind) == ((), "expression")
    assert word in step.incidents[0].message
