"""Events: timers, messages, throws, terminate, and the events at the border of an activity."""

from datetime import datetime, timedelta

import pytest

from app.engine.step import InstanceStatus, Item, ItemKind, JournalKind, Thrown, WaitKind
from tests.engine.diagrams import (
    boundary,
    catch,
    chain,
    declared_error,
    declared_escalation,
    declared_message,
    draw,
    end,
    end_with,
    error,
    escalation,
    gateway,
    message,
    node,
    script,
    service,
    start,
    sub,
    throw,
    timer,
    user,
)
from tests.engine.drive import START, Drive

TERMINATE = "<bpmn:terminateEventDefinition/>"


def waiting(kind: str, value: str) -> bytes:
    return draw(start(), catch("t", timer(kind, value)), end(), chain("s", "t", "e"))


@pytest.mark.parametrize(
    ("kind", "value", "due"),
    [
        ("timeDuration", "PT30S", START + timedelta(seconds=30)),
        ("timeDuration", "P1M", START.replace(month=4)),
        ("timeDuration", '=duration("PT" + string(n) + "M")', START + timedelta(minutes=7)),
        ("timeDate", "2026-03-02T14:00:00+02:00", START + timedelta(days=1)),
        ("timeDate", "=when", START + timedelta(hours=1)),
    ],
)
def test_a_timer_is_due_when_the_diagram_says(kind: str, value: str, due: datetime) -> None:
    drive = Drive(waiting(kind, value), n=7, when="2026-03-01T13:00:00Z")
    (wait,) = drive.step.waits
    assert (wait.kind, wait.due_at, wait.node) == (WaitKind.TIMER, due, "t#1")
    assert drive.step.status is InstanceStatus.WAITING
    drive.now = due - timedelta(microseconds=1)
    assert drive.advance().status is InstanceStatus.WAITING
    assert drive.after(microseconds=1).status is InstanceStatus.COMPLETED


@pytest.mark.parametrize(
    ("kind", "value"), [("timeDuration", "PT0S"), ("timeDuration", "-PT5M"), ("timeDate", "2020-01-01T00:00:00Z")]
)
def test_a_timer_that_is_already_due_fires_at_once(kind: str, value: str) -> None:
    drive = Drive(waiting(kind, value))
    assert drive.step.status is InstanceStatus.COMPLETED
    assert drive.nodes(JournalKind.TIMER) == ["t#1"]


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("timeDate", "=when", "no offset"),
        ("timeDuration", "=nothing", "a text is needed"),
        ("timeDuration", "=when", "not a duration"),
    ],
)
def test_a_time_that_cannot_be_read_is_an_incident_that_corrected_variables_repair(
    kind: str, value: str, sentence: str
) -> None:
    drive = Drive(waiting(kind, value), when="2026-03-01T13:00:00")
    assert drive.step.incidents[0].kind == "expression"
    assert sentence in drive.step.incidents[0].message
    good = {"when": "PT1M" if kind == "timeDuration" else "2026-03-01T13:00:00Z", "nothing": "PT1M"}
    assert drive.retry("t#1", good).waits[0].kind is WaitKind.TIMER


TWO_WAITS = draw(
    start(),
    gateway("parallel", "fork"),
    catch("m1", message("paid"), outputs={"first": "=reference"}),
    catch("m2", message("paid"), outputs={"second": "=reference"}),
    gateway("parallel", "join"),
    end(),
    chain("s", "fork", "m1", "join", "e"),
    chain("fork", "m2", "join"),
    declare=[declared_message("paid", "=payment_id")],
)


def test_two_waits_for_the_same_message_are_answered_one_by_one() -> None:
    drive = Drive(TWO_WAITS, payment_id="pay_1")
    assert [(w.node, w.message, w.correlation) for w in drive.step.waits] == [
        ("m1#1", "paid", "pay_1"),
        ("m2#1", "paid", "pay_1"),
    ]
    drive.message("m2#1", "paid", reference="b")
    assert drive.open_nodes == ["m1#1"]
    step = drive.message("m1#1", "paid", reference="a")
    assert step.variables == {"payment_id": "pay_1", "first": "a", "second": "b"}


def test_a_duplicate_or_early_message_is_stale_and_changes_nothing() -> None:
    drive = Drive(TWO_WAITS, payment_id="pay_1")
    drive.message("m1#1", "paid", reference="a")
    for node_ in ("m1#1", "m3#1", "m2#2"):
        assert [e.kind for e in drive.message(node_, "paid", reference="x").journal] == [JournalKind.STALE]
    assert drive.step.variables == {"payment_id": "pay_1", "first": "a"}


def test_a_message_of_another_name_does_not_wake_the_wait() -> None:
    drive = Drive(TWO_WAITS, payment_id="pay_1")
    assert [e.kind for e in drive.message("m1#1", "refunded").journal] == [JournalKind.STALE]
    assert drive.open_nodes == ["m1#1", "m2#1"]


def test_a_message_without_a_correlation_value_is_an_incident() -> None:
    drive = Drive(TWO_WAITS)
    assert [i.node for i in drive.step.incidents] == ["m1#1", "m2#1"]
    assert "correlation key" in drive.step.incidents[0].message


def test_a_receive_task_waits_for_its_message_and_merges_its_variables() -> None:
    drive = Drive(
        draw(
            start(),
            node("receiveTask", "r", messageRef="m_paid"),
            boundary("late", "r", timer("timeDuration", "PT1H")),
            end(),
            end("e2"),
            chain("s", "r", "e"),
            chain("late", "e2"),
            declare=[declared_message("paid", "=id")],
        ),
        id=7,
    )
    assert [(w.kind, w.correlation) for w in drive.step.waits] == [(WaitKind.MESSAGE, "7"), (WaitKind.TIMER, "")]
    assert drive.message("r#1", "paid", typename="UUID").variables == {"id": 7, "typename": "UUID"}
    assert drive.taken == ["s_r", "r_e"]


RACE = draw(
    start(),
    gateway("eventBased", "g"),
    catch("m", message("paid")),
    catch("t", timer("timeDuration", "PT1H")),
    end("e1"),
    end("e2"),
    chain("s", "g", "m", "e1"),
    chain("g", "t", "e2"),
    declare=[declared_message("paid", "=id")],
)


def test_behind_an_event_based_gateway_the_first_event_wins_and_closes_the_other() -> None:
    drive = Drive(RACE, id="x")
    assert drive.open_nodes == ["m#1", "t#1"]
    assert drive.taken == ["s_g"]
    assert drive.message("m#1", "paid").status is InstanceStatus.COMPLETED
    assert drive.taken == ["s_g", "g_m", "m_e1"]
    assert drive.nodes(JournalKind.CANCELED) == ["t#1"]


def test_behind_an_event_based_gateway_the_timer_wins_when_it_is_due() -> None:
    drive = Drive(RACE, id="x")
    drive.after(hours=1)
    assert drive.taken == ["s_g", "g_t", "t_e2"]
    assert [e.kind for e in drive.message("m#1", "paid").journal] == [JournalKind.STALE]


def bordered(event: str, interrupting: str = "false", declare: str = "") -> bytes:
    return draw(
        start(),
        user("u"),
        boundary("b", "u", event, interrupting=interrupting),
        service("x"),
        end(),
        end("e2"),
        chain("s", "u", "e"),
        chain("b", "x", "e2"),
        declare=[declare] if declare else [],
    )


def test_a_non_interrupting_message_fires_every_time() -> None:
    drive = Drive(bordered(message("note"), declare=declared_message("note", "=id")), id="x")
    for n in (1, 2, 3):
        step = drive.message("b#1", "note", n=n)
        assert len(step.calls) == n
        assert drive.open_nodes[:2] == ["u#1", "b#1"]
    drive.decide("u#1", "approve")
    assert drive.open_nodes == ["x#1", "x#2", "x#3"]
    for n in (1, 2, 3):
        drive.result(f"x#{n}")
    assert drive.step.status is InstanceStatus.COMPLETED


def test_an_interrupting_message_closes_the_task() -> None:
    drive = Drive(bordered(message("note"), "true", declared_message("note", "=id")), id="x")
    step = drive.message("b#1", "note", n=1)
    assert (step.tasks, drive.open_nodes) == ((), ["x#1"])
    assert [e.kind for e in drive.decide("u#1", "approve").journal] == [JournalKind.STALE]


def test_a_non_interrupting_timer_fires_once() -> None:
    drive = Drive(bordered(timer("timeDuration", "PT1M")))
    drive.after(minutes=1)
    assert drive.open_nodes == ["u#1", "x#1"]
    assert len(drive.after(hours=5).calls) == 1


def test_a_cycle_fires_as_often_as_it_says() -> None:
    drive = Drive(bordered(timer("timeCycle", "R2/PT1M")))
    drive.after(minutes=1)
    assert [w.due_at for w in drive.step.waits if w.kind is WaitKind.TIMER] == [START + timedelta(minutes=2)]
    drive.after(minutes=1)
    assert [call.node for call in drive.step.calls] == ["x#1", "x#2"]
    assert drive.step.due_at is None


def test_missed_rounds_of_a_cycle_are_folded_into_one() -> None:
    drive = Drive(bordered(timer("timeCycle", "R/PT1S")))
    step = drive.after(hours=10)
    assert len(step.calls) == 1
    assert step.due_at == drive.now + timedelta(seconds=1)


def test_a_cycle_with_a_date_fires_at_it_first() -> None:
    drive = Drive(bordered(timer("timeCycle", "R2/2026-03-01T15:00:00+01:00/PT5M")))
    first = START + timedelta(hours=2)
    assert drive.step.due_at == first
    assert drive.after(hours=1, minutes=59).calls == ()
    step = drive.after(minutes=1)
    assert ([call.node for call in step.calls], step.due_at) == (["x#1"], first + timedelta(minutes=5))
    step = drive.after(minutes=5)
    assert ([call.node for call in step.calls], step.due_at) == (["x#1", "x#2"], None)


def test_a_cycle_whose_date_has_passed_fires_at_once_for_all_that_was_missed() -> None:
    step = Drive(bordered(timer("timeCycle", "R/2020-01-01T09:00:00Z/P1D"))).step
    assert ([call.node for call in step.calls], step.due_at) == (["x#1"], START + timedelta(days=1))


def test_a_task_that_is_done_takes_its_timers_with_it() -> None:
    drive = Drive(bordered(timer("timeCycle", "R/PT1M")))
    assert drive.decide("u#1", "approve").status is InstanceStatus.COMPLETED


def test_terminate_ends_everything_in_its_scope_and_nothing_outside() -> None:
    drive = Drive(
        draw(
            start(),
            sub(
                "sp",
                start("s2"),
                gateway("parallel", "fork"),
                user("u2"),
                script("y", "=1", "y"),
                end_with("stop", TERMINATE),
                end("e2"),
                chain("s2", "fork", "u2", "e2"),
                chain("fork", "y", "stop"),
            ),
            user("u"),
            end(),
            chain("s", "sp", "u", "e"),
        )
    )
    assert drive.open_nodes == ["u#1"]
    assert drive.step.variables == {"y": 1}
    assert drive.nodes(JournalKind.CANCELED) == ["u2#1"]


def test_terminate_at_the_top_completes_the_instance() -> None:
    drive = Drive(
        draw(
            start(),
            gateway("parallel", "fork"),
            service("a"),
            service("b"),
            end(),
            end_with("stop", TERMINATE),
            chain("s", "fork", "a", "e"),
            chain("fork", "b", "stop"),
        )
    )
    step = drive.result("b#1", x=1)
    assert (step.status, step.variables) == (InstanceStatus.COMPLETED, {"x": 1})
    assert step.journal[-1].facts == {"outcome": "completed"}


def test_messages_are_thrown_with_their_key_and_their_inputs() -> None:
    drive = Drive(
        draw(
            start(),
            throw("t", message("paid"), inputs={"ref": "=id"}),
            node("sendTask", "send", messageRef="m_paid"),
            end_with("e", message("paid"), inputs={"done": "=true"}),
            chain("s", "t", "send", "e"),
            declare=[declared_message("paid", "=id")],
        ),
        id="pay_1",
    )
    assert drive.step.thrown == (
        Thrown("paid", "pay_1", {"ref": "pay_1"}, "t#1"),
        Thrown("paid", "pay_1", {}, "send#1"),
        Thrown("paid", "pay_1", {"done": True}, "e#1"),
    )
    assert drive.advance().thrown == ()


def test_what_sluice_itself_sends_is_not_sent_by_a_diagram() -> None:
    drawn = draw(
        start(), throw("t", message("m")), end(), chain("s", "t", "e"), declare=[declared_message("m", "=payment")]
    )
    forged = drawn.replace(b'name="m"', b'name="=named"')
    drive = Drive(forged, named="capture.requested", payment="pay_1")
    assert (drive.step.thrown, drive.step.incidents[0].kind) == ((), "expression")
    assert drive.retry("t#1", {"named": "order.placed"}).status is InstanceStatus.COMPLETED


def test_a_send_task_with_an_operation_asks_for_a_call() -> None:
    task = '<zeebe:taskDefinition type="notify.customer"/>'
    drive = Drive(draw(start(), node("sendTask", "send", "", task), end(), chain("s", "send", "e")))
    assert [call.operation for call in drive.step.calls] == ["notify.customer"]
    assert drive.result("send#1").status is InstanceStatus.COMPLETED


def failing(*after: str, code: str = "DECLINED") -> bytes:
    return draw(
        start(),
        sub(
            "sp",
            start("s2"),
            script("y", "=1", "inner"),
            end_with("bad", error("DECLINED"), inputs={"reason": '="nsf"'}),
            chain("s2", "y", "bad"),
        ),
        service("notify"),
        end(),
        chain("s", "sp", "notify", "e"),
        *after,
        declare=[declared_error("DECLINED"), declared_error("OTHER")],
    )


def test_an_error_end_event_is_caught_at_its_sub_process() -> None:
    drive = Drive(failing(boundary("b", "sp", error("DECLINED")), end("e2"), chain("b", "e2")))
    assert drive.taken == ["s_sp", "s2_y", "y_bad", "b_e2"]
    assert drive.step.variables == {"error": {"code": "DECLINED", "message": "Error DECLINED", "reason": "nsf"}}
    assert drive.step.status is InstanceStatus.COMPLETED


def test_an_uncaught_error_in_a_sub_process_never_takes_the_normal_path() -> None:
    drive = Drive(failing(boundary("b", "sp", error("OTHER")), end("e2"), chain("b", "e2")))
    assert drive.step.status is InstanceStatus.INCIDENT
    assert [(i.node, i.kind) for i in drive.step.incidents] == [("bad#1", "uncaught_error")]
    assert drive.step.calls == ()
    assert drive.retry("bad#1").incidents[0].kind == "uncaught_error"


def escalating(interrupting: str, *, ends: bool) -> bytes:
    event = end_with("up", escalation("HELP")) if ends else throw("up", escalation("HELP"))
    return draw(
        start(),
        sub(
            "sp",
            start("s2"),
            event,
            "" if ends else service("more") + end("e3") + chain("up", "more", "e3"),
            chain("s2", "up"),
        ),
        boundary("b", "sp", escalation("HELP"), interrupting=interrupting),
        user("u"),
        end(),
        end("e2"),
        chain("s", "sp", "e"),
        chain("b", "u", "e2"),
        declare=[declared_escalation("HELP")],
    )


@pytest.mark.parametrize(
    ("interrupting", "ends", "open_nodes", "taken"),
    [
        ("false", False, ["more#1", "u#1"], False),
        ("true", False, ["u#1"], False),
        ("false", True, ["u#1"], True),
        ("true", True, ["u#1"], False),
    ],
)
def test_an_escalation_may_interrupt_or_not(interrupting: str, ends: bool, open_nodes: list[str], taken: bool) -> None:
    drive = Drive(escalating(interrupting, ends=ends))
    assert sorted(drive.open_nodes) == open_nodes
    assert ("sp_e" in drive.taken) is taken


def test_an_escalation_that_nobody_catches_just_goes_on() -> None:
    drive = Drive(
        draw(
            start(),
            throw("up", escalation("HELP")),
            end(),
            chain("s", "up", "e"),
            declare=[declared_escalation("HELP")],
        )
    )
    assert drive.step.status is InstanceStatus.COMPLETED


def test_canceling_ends_everything_at_once() -> None:
    drive = Drive(bordered(timer("timeDuration", "PT1M")))
    step = drive.cancel("duplicate")
    assert (step.status, step.waits, step.tasks) == (InstanceStatus.CANCELED, (), ())
    assert drive.nodes(JournalKind.CANCELED) == ["u#1"]
    assert step.journal[-1].facts == {"outcome": "canceled", "reason": "duplicate"}
    assert [e.kind for e in drive.advance(Item(ItemKind.CANCEL)).journal] == [JournalKind.STALE]
    assert drive.after(hours=1).journal == ()


def test_an_event_without_a_trigger_is_just_passed() -> None:
    drive = Drive(draw(start(), throw("t", ""), end(), chain("s", "t", "e")))
    assert drive.step.status is InstanceStatus.COMPLETED
    assert drive.nodes(JournalKind.LEFT) == ["s#1", "t#1", "e#1"]
