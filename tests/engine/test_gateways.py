"""Gateways: which flows are taken, and what waits for what."""

import pytest

from app.engine.step import InstanceStatus, JournalKind
from tests.engine.diagrams import boundary, chain, draw, end, flow, gateway, service, start, timer, user
from tests.engine.drive import Drive

CHOICE = [
    start(),
    gateway("exclusive", "g", default="otherwise"),
    end("big"),
    end("small"),
    end("rest"),
    chain("s", "g"),
    flow("g", "big", "=amount > 100"),
    flow("g", "small", "=amount > 10"),
    flow("g", "rest", name="otherwise"),
]


@pytest.mark.parametrize(
    ("amount", "taken"), [(500, "g_big"), (50, "g_small"), (5, "otherwise"), (None, "otherwise"), ("500", "otherwise")]
)
def test_an_exclusive_gateway_takes_the_first_true_flow_else_its_default(amount: object, taken: str) -> None:
    assert Drive(draw(*CHOICE), amount=amount).taken == ["s_g", taken]


@pytest.mark.parametrize("shapes", [{"big": 10, "small": 90}, {"big": 90, "small": 10}])
def test_of_two_true_conditions_the_first_in_the_file_wins_wherever_its_shape_is(shapes: dict[str, int]) -> None:
    assert Drive(draw(*CHOICE, shapes=shapes), amount=500).taken == ["s_g", "g_big"]


def test_a_condition_that_is_not_boolean_does_not_hold() -> None:
    drawn = draw(
        start(), gateway("exclusive", "g", "g_b"), end("a"), end("b"), chain("s", "g", "b"), flow("g", "a", "=1")
    )
    assert Drive(drawn).taken == ["s_g", "g_b"]


def test_no_true_condition_and_no_default_is_an_incident_that_corrected_variables_repair() -> None:
    drawn = draw(
        start(),
        gateway("exclusive", "g"),
        end("a"),
        end("b"),
        chain("s", "g"),
        flow("g", "a", "=x = 1"),
        flow("g", "b", "=x = 2"),
    )
    drive = Drive(drawn, x=3)
    assert drive.step.status is InstanceStatus.INCIDENT
    assert drive.step.incidents[0].kind == "expression"
    assert drive.retry("g#1").status is InstanceStatus.INCIDENT
    assert drive.retry("g#1", {"x": 2}).status is InstanceStatus.COMPLETED
    assert drive.taken == ["s_g", "g_b"]
    assert drive.nodes(JournalKind.ENTERED).count("g#1") == 1


PARALLEL = draw(
    start(),
    gateway("parallel", "fork"),
    service("a"),
    service("b"),
    gateway("parallel", "join"),
    end(),
    chain("s", "fork", "a", "join", "e"),
    chain("fork", "b", "join"),
)


@pytest.mark.parametrize("order", [("a#1", "b#1"), ("b#1", "a#1")])
def test_a_parallel_join_waits_for_both_calls_in_whatever_order_they_answer(order: tuple[str, str]) -> None:
    drive = Drive(PARALLEL, items=[1])
    assert [call.node for call in drive.step.calls] == ["a#1", "b#1"]
    drive.result(order[0], **{order[0][0]: [order[0]]})
    assert drive.step.status is InstanceStatus.RUNNING
    step = drive.result(order[1], **{order[1][0]: [order[1]]})
    assert step.status is InstanceStatus.COMPLETED
    assert step.variables == {"items": [1], "a": ["a#1"], "b": ["b#1"]}
    assert drive.nodes(JournalKind.LEFT).count("join#1") == 1


def test_what_a_branch_did_not_touch_is_not_set_back_by_the_join() -> None:
    drive = Drive(PARALLEL, x=1)
    drive.result("a#1", x=2)
    assert drive.result("b#1", y=3).variables == {"x": 2, "y": 3}


def test_two_tokens_on_one_flow_wait_for_two_rounds_of_the_join() -> None:
    drive = Drive(
        draw(
            start(),
            gateway("parallel", "fork"),
            gateway("exclusive", "merge"),
            service("slow"),
            gateway("parallel", "join"),
            end(),
            chain("s", "fork", "merge", "join", "e"),
            flow("fork", "merge", name="again"),
            chain("fork", "slow", "join"),
        )
    )
    assert [call.node for call in drive.step.calls] == ["slow#1"]
    step = drive.result("slow#1")
    assert step.incidents[0].kind == "deadlock"
    assert drive.taken.count("join_e") == 1
    assert drive.retry(step.incidents[0].node).status is InstanceStatus.COMPLETED
    assert drive.taken.count("join_e") == 2


def test_a_join_behind_an_exclusive_choice_is_an_incident_and_not_a_silent_dead_end() -> None:
    drive = Drive(
        draw(
            start(),
            gateway("exclusive", "g", default="g_b"),
            service("a"),
            service("b"),
            gateway("parallel", "join"),
            end(),
            chain("s", "g"),
            flow("g", "a", "=true"),
            chain("g", "b", "join", "e"),
            chain("a", "join"),
        )
    )
    step = drive.result("a#1")
    assert (step.status, step.incidents[0].kind) == (InstanceStatus.INCIDENT, "deadlock")
    assert drive.retry("join#1").status is InstanceStatus.COMPLETED


def test_parallel_branches_may_meet_again_in_a_loop() -> None:
    drive = Drive(
        draw(
            start(),
            gateway("exclusive", "merge"),
            gateway("parallel", "fork"),
            service("a", outputs={"n": "=n + 1"}),
            service("b", outputs={"ok": "=true"}),
            gateway("parallel", "join"),
            gateway("exclusive", "g", default="g_e"),
            end(),
            chain("s", "merge", "fork", "a", "join", "g", "e"),
            chain("fork", "b", "join"),
            flow("g", "merge", "=n < 3"),
        ),
        n=0,
    )
    for round_ in (1, 2, 3):
        drive.result(f"b#{round_}")
        drive.result(f"a#{round_}")
    assert drive.step.status is InstanceStatus.COMPLETED
    assert drive.step.variables["n"] == 3


INCLUSIVE = draw(
    start(),
    gateway("inclusive", "split", default="split_c"),
    service("a"),
    service("b"),
    service("c"),
    gateway("inclusive", "join"),
    end(),
    chain("s", "split"),
    flow("split", "a", "=x >= 1"),
    flow("split", "b", "=x >= 2"),
    chain("split", "c", "join", "e"),
    chain("a", "join"),
    chain("b", "join"),
)


@pytest.mark.parametrize(("x", "calls"), [(0, ["c#1"]), (1, ["a#1"]), (2, ["a#1", "b#1"])])
def test_an_inclusive_gateway_takes_every_true_flow_and_joins_as_many(x: int, calls: list[str]) -> None:
    drive = Drive(INCLUSIVE, x=x)
    assert [call.node for call in drive.step.calls] == calls
    for node in calls:
        assert drive.step.status is InstanceStatus.RUNNING
        drive.result(node)
    assert drive.step.status is InstanceStatus.COMPLETED
    assert drive.taken.count("join_e") == 1


def test_an_inclusive_join_does_not_wait_for_a_branch_that_was_interrupted() -> None:
    drive = Drive(
        draw(
            start(),
            gateway("inclusive", "split", default="split_b"),
            service("a"),
            boundary("late", "a", timer("timeDuration", "PT1M")),
            user("u"),
            end("e2"),
            service("b"),
            gateway("inclusive", "join"),
            end(),
            chain("s", "split"),
            flow("split", "a", "=true"),
            flow("split", "b", "=true", name="both"),
            flow("split", "b", name="split_b"),
            chain("a", "join", "e"),
            chain("b", "join"),
            chain("late", "u", "e2"),
        )
    )
    drive.result("b#1")
    assert "join_e" not in drive.taken
    drive.after(minutes=1)
    assert "join_e" in drive.taken
    assert drive.open_nodes == ["u#1"]


def test_no_true_condition_at_an_inclusive_gateway_without_default_is_an_incident() -> None:
    drawn = draw(
        start(),
        gateway("inclusive", "g"),
        end("a"),
        end("b"),
        chain("s", "g"),
        flow("g", "a", "=x"),
        flow("g", "b", "=x"),
    )
    assert Drive(drawn).step.incidents[0].node == "g#1"


def test_a_join_that_was_never_passed_is_not_told_as_canceled() -> None:
    drawn = draw(
        start(),
        gateway("parallel", "fork"),
        service("a"),
        service("b"),
        gateway("parallel", "join"),
        end(),
        chain("s", "fork", "a", "join", "e"),
        chain("fork", "b", "join"),
    )
    drive = Drive(drawn)
    drive.result("a#1")
    drive.cancel()
    assert drive.nodes(JournalKind.CANCELED) == ["b#1"]
