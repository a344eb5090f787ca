"""Sub-processes and called processes: what they see, what they give back, and errors that leave them."""

import pytest

from app.engine.bundle import IncompleteBundle
from app.engine.step import InstanceStatus, JournalKind
from tests.engine.diagrams import (
    boundary,
    call,
    chain,
    declared_error,
    draw,
    end,
    end_with,
    error,
    flow,
    gateway,
    many,
    node,
    script,
    service,
    start,
    sub,
    timer,
    user,
)
from tests.engine.drive import Drive, bundle_of


def test_a_sub_process_sees_its_parent_and_gives_back_what_it_wrote() -> None:
    inner = [
        start("s2"),
        service("a", inputs={"x": "=x", "y": "=y"}, outputs={"z": "=r"}),
        end("e2"),
        chain("s2", "a", "e2"),
    ]
    drive = Drive(draw(start(), sub("sp", *inner, inputs={"y": "=x * 2"}), end(), chain("s", "sp", "e")), x=1)
    assert drive.step.calls[0].params == {"x": 1, "y": 2}
    assert drive.step.variables == {"x": 1}
    assert drive.result("a#1", r=9).variables == {"x": 1, "z": 9}


def test_with_an_output_mapping_only_that_leaves_a_sub_process() -> None:
    inner = [start("s2"), script("a", "=5", "secret"), end("e2"), chain("s2", "a", "e2")]
    drive = Drive(draw(start(), sub("sp", *inner, outputs={"shown": "=secret + 1"}), end(), chain("s", "sp", "e")))
    assert drive.step.variables == {"shown": 6}


def test_what_an_interrupted_sub_process_wrote_is_gone() -> None:
    drive = Drive(
        draw(
            start(),
            sub("sp", start("s2"), script("a", "=5", "x"), user("u"), end("e2"), chain("s2", "a", "u", "e2")),
            boundary("late", "sp", timer("timeDuration", "PT1H")),
            end(),
            end("e3"),
            chain("s", "sp", "e"),
            chain("late", "e3"),
        ),
        x=1,
    )
    assert drive.after(hours=1).variables == {"x": 1}
    assert drive.nodes(JournalKind.CANCELED) == ["u#1", "sp#1"]


CHILD = draw(
    start("cs"),
    service("work", inputs={"n": "=n"}, outputs={"answer": "=value"}),
    boundary("wb", "work", error("SOFT")),
    end("ce"),
    end_with("bad", error("HARD"), inputs={"why": "=n"}),
    chain("cs", "work", "ce"),
    chain("wb", "bad"),
    process="child",
    declare=[declared_error("SOFT"), declared_error("HARD")],
)
PARENT = draw(
    start(),
    call("c", "child", inputs={"n": "=m + 1"}, outputs={"got": "=answer"}),
    boundary("cb", "c", error("HARD")),
    end(),
    end("e2"),
    chain("s", "c", "e"),
    chain("cb", "e2"),
    declare=[declared_error("HARD")],
)


def test_a_called_process_has_variables_of_its_own() -> None:
    drive = Drive(PARENT, CHILD, m=1, secret="x")
    assert [(c.node, c.params) for c in drive.step.calls] == [("c#1/work#1", {"n": 2})]
    step = drive.result("c#1/work#1", value=7)
    assert step.variables == {"m": 1, "secret": "x", "got": 7}
    assert step.status is InstanceStatus.COMPLETED


def test_the_journal_says_which_process_an_element_is_in_and_who_called_it() -> None:
    drive = Drive(PARENT, CHILD, m=1)
    entries = {(e.kind, e.node): (e.process, e.scope) for e in drive.journal}
    assert entries[JournalKind.ENTERED, "c#1"] == ("", "")
    assert entries[JournalKind.ENTERED, "c#1/work#1"] == ("child", "c#1")
    assert ("cs_work", "child", "c#1") in [(e.element, e.process, e.scope) for e in drive.journal]


def test_an_error_that_leaves_a_called_process_is_caught_where_it_was_called() -> None:
    drive = Drive(PARENT, CHILD, m=1)
    step = drive.error("c#1/work#1", "SOFT")
    assert step.status is InstanceStatus.COMPLETED
    assert drive.taken[-1] == "cb_e2"
    assert step.variables["error"] == {"code": "HARD", "message": "Error HARD", "why": 2}


def test_an_error_inside_a_called_process_is_caught_where_it_was_called_when_nothing_inside_does() -> None:
    drive = Drive(PARENT, CHILD, m=1)
    step = drive.error("c#1/work#1", "HARD", "gone", why="closed")
    assert step.variables["error"] == {"code": "HARD", "message": "gone", "why": "closed"}
    assert drive.nodes(JournalKind.CANCELED) == ["c#1/work#1", "c#1"]
    assert step.status is InstanceStatus.COMPLETED


def test_an_error_nobody_catches_stops_inside_the_called_process() -> None:
    drive = Drive(PARENT, CHILD, m=1)
    assert drive.error("c#1/work#1", "OTHER").incidents[0].node == "c#1/work#1"
    assert drive.retry("c#1/work#1", {"n": 40}).calls[0].params == {"n": 40}
    assert drive.result("c#1/work#1", value=7).variables == {"m": 1, "got": 7}


def nested(depth: int) -> list[bytes]:
    drawn = [
        draw(start(), call("c", f"p{n + 1}", outputs={"x": "=x"}), end(), chain("s", "c", "e"), process=f"p{n}")
        for n in range(depth)
    ]
    return [
        *drawn,
        draw(start(), service("a", outputs={"x": "=x + r"}), end(), chain("s", "a", "e"), process=f"p{depth}"),
    ]


def test_processes_may_call_processes_that_call_processes() -> None:
    drive = Drive(*nested(4), x=1)
    assert drive.open_nodes == ["c#1/c#1/c#1/c#1/a#1"]
    assert drive.result(drive.open_nodes[0], r=1).variables == {"x": 2}


def test_a_process_that_calls_itself_ends_as_an_incident() -> None:
    drive = Drive(draw(start(), call("c", "p"), end(), chain("s", "c", "e")))
    assert drive.step.incidents[0].kind == "step_limit"
    assert "call each other" in drive.step.incidents[0].message


def test_a_process_called_twice_numbers_its_elements_within_each_call() -> None:
    looped = draw(
        start(),
        gateway("exclusive", "m"),
        call("c", "child", inputs={"n": "=i"}, outputs={"i": "=i + 1"}),
        gateway("exclusive", "g", default="g_e"),
        end(),
        chain("s", "m", "c", "g", "e"),
        flow("g", "m", "=i < 2"),
    )
    drive = Drive(looped, CHILD, i=0)
    assert drive.open_nodes == ["c#1/work#1"]
    drive.result("c#1/work#1", value=1)
    assert drive.open_nodes == ["c#2/work#1"]


@pytest.mark.parametrize(("everything", "expected"), [("true", {"m": 1, "n": 2, "answer": 7}), ("false", {"m": 1})])
def test_without_outputs_a_call_gives_back_everything_or_nothing(everything: str, expected: dict[str, int]) -> None:
    drawn = draw(
        start(), call("c", "child", inputs={"n": "=m + 1"}, everything=everything), end(), chain("s", "c", "e")
    )
    drive = Drive(drawn, CHILD, m=1)
    assert drive.result("c#1/work#1", value=7).variables == expected


def test_without_inputs_a_called_process_gets_a_copy_of_all_variables() -> None:
    drive = Drive(draw(start(), call("c", "child"), end(), chain("s", "c", "e")), CHILD, n={"deep": [1]})
    assert drive.step.calls[0].params == {"n": {"deep": [1]}}
    assert drive.result("c#1/work#1", value=7).variables == {"n": {"deep": [1]}}


def test_the_item_of_a_call_for_each_stays_inside_it() -> None:
    called = '<zeebe:calledElement processId="child" propagateAllChildVariables="true"/>'
    each = node("callActivity", "c", many("=[1]", "n"), called)
    drive = Drive(draw(start(), each, end(), chain("s", "c", "e")), CHILD)
    assert drive.step.calls[0].params == {"n": 1}
    assert drive.result(drive.step.calls[0].node, value=7).variables == {"answer": 7}


def test_a_bundle_without_a_called_process_cannot_start() -> None:
    with pytest.raises(IncompleteBundle, match="child"):
        bundle_of(PARENT)


def test_a_sub_process_may_hold_parallel_branches_and_another_sub_process() -> None:
    drive = Drive(
        draw(
            start(),
            sub(
                "outer",
                start("s1"),
                gateway("parallel", "fork"),
                sub("inner", start("s2"), service("a"), end("e2"), chain("s2", "a", "e2")),
                service("b"),
                gateway("parallel", "join"),
                end("e1"),
                chain("s1", "fork", "inner", "join", "e1"),
                chain("fork", "b", "join"),
            ),
            end(),
            chain("s", "outer", "e"),
        )
    )
    assert sorted(drive.open_nodes) == ["a#1", "b#1"]
    drive.result("a#1", x=1)
    assert drive.step.variables == {}
    assert drive.result("b#1", y=2).variables == {"x": 1, "y": 2}
