"""Incidents: what stopped is repaired where it stopped, with nothing done twice."""

from app.engine.step import InstanceStatus, JournalKind
from tests.engine.diagrams import (
    boundary,
    call,
    catch,
    chain,
    declared_error,
    declared_message,
    draw,
    end,
    error,
    gateway,
    message,
    script,
    service,
    start,
    sub,
    timer,
    user,
)
from tests.engine.drive import Drive

HEAVY = "=count(for i in 1..size return i)"


def test_a_result_whose_output_mapping_fails_is_kept_and_not_asked_for_again() -> None:
    drawn = draw(start(), service("a", outputs={"ok": "=ok", "n": HEAVY}), end(), chain("s", "a", "e"))
    drive = Drive(drawn, size=10**7)
    step = drive.result("a#1", ok=True)
    assert step.incidents[0].kind == "expression"
    assert step.variables == {"size": 10**7}
    assert step.calls == ()
    step = drive.retry("a#1", {"size": 3})
    assert (step.status, step.calls) == (InstanceStatus.COMPLETED, ())
    assert step.variables == {"size": 3, "ok": True, "n": 3}


def test_an_input_mapping_that_fails_is_an_incident_before_anything_is_asked() -> None:
    drawn = draw(start(), service("a", inputs={"n": HEAVY}), end(), chain("s", "a", "e"))
    drive = Drive(drawn, size=10**7)
    assert (drive.step.calls, drive.step.incidents[0].node) == ((), "a#1")
    assert drive.retry("a#1", {"size": 3}).calls[0].params == {"n": 3}


def test_a_person_is_not_asked_twice_when_the_outcome_cannot_be_written_down() -> None:
    drawn = draw(start(), user("u", outputs={"n": HEAVY}), end(), chain("s", "u", "e"))
    drive = Drive(drawn, size=10**7)
    assert drive.decide("u#1", "approve").tasks == ()
    assert drive.retry("u#1", {"size": 3}).status is InstanceStatus.COMPLETED


def test_a_boundary_timer_still_works_while_its_activity_is_an_incident() -> None:
    drive = Drive(
        draw(
            start(),
            service("a"),
            boundary("late", "a", timer("timeDuration", "PT1H")),
            end(),
            end("e2"),
            chain("s", "a", "e"),
            chain("late", "e2"),
        )
    )
    drive.failed("a#1")
    assert drive.step.due_at is not None
    step = drive.after(hours=1)
    assert (step.status, step.incidents) == (InstanceStatus.COMPLETED, ())


def test_a_boundary_timer_that_cannot_be_read_is_repaired_by_itself() -> None:
    drive = Drive(
        draw(
            start(),
            service("a"),
            boundary("late", "a", timer("timeDuration", "=patience")),
            end(),
            end("e2"),
            chain("s", "a", "e"),
            chain("late", "e2"),
        )
    )
    assert drive.step.incidents[0].node == "late#1"
    assert [c.node for c in drive.step.calls] == ["a#1"]
    assert drive.retry("late#1", {"patience": "PT1H"}).status is InstanceStatus.RUNNING
    drive.failed("a#1")
    drive.retry("a#1")
    assert [w.node for w in drive.step.waits] == ["a#1", "late#1"]


def test_an_incident_in_one_branch_does_not_hold_up_the_other() -> None:
    drive = Drive(
        draw(
            start(),
            gateway("parallel", "fork"),
            service("a"),
            service("b"),
            service("c"),
            gateway("parallel", "join"),
            end(),
            chain("s", "fork", "a", "join", "e"),
            chain("fork", "b", "c", "join"),
        )
    )
    drive.failed("a#1")
    assert [call.node for call in drive.result("b#1").calls] == ["c#1"]
    assert drive.result("c#1").status is InstanceStatus.INCIDENT
    drive.retry("a#1")
    assert drive.result("a#1").status is InstanceStatus.COMPLETED


def test_interrupting_a_call_activity_interrupts_everything_inside_it() -> None:
    child = draw(
        start("cs"),
        sub("inner", start("is"), service("work"), end("ie"), chain("is", "work", "ie")),
        end("ce"),
        chain("cs", "inner", "ce"),
        process="child",
    )
    parent = draw(
        start(),
        call("c", "child"),
        boundary("stop", "c", message("stop")),
        end(),
        end("e2"),
        chain("s", "c", "e"),
        chain("stop", "e2"),
        declare=[declared_message("stop", "=id")],
    )
    drive = Drive(parent, child, id="x")
    assert drive.open_nodes == ["stop#1", "c#1/work#1"]
    assert drive.message("stop#1", "stop").status is InstanceStatus.COMPLETED
    assert drive.nodes(JournalKind.CANCELED) == ["c#1/work#1", "c#1/inner#1", "c#1"]
    assert [e.kind for e in drive.result("c#1/work#1").journal] == [JournalKind.STALE]


def test_an_error_passes_an_enclosing_sub_process_that_does_not_catch_it() -> None:
    drive = Drive(
        draw(
            start(),
            sub(
                "outer",
                start("s1"),
                sub("inner", start("s2"), service("a"), end("e2"), chain("s2", "a", "e2")),
                boundary("ib", "inner", error("OTHER")),
                end("e1"),
                end("e3"),
                chain("s1", "inner", "e1"),
                chain("ib", "e3"),
            ),
            boundary("ob", "outer", error("MINE")),
            script("after", "=error.code", "seen"),
            end(),
            end("e4"),
            chain("s", "outer", "e"),
            chain("ob", "after", "e4"),
            declare=[declared_error("MINE"), declared_error("OTHER")],
        )
    )
    drive.error("a#1", "MINE")
    assert drive.step.variables["seen"] == "MINE"
    assert drive.facts(JournalKind.ERROR)[0]["caught_by"] == "ob"
    assert "ib_e3" not in drive.taken


def test_a_path_that_begins_at_a_boundary_event_may_lead_back_to_its_activity() -> None:
    drawn = draw(
        start(),
        gateway("exclusive", "m"),
        service("a"),
        boundary("b", "a", error()),
        catch("t", timer("timeDuration", "PT1M")),
        end(),
        chain("s", "m", "a", "e"),
        chain("b", "t", "m"),
    )
    drive = Drive(drawn)
    for n in (1, 2, 3):
        drive.error(f"a#{n}", "X")
        drive.after(minutes=1)
    assert drive.open_nodes == ["a#4"]
    assert drive.result("a#4").status is InstanceStatus.COMPLETED


def test_a_repair_is_told_with_who_did_it_and_which_variables() -> None:
    drawn = draw(start(), service("a"), end(), chain("s", "a", "e"))
    drive = Drive(drawn)
    drive.failed("a#1")
    (entry,) = drive.retry("a#1", {"b": 1, "a": 2}).journal
    assert (entry.kind, entry.actor, entry.facts) == (
        JournalKind.REPAIRED,
        "usr_op",
        {"variables": ["a", "b"], "wrote": {"a": 2, "b": 1}},
    )


def test_a_repair_does_not_start_the_boundary_timers_again() -> None:
    drive = Drive(
        draw(
            start(),
            service("a"),
            boundary("nudge", "a", timer("timeDuration", "PT1M"), interrupting="false"),
            user("u"),
            end(),
            end("e2"),
            chain("s", "a", "e"),
            chain("nudge", "u", "e2"),
        )
    )
    drive.after(minutes=1)
    drive.failed("a#1")
    drive.retry("a#1")
    assert sorted(drive.open_nodes) == ["a#1", "u#1"]
    assert drive.step.due_at is None


def test_an_event_that_stopped_after_it_fired_can_be_canceled() -> None:
    drive = Drive(
        draw(
            start(),
            service("a"),
            boundary("b", "a", error(), outputs={"n": HEAVY}),
            end(),
            end("e2"),
            chain("s", "a", "e"),
            chain("b", "e2"),
        ),
        size=10**7,
    )
    assert drive.error("a#1", "X").incidents[0].node == "b#1"
    drive.cancel()
    assert drive.nodes(JournalKind.CANCELED) == ["a#1", "b#1"]


def test_of_two_timers_that_are_due_the_earlier_one_fires_first() -> None:
    drive = Drive(
        draw(
            start(),
            user("u"),
            boundary("later", "u", timer("timeDuration", "PT2M")),
            boundary("sooner", "u", timer("timeDuration", "PT1M")),
            end(),
            end("e1"),
            end("e2"),
            chain("s", "u", "e"),
            chain("later", "e1"),
            chain("sooner", "e2"),
        )
    )
    drive.after(hours=1)
    assert drive.taken == ["s_u", "sooner_e2"]
