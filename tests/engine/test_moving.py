"""Moving an instance to another version: what keeps its place, what waits on, what begins and ends with the new one."""

import random
from datetime import timedelta

import pytest

from app.engine.moving import Moved, undoing
from app.engine.step import InstanceStatus, JournalKind, WaitKind
from tests.engine.diagrams import (
    boundary,
    call,
    catch,
    chain,
    declared_message,
    draw,
    end,
    gateway,
    many,
    message,
    script,
    service,
    start,
    sub,
    timer,
    user,
)
from tests.engine.drive import START
from tests.engine.move import Movable, again
from tests.engine.test_walks import DIAGRAMS, one_step

WAIT = draw(start(), user("u"), script("last", "=1", "done"), end(), chain("s", "u", "last", "e"))
#: Of the walks those that rest at something else than a call from the beginning.
WAITING = ("race", "two waits", "cycle", "notes")
PARENT = draw(start(), call("c", "child"), end(), chain("s", "c", "e"))


def timed(value: str, kind: str = "timeDuration", name: str = "t") -> bytes:
    return draw(start(), catch(name, timer(kind, value)), end(), chain("s", name, "e"))


def bordered(*drawn: str, host: str = "") -> bytes:
    ways = [(name, f"end_{name}") for name in ("late", "early") if any(f'id="{name}"' in part for part in drawn)]
    ends = "".join(end(after) + chain(name, after) for name, after in ways)
    return draw(start(), host or user("u"), *drawn, ends, end(), chain("s", "u", "e"))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", DIAGRAMS)
def test_an_instance_moved_to_a_copy_at_every_step_behaves_as_if_nothing_had_happened(name: str, seed: int) -> None:
    diagrams = DIAGRAMS[name]
    versions = [diagrams, tuple(again(xml) for xml in diagrams)]
    variables = {"items": [1, 2, 3], "id": "x", "payment_id": "p", "x": 2, "m": 1}
    straight, moved = Movable(*diagrams, **variables), Movable(*diagrams, **variables)
    chances = random.Random(f"{name}{seed}"), random.Random(f"{name}{seed}")
    moves = 0
    for number in range(40):
        if straight.step.status.ended:
            break
        found = moved.try_move(*versions[1 - number % 2])
        if isinstance(found, Moved):
            moves += 1
            assert found.step.waits == straight.step.waits
            assert all(before == after for before, after in found.nodes.items())
        else:
            assert {one.code for one in found} <= {"call_under_way"}
        for chance, drive in zip(chances, (straight, moved), strict=True):
            one_step(chance, drive)
        assert moved.step == straight.step
        assert moved.state == straight.state
    assert [e for e in moved.journal if e.kind is not JournalKind.MIGRATED] == straight.journal
    assert moves == len(moved.journal) - len(straight.journal)
    assert moves or name not in WAITING


def test_a_task_inserted_behind_the_wait_is_run() -> None:
    drive = Movable(WAIT)
    inserted = draw(
        start(),
        user("u"),
        service("notify", "notify"),
        script("last", "=1", "done"),
        end(),
        chain("s", "u", "notify", "last", "e"),
    )
    drive.move(inserted)
    assert drive.decide("u#1", "approve").calls[0].operation == "notify"
    assert drive.result("notify#1").status is InstanceStatus.COMPLETED
    assert drive.step.variables["done"] == 1


def test_a_renamed_task_keeps_what_it_was_asked_with_and_the_journal_says_so() -> None:
    drive = Movable(draw(start(), user("u", inputs={"amount": "=amount"}), end(), chain("s", "u", "e")), amount=5)
    before = drive.step.tasks[0]
    moved = drive.move(draw(start(), user("check"), end(), chain("s", "check", "e")), u="check")
    (task,) = drive.step.tasks
    assert (task.node, task.element, task.facts) == ("check#1", "check", before.facts)
    assert moved.nodes == {"u#1": "check#1"}
    entry, left, entered = moved.step.journal
    assert (entry.kind, entry.actor, entry.facts) == (JournalKind.MIGRATED, "usr_op", {"nodes": {"u#1": "check#1"}})
    assert (left.kind, left.node, left.facts) == (JournalKind.LEFT, "u#1", {"moved_to": "check#1"})
    assert (entered.kind, entered.node, entered.facts) == (JournalKind.ENTERED, "check#1", {"moved_from": "u#1"})
    assert drive.decide("check#1", "approve").status is InstanceStatus.COMPLETED


def test_a_number_that_was_used_is_never_given_again() -> None:
    drive = Movable(draw(start(), user("v"), user("u"), end(), chain("s", "v", "u", "e")))
    drive.decide("v#1", "on")
    moved = drive.move(draw(start(), user("v"), end(), chain("s", "v", "e")), u="v")
    assert moved.nodes == {"u#1": "v#2"}


def test_a_timer_that_is_drawn_as_before_keeps_its_due_time() -> None:
    drive = Movable(timed("=wait"), wait="PT1H")
    drive.after(minutes=30)
    drive.move(again(timed("=wait")))
    assert drive.step.due_at == START + timedelta(hours=1)


@pytest.mark.parametrize(
    ("value", "kind", "due"),
    [
        ("PT2H", "timeDuration", timedelta(hours=2)),
        ("PT45M", "timeDuration", timedelta(minutes=45)),
        ("=now() + duration(&quot;P1D&quot;)", "timeDate", timedelta(days=1)),
    ],
)
def test_a_changed_timer_counts_from_when_it_began(value: str, kind: str, due: timedelta) -> None:
    drive = Movable(timed("PT1H"))
    drive.after(minutes=30)
    moved = drive.move(timed(value.replace("&quot;", '"'), kind))
    assert drive.step.due_at == START + due
    assert moved.step.journal[0].facts["timers"]["t#1"] == [
        (START + timedelta(hours=1)).isoformat(),
        (START + due).isoformat(),
    ]


def test_a_timer_made_shorter_than_what_has_passed_fires_at_once() -> None:
    drive = Movable(timed("PT1H"))
    drive.after(minutes=30)
    drive.move(timed("PT10M"))
    assert drive.advance().status is InstanceStatus.COMPLETED


def test_a_timer_changed_twice_still_counts_from_its_beginning() -> None:
    drive = Movable(timed("PT1H"))
    drive.after(minutes=10)
    drive.move(timed("PT2H"))
    drive.after(minutes=10)
    drive.move(timed("PT3H", name="later"), t="later")
    assert drive.step.due_at == START + timedelta(hours=3)


def test_rounds_that_a_cycle_has_had_count_in_the_changed_one() -> None:
    def cycle(text: str) -> bytes:
        return bordered(boundary("late", "u", timer("timeCycle", text), interrupting="false"))

    drive = Movable(cycle("R3/PT1H"))
    drive.after(hours=1)
    drive.move(cycle("R2/PT2H"))
    assert drive.step.due_at == START + timedelta(hours=3)
    drive.after(hours=2)
    assert drive.step.due_at is None, "both rounds are over"


def test_a_cycle_with_fewer_rounds_than_it_had_is_over() -> None:
    def cycle(text: str) -> bytes:
        return bordered(boundary("late", "u", timer("timeCycle", text), interrupting="false"))

    drive = Movable(cycle("R3/PT1H"))
    drive.after(hours=1)
    moved = drive.move(cycle("R1/PT1H"))
    assert drive.step.due_at is None
    assert moved.step.journal[0].facts["closed"] == ["late#1"]


def test_a_boundary_event_that_is_new_begins_to_wait_and_one_that_is_gone_stops() -> None:
    drive = Movable(bordered(boundary("late", "u", timer("timeDuration", "PT1H"))))
    drive.after(minutes=30)
    moved = drive.move(bordered(boundary("early", "u", timer("timeDuration", "PT20M"))))
    assert drive.step.due_at == START + timedelta(minutes=50)
    facts = moved.step.journal[0].facts
    assert (facts["armed"], facts["closed"]) == (["early#1"], ["late#1"])
    drive.after(minutes=20)
    assert drive.step.status is InstanceStatus.COMPLETED
    assert "early_end_early" in drive.taken


def test_a_boundary_event_that_has_fired_is_not_armed_again() -> None:
    once = bordered(boundary("late", "u", timer("timeDuration", "PT1H"), interrupting="false"))
    drive = Movable(once)
    drive.after(hours=2)
    moved = drive.move(again(once))
    assert "armed" not in moved.step.journal[0].facts
    assert drive.open_nodes == ["u#1"]


def test_the_border_of_a_renamed_activity_goes_with_it() -> None:
    drive = Movable(bordered(boundary("late", "u", timer("timeDuration", "PT1H"))))
    renamed = draw(
        start(),
        user("v"),
        boundary("late", "v", timer("timeDuration", "PT1H")),
        end("end_late"),
        end(),
        chain("s", "v", "e"),
        chain("late", "end_late"),
    )
    drive.move(renamed, u="v")
    assert drive.open_nodes == ["v#1", "late#1"]
    assert drive.after(hours=1).status is InstanceStatus.COMPLETED
    assert "v#1" in drive.nodes(JournalKind.CANCELED)


def test_a_subscription_that_is_drawn_differently_is_made_again() -> None:
    def waiting(name: str, key: str) -> bytes:
        declared = [declared_message(name, key)]
        return draw(start(), catch("m", message(name)), end(), chain("s", "m", "e"), declare=declared)

    drive = Movable(waiting("paid", "=order"), order="o1", customer="c1")
    drive.move(waiting("paid", "=customer"))
    (wait,) = drive.step.waits
    assert (wait.kind, wait.message, wait.correlation) == (WaitKind.MESSAGE, "paid", "c1")
    drive.move(waiting("settled", "=customer"))
    assert drive.message("m#1", "settled").status is InstanceStatus.COMPLETED


def test_what_a_sub_process_and_a_called_process_hold_goes_with_them() -> None:
    child = draw(
        start(),
        sub("inside", start("s2"), user("u"), end("e2"), chain("s2", "u", "e2")),
        end(),
        chain("s", "inside", "e"),
        process="child",
    )
    after = draw(
        start(),
        sub("inside", start("s2"), user("v"), script("x", "=7", "seven"), end("e2"), chain("s2", "v", "x", "e2")),
        end(),
        chain("s", "inside", "e"),
        process="child",
    )
    drive = Movable(PARENT.replace(b'"false"', b'"true"'), child)
    drive.move(PARENT.replace(b'"false"', b'"true"'), after, u="v")
    assert drive.open_nodes == ["c#1/v#1"]
    assert drive.decide("c#1/v#1", "approve").variables["seven"] == 7


def test_instances_of_many_keep_their_items_and_what_was_collected() -> None:
    def drawn(identity: str) -> bytes:
        loop = many("=items", "item", "=decision + item", "all")
        task = user(identity).replace("</bpmn:userTask>", f"{loop}</bpmn:userTask>")
        return draw(start(), task, end(), chain("s", identity, "e"))

    drive = Movable(drawn("u"), items=["a", "b"])
    drive.decide("u#2", "x")
    drive.move(drawn("v"), u="v")
    (node_,) = [wait.node for wait in drive.step.waits]
    assert drive.decide(node_, "y").variables["all"] == ["xa", "yb"]


def race(*names: str) -> bytes:
    events = [catch(name, timer("timeDuration", f"PT{hours}H")) for hours, name in enumerate(names, 1)]
    ways = [chain("g", name, "e") for name in names]
    return draw(start(), gateway("eventBased", "g"), *events, end(), chain("s", "g"), *ways)


def test_events_behind_a_gateway_are_opened_and_closed_with_the_new_version() -> None:
    drive = Movable(race("one", "two"))
    moved = drive.move(race("one", "three", "four"))
    facts = moved.step.journal[0].facts
    assert (facts["armed"], facts["closed"]) == (["three#1", "four#1"], ["two#1"])
    step = drive.after(hours=1)
    assert step.status is InstanceStatus.COMPLETED
    assert "g_one" in drive.taken
    assert drive.nodes(JournalKind.CANCELED) == ["two#1", "three#1", "four#1"]


def test_a_wait_that_stood_alone_races_with_what_the_new_version_puts_beside_it() -> None:
    def drawn(*parts: str) -> bytes:
        news, ends = catch("news", message("news")), end() + end("expired")
        return draw(start(), news, *parts, ends, chain("news", "e"), declare=[declared_message("news", "=id")])

    limit = gateway("eventBased", "g") + catch("late", timer("timeDuration", "PT1H")) + chain("g", "late", "expired")
    drive = Movable(drawn(chain("s", "news")), id="x")
    assert drive.move(drawn(limit, chain("s", "g", "news"))).step.due_at == START + timedelta(hours=1)
    drive.after(hours=1)
    assert drive.step.status is InstanceStatus.COMPLETED
    assert drive.taken[-2:] == ["g_late", "late_expired"]


def test_taking_a_move_back_is_told_by_the_journal_as_well() -> None:
    moved = Movable(race("one", "two")).move(race("uno", "three"), one="uno")
    told = [(entry.kind, entry.node) for entry in undoing(moved.step.journal[1:])]
    left, entered, canceled = JournalKind.LEFT, JournalKind.ENTERED, JournalKind.CANCELED
    assert told == [(left, "uno#1"), (canceled, "three#1"), (entered, "one#1"), (entered, "two#1")]


def test_a_join_goes_on_waiting_for_the_branch_that_got_longer() -> None:
    def forked(*long: str) -> bytes:
        return draw(
            start(),
            gateway("parallel", "fork"),
            user("a"),
            user("b"),
            *(user(name) for name in long),
            gateway("parallel", "join"),
            end(),
            chain("s", "fork", "a", "join", "e"),
            chain("fork", "b", *long, "join"),
        )

    drive = Movable(forked())
    drive.decide("a#1", "on")
    drive.move(forked("c"))
    drive.decide("b#1", "on")
    assert drive.decide("c#1", "on").status is InstanceStatus.COMPLETED


def test_an_incident_moves_and_is_repaired_in_the_new_version() -> None:
    heavy = "=count(for i in 1..size return i)"
    drive = Movable(draw(start(), script("x", heavy, "n"), end(), chain("s", "x", "e")), size=10**7)
    drive.move(draw(start(), script("x", "=size", "n"), end(), chain("s", "x", "e")))
    assert drive.step.incidents[0].node == "x#1"
    assert drive.retry("x#1").variables["n"] == 10**7
