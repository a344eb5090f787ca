"""What is not moved: wherever an instance would lose its meaning it stays, and says why."""

from app.engine.moving import Moved
from tests.engine.diagrams import (
    boundary,
    call,
    catch,
    chain,
    declared_message,
    draw,
    end,
    flow,
    gateway,
    many,
    message,
    node,
    script,
    service,
    start,
    sub,
    timer,
    user,
)
from tests.engine.move import Movable, again

CHILD = draw(start(), user("u"), end(), chain("s", "u", "e"), process="child")
OTHER = draw(start(), user("u"), end(), chain("s", "u", "e"), process="other")


def single(part: str, name: str = "u") -> bytes:
    return draw(
        start(), part, end(), chain("s", name, "e"), declare=[declared_message("m", "=id")] if "m_m" in part else ()
    )


def test_an_element_without_a_counterpart_is_named() -> None:
    drive = Movable(single(user("u")))
    assert drive.refused(single(user("v"), "v")) == [("no_counterpart", "u")]


def test_a_call_under_way_is_never_touched() -> None:
    drive = Movable(single(service("u")))
    assert drive.refused(again(single(service("u")))) == [("call_under_way", "u")]


def test_another_kind_of_element_or_event_does_not_take_the_place() -> None:
    drive = Movable(single(user("u")))
    assert drive.refused(single(service("u"))) == [("kind_differs", "u")]
    drive = Movable(single(catch("u", timer("timeDuration", "PT1H"))), id="x")
    assert drive.refused(single(catch("u", message("m")))) == [("kind_differs", "u")]


def test_an_element_of_another_sub_process_is_another_scope() -> None:
    inside = sub("sp", start("s2"), user("u"), end("e2"), chain("s2", "u", "e2"))
    drive = Movable(single(user("u")))
    assert drive.refused(single(inside, "sp")) == [("scope_differs", "u")]
    drive = Movable(single(inside, "sp"))
    assert drive.refused(single(user("u"))) == [("no_counterpart", "sp")]


def test_a_call_activity_goes_on_only_with_the_process_it_has_begun() -> None:
    drive = Movable(single(call("u", "child")), CHILD)
    assert drive.refused(single(call("u", "other")), OTHER, CHILD) == [("called_process_differs", "u")]


def test_processes_of_different_times_do_not_come_to_call_each_other_in_a_circle() -> None:
    around = draw(start(), user("u"), call("c", "child"), end(), chain("s", "u", "c", "e"))
    back = draw(start(), user("u"), call("d", "p"), end(), chain("s", "u", "d", "e"), process="child")
    assert Movable(around, CHILD).refused(around, back) == [("call_cycle", "")]


def test_a_loop_is_moved_to_a_loop_of_its_own_kind() -> None:
    def loop(sequential: str) -> bytes:
        drawn = many("=items", "item", sequential=sequential)
        return single(user("u").replace("</bpmn:userTask>", f"{drawn}</bpmn:userTask>"))

    drive = Movable(loop("false"), items=[1])
    assert set(drive.refused(loop("true"))) == {("loop_differs", "u")}
    assert set(drive.refused(single(user("u")))) == {("loop_differs", "u")}


def test_what_a_timer_or_a_message_waits_for_must_be_known() -> None:
    drive = Movable(single(catch("u", timer("timeDuration", "PT1H"))))
    assert drive.refused(single(catch("u", timer("timeDuration", "=patience")))) == [("cannot_wait", "u")]
    drive = Movable(single(catch("u", message("m"))), id="x")
    by_other = single(catch("u", message("m"))).replace(b'"=id"', b'"=customer"')
    assert drive.refused(by_other) == [("cannot_wait", "u")]


def test_a_new_boundary_event_that_cannot_begin_to_wait_keeps_the_instance_where_it_is() -> None:
    late = [boundary("late", "u", timer("timeDuration", "=patience")), end("e2"), chain("late", "e2")]
    drive = Movable(single(user("u")))
    assert drive.refused(draw(start(), user("u"), *late, end(), chain("s", "u", "e"))) == [("cannot_wait", "u")]


def test_a_failed_call_that_may_have_taken_effect_keeps_its_name_and_operation() -> None:
    drive = Movable(single(service("u")))
    drive.failed("u#1")
    assert drive.refused(single(service("v"), "v"), u="v") == [("incident_cannot_move", "u")]
    assert drive.refused(single(service("u", "other"))) == [("incident_cannot_move", "u")]
    assert isinstance(drive.try_move(again(single(service("u")))), Moved)
    assert drive.retry("u#1").calls[0].node == "u#1"


def test_a_failed_call_inside_a_renamed_call_activity_would_get_another_key() -> None:
    child = draw(start(), service("a"), end(), chain("s", "a", "e"), process="child")
    drive = Movable(single(call("u", "child")), child)
    drive.failed("u#1/a#1")
    assert drive.refused(single(call("v", "child"), "v"), child, u="v") == [("incident_cannot_move", "a")]


def forked(*extra: str) -> bytes:
    return draw(
        start(),
        gateway("parallel", "fork"),
        user("a"),
        user("b"),
        *(user(name) for name in extra),
        gateway("parallel", "join"),
        end(),
        chain("s", "fork", "a", "join", "e"),
        chain("fork", "b", "join"),
        *(chain("fork", name, "join") for name in extra),
    )


def test_a_join_must_not_wait_for_a_branch_that_never_began() -> None:
    drive = Movable(forked())
    drive.decide("a#1", "on")
    assert isinstance(drive.try_move(again(forked())), Moved)
    drive.decide("b#1", "on")
    drive = Movable(forked("c"))
    drive.decide("a#1", "on")
    gone = draw(
        start(),
        gateway("parallel", "fork"),
        user("b"),
        user("c"),
        gateway("parallel", "join"),
        end(),
        chain("s", "fork", "b", "join", "e"),
        chain("fork", "c", "join"),
    )
    assert drive.refused(gone) == [("join_differs", "join")]


def test_a_join_is_not_left_behind_with_a_flow_nobody_can_take() -> None:
    drive = Movable(forked())
    drive.decide("a#1", "on")
    past = draw(
        start(),
        gateway("parallel", "fork"),
        user("a"),
        user("c"),
        user("b"),
        gateway("parallel", "join"),
        end(),
        chain("s", "fork", "a", "join", "b", "e"),
        chain("fork", "c", "join"),
    )
    assert drive.refused(past) == [("join_differs", "join")]


def gathered(*tasks: str, behind: str = "u") -> str:
    """Parallel tasks that meet at `join`."""
    ways = "".join(flow("fork", name) + flow(name, "join") for name in tasks)
    drawn = "".join(user(name) for name in tasks)
    return gateway("parallel", "fork") + drawn + ways + gateway("parallel", "join") + chain("join", behind)


def test_two_branches_that_have_arrived_do_not_become_one() -> None:
    drive = Movable(draw(start(), gathered("a", "b", "c"), user("u"), end(), chain("s", "fork"), chain("u", "e")))
    drive.decide("a#1", "approve")
    drive.decide("b#1", "approve")
    fewer = draw(start(), gathered("a", "c"), user("u"), end(), chain("s", "fork"), chain("u", "e"))
    assert drive.refused(fewer, b="a") == [("join_differs", "join")]


def test_elements_that_are_waited_at_beside_each_other_do_not_become_one() -> None:
    names, flows = "abcd", [("a", "j"), ("b", "j"), ("c", "k"), ("d", "k")]
    fork = gateway("parallel", "f") + "".join(user(name) + flow("f", name) for name in names)
    ends = gateway("parallel", "j") + end() + chain("s", "f") + chain("j", "e")
    apart = draw(
        start(), fork, ends, gateway("parallel", "k"), end("e2"), chain("k", "e2"), *(flow(*way) for way in flows)
    )
    together = draw(start(), fork, ends, *(flow(name, "j") for name in names))
    drive = Movable(apart)
    drive.decide("a#1", "approve")
    drive.decide("c#1", "approve")
    assert drive.refused(together, k="j") == [("place_shared", "k")]
    assert drive.refused(apart, b="d") == [("place_shared", "d")]


def test_racing_events_stay_behind_one_gateway() -> None:
    def race(*names: str) -> str:
        events = [catch(name, timer("timeDuration", "PT1H")) for name in names]
        return "".join([*events, *(chain("g", name, "e") for name in names)])

    drive = Movable(draw(start(), gateway("eventBased", "g"), race("a", "b"), end(), chain("s", "g")))
    apart = draw(start(), catch("a", timer("timeDuration", "PT1H")), end(), chain("s", "a", "e"))
    assert drive.refused(apart) == [("race_differs", "a")]


def test_money_that_was_moved_is_not_moved_again_by_the_new_version() -> None:
    before = draw(start(), service("pay", "capture"), user("u"), end(), chain("s", "pay", "u", "e"))
    after = draw(start(), user("u"), service("collect", "capture"), end(), chain("s", "u", "collect", "e"))
    drive = Movable(before)
    drive.result("pay#1")
    found = drive.try_move(after, money=frozenset({"capture"}))
    assert isinstance(found, tuple)
    assert [(one.code, one.element) for one in found] == [("runs_again", "pay")]
    assert "capture" in found[0].message
    assert isinstance(drive.try_move(after), Moved), "an operation that moves no money may be called again"


def test_money_moved_two_versions_ago_is_remembered() -> None:
    money = frozenset({"capture"})
    drive = Movable(draw(start(), service("pay", "capture"), user("u"), end(), chain("s", "pay", "u", "e")))
    drive.result("pay#1")
    assert isinstance(drive.try_move(single(user("u")), money=money), Moved)
    after = draw(start(), user("u"), service("collect", "capture"), end(), chain("s", "u", "collect", "e"))
    found = drive.try_move(after, money=money)
    assert isinstance(found, tuple)
    assert [(one.code, one.element) for one in found] == [("runs_again", "pay")]


def test_branches_that_met_before_money_is_moved_do_not_each_move_it() -> None:
    paying = service("pay", "capture") + end() + chain("pay", "e")
    parallel = draw(start(), gathered("a", "b", behind="pay"), paying, chain("s", "fork"))
    one_by_one = draw(start(), user("a"), user("b"), paying, chain("s", "a", "b", "pay"))
    drive = Movable(parallel)
    found = drive.try_move(one_by_one, money=frozenset({"capture"}))
    assert isinstance(found, tuple)
    assert [(one.code, one.element) for one in found] == [("runs_again", "a")]
    assert "2 of its branches" in found[0].message
    assert isinstance(drive.try_move(again(parallel), money=frozenset({"capture"})), Moved)


def test_of_racing_events_only_one_moves_money() -> None:
    def drawn(*ways: str) -> bytes:
        events = [catch(name, timer("timeDuration", "PT1H")) for name in ("a", "b")]
        race = gateway("eventBased", "g") + "".join(events) + chain("g", "a", "x") + chain("g", "b")
        return draw(start(), race, gateway("exclusive", "x"), service("pay", "capture"), end(), *ways, chain("s", "g"))

    drive = Movable(drawn(chain("x", "pay", "e"), end("e2"), chain("b", "e2")))
    either = drawn(chain("x", "pay", "e"), chain("b", "x"))
    assert isinstance(drive.try_move(either, money=frozenset({"capture"})), Moved)


def test_a_way_that_moved_money_in_a_loop_before_may_go_on_doing_so() -> None:
    loop = draw(
        start(),
        gateway("exclusive", "x"),
        service("pay", "capture"),
        user("u"),
        gateway("exclusive", "again", default="again_e"),
        end(),
        chain("s", "x", "pay", "u", "again", "e"),
        chain("again", "x"),
    )
    drive = Movable(loop)
    drive.result("pay#1")
    assert isinstance(drive.try_move(again(loop), money=frozenset({"capture"})), Moved)


def test_money_moved_in_a_called_process_counts_as_well() -> None:
    paying = draw(start(), service("pay", "capture"), end(), chain("s", "pay", "e"), process="child")
    before = draw(start(), call("c", "child"), user("u"), end(), chain("s", "c", "u", "e"))
    after = draw(start(), user("u"), call("d", "child"), end(), chain("s", "u", "d", "e"))
    drive = Movable(before, paying)
    drive.result("c#1/pay#1")
    found = drive.try_move(after, paying, money=frozenset({"capture"}))
    assert isinstance(found, tuple)
    assert [(one.code, one.element) for one in found] == [("runs_again", "c")]


def test_inside_a_called_process_that_still_runs_only_what_it_did_counts() -> None:
    def child(*order: str) -> bytes:
        parts = {"pay": service("pay", "capture"), "u": user("u"), "x": script("x", "=1", "n")}
        drawn = [parts[name] for name in order]
        return draw(start(), *drawn, end(), chain("s", *order, "e"), process="child")

    around = draw(start(), call("c", "child"), end(), chain("s", "c", "e"))
    drive = Movable(around, child("pay", "u"))
    drive.result("c#1/pay#1")
    found = drive.try_move(around, child("u", "pay"), money=frozenset({"capture"}))
    assert isinstance(found, tuple)
    assert [one.code for one in found] == ["runs_again"]
    drive = Movable(around, child("u", "pay"))
    assert isinstance(drive.try_move(around, child("u", "x", "pay"), money=frozenset({"capture"})), Moved)


def test_money_a_called_process_has_not_moved_yet_may_be_moved_by_the_new_version() -> None:
    either = draw(
        start(),
        gateway("exclusive", "x", default="x_u"),
        service("pay", "capture"),
        user("u"),
        end(),
        end("e2"),
        flow("x", "pay", "=false"),
        chain("s", "x", "u", "e"),
        chain("pay", "e2"),
        process="child",
    )
    both = draw(start(), user("u"), service("pay", "capture"), end(), chain("s", "u", "pay", "e"), process="child")
    around = draw(start(), call("c", "child"), end(), chain("s", "c", "e"))
    drive = Movable(around, either)
    assert drive.open_nodes == ["c#1/u#1"]
    assert isinstance(drive.try_move(around, both, money=frozenset({"capture"})), Moved)


def test_every_reason_is_given_at_once() -> None:
    drawn = draw(
        start(),
        gateway("parallel", "fork"),
        user("a"),
        service("b"),
        end(),
        end("e2"),
        chain("s", "fork", "a", "e"),
        chain("fork", "b", "e2"),
    )
    drive = Movable(drawn)
    assert drive.refused(single(node("userTask", "v"), "v")) == [("no_counterpart", "a"), ("no_counterpart", "b")]
