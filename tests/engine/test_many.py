"""Multi-instance: in parallel and one after another, with a collected result, cut short, interrupted."""

import pytest

from app.engine.step import InstanceStatus, JournalKind
from tests.engine.diagrams import (
    boundary,
    call,
    chain,
    draw,
    end,
    error,
    many,
    node,
    script,
    service,
    start,
    timer,
)
from tests.engine.drive import Drive


def repeated(loop: str, **more: object) -> bytes:
    drawn = service("a", inputs={"x": "=item", "n": "=loopCounter"}, inner=loop, **more)  # type: ignore[arg-type]
    return draw(start(), drawn, end(), chain("s", "a", "e"))


PARALLEL = repeated(many("=items", "item", "=r", "results"))


def test_parallel_instances_are_asked_for_all_at_once_and_collected_in_order() -> None:
    drive = Drive(PARALLEL, items=["x", "y", "z"])
    assert [(c.node, c.params) for c in drive.step.calls] == [
        ("a#2", {"x": "x", "n": 1}),
        ("a#3", {"x": "y", "n": 2}),
        ("a#4", {"x": "z", "n": 3}),
    ]
    entered = {e.node: e.facts for e in drive.journal if e.kind is JournalKind.ENTERED}
    assert (entered["a#1"], entered["a#3"]) == ({}, {"body": "a#1", "item": 2})
    for item, value in (("a#4", 3), ("a#2", 1), ("a#3", 2)):
        drive.result(item, r=value)
    assert drive.step.status is InstanceStatus.COMPLETED
    assert drive.step.variables == {"items": ["x", "y", "z"], "results": [1, 2, 3]}


def test_sequential_instances_come_one_after_another() -> None:
    drive = Drive(repeated(many("=items", "item", "=r", "results", sequential="true")), items=["x", "y"])
    assert drive.open_nodes == ["a#2"]
    assert drive.result("a#2", r=1).calls[0].params == {"x": "y", "n": 2}
    assert drive.result("a#3", r=2).variables["results"] == [1, 2]
    assert drive.step.status is InstanceStatus.COMPLETED


@pytest.mark.parametrize("sequential", ["true", "false"])
def test_an_empty_collection_is_passed_at_once(sequential: str) -> None:
    drive = Drive(repeated(many("=items", "item", "=r", "results", sequential=sequential)), items=[])
    assert drive.step.variables == {"items": [], "results": []}
    assert drive.taken == ["s_a", "a_e"]


def test_a_completion_condition_cuts_the_rest_short() -> None:
    drawn = repeated(many("=items", "item", "=r", "results", until="=numberOfCompletedInstances >= 2"))
    drive = Drive(drawn, items=[1, 2, 3])
    drive.result("a#3", r="b")
    drive.result("a#2", r="a")
    assert drive.step.variables["results"] == ["a", "b", None]
    assert drive.nodes(JournalKind.CANCELED) == ["a#4"]
    assert [e.kind for e in drive.result("a#4", r="c").journal] == [JournalKind.STALE]


def test_without_an_output_collection_results_become_variables() -> None:
    drive = Drive(repeated(many("=items", "item")), items=[1, 2])
    drive.result("a#2", first=1)
    assert drive.result("a#3", second=2).variables == {"items": [1, 2], "first": 1, "second": 2}


@pytest.mark.parametrize("collected", [(), ("=sum", "sums")])
def test_a_result_counts_once_although_it_could_not_be_decided_whether_to_go_on(collected: tuple[str, ...]) -> None:
    loop = many("=items", "item", *collected, until="=count(for i in 1..limit return i) > 9")
    drive = Drive(repeated(loop, outputs={"sum": "=sum + more"}), items=[1, 2], sum=0, limit=9_999_999)
    drive.result("a#2", more=5)
    assert [(i.node, i.kind) for i in drive.step.incidents] == [("a#2", "expression")]
    drive.retry("a#2", {"limit": 1})
    drive.result("a#3", more=2)
    assert drive.step.variables.get("sums", [5, 2]) == [5, 2]
    assert drive.step.variables["sum"] == (0 if collected else 7)


def test_what_is_no_list_is_an_incident_that_shows_as_much_of_it_as_helps() -> None:
    drive = Drive(PARALLEL, items="x" * 100_000)
    assert "a list is needed" in drive.step.incidents[0].message
    assert len(drive.step.incidents[0].message) < 200
    assert drive.retry("a#1", {"items": [1]}).calls[0].params["x"] == 1


def test_more_items_than_fit_into_one_instance_are_an_incident() -> None:
    assert "at most 1000" in Drive(PARALLEL, items=list(range(1001))).step.incidents[0].message


BORDERED = draw(
    start(),
    service("a", inner=many("=items", "item", "=r", "results")),
    boundary("b", "a", error()),
    boundary("t", "a", timer("timeDuration", "PT1H")),
    end(),
    end("e2"),
    end("e3"),
    chain("s", "a", "e"),
    chain("b", "e2"),
    chain("t", "e3"),
)


def test_an_error_in_one_instance_interrupts_them_all() -> None:
    drive = Drive(BORDERED, items=[1, 2, 3])
    step = drive.error("a#3", "NO")
    assert (step.status, drive.taken) == (InstanceStatus.COMPLETED, ["s_a", "b_e2"])
    assert sorted(drive.nodes(JournalKind.CANCELED)) == ["a#1", "a#2", "a#3", "a#4"]


def test_a_timer_at_the_border_counts_once_for_all() -> None:
    drive = Drive(BORDERED, items=[1, 2, 3])
    assert [w.node for w in drive.step.waits if w.due_at] == ["t#1"]
    drive.after(hours=1)
    assert drive.taken == ["s_a", "t_e3"]


def test_a_technical_failure_holds_only_its_own_instance() -> None:
    drive = Drive(PARALLEL, items=[1, 2])
    drive.failed("a#2")
    drive.result("a#3", r=2)
    assert drive.step.status is InstanceStatus.INCIDENT
    drive.retry("a#2")
    assert drive.result("a#2", r=1).variables["results"] == [1, 2]


def test_scripts_run_once_for_each_item() -> None:
    drawn = script("a", "=item * 2", "double", inner=many("=items", "item", "=double", "doubles"))
    drive = Drive(draw(start(), drawn, end(), chain("s", "a", "e")), items=[1, 2, 3])
    assert drive.step.variables == {"items": [1, 2, 3], "doubles": [2, 4, 6]}


def test_sub_processes_run_once_for_each_item() -> None:
    inner = (
        start("s2")
        + service("w", inputs={"x": "=item"}, outputs={"r": "=v + item"})
        + end("e2")
        + chain("s2", "w", "e2")
    )
    drawn = node("subProcess", "sp", many("=items", "item", "=r", "results") + inner)
    drive = Drive(draw(start(), drawn, end(), chain("s", "sp", "e")), items=[1, 2])
    assert [c.params for c in drive.step.calls] == [{"x": 1}, {"x": 2}]
    for item in list(drive.open_nodes):
        drive.result(item, v=10)
    assert drive.step.variables == {"items": [1, 2], "results": [11, 12]}


def test_called_processes_run_once_for_each_item() -> None:
    child = draw(start(), service("w", inputs={"n": "=n"}), end(), chain("s", "w", "e"), process="child")
    called = call("c", "child", inputs={"n": "=item"}, outputs={"r": "=v"}).replace(
        "</bpmn:callActivity>", many("=items", "item", "=r", "results", sequential="true") + "</bpmn:callActivity>"
    )
    drive = Drive(draw(start(), called, end(), chain("s", "c", "e")), child, items=[1, 2])
    assert drive.open_nodes == ["c#2/w#1"]
    drive.result("c#2/w#1", v=10)
    assert drive.result("c#3/w#1", v=20).variables["results"] == [10, 20]


def stacked(items: str, *inside: str, sequential: str = "true") -> bytes:
    """A sub-process once for each item."""
    loop = many(items, "item", "=r", "results", sequential=sequential)
    return draw(start(), node("subProcess", "sp", loop + "".join(inside)), end(), chain("s", "sp", "e"))


@pytest.mark.parametrize("sequential", ["true", "false"])
def test_as_many_items_as_are_allowed_run_in_one_step_with_what_is_inside_them(sequential: str) -> None:
    inside = (start("s2"), script("w", "=item * 2", "r"), end("e2"), chain("s2", "w", "e2"))
    drive = Drive(stacked("=for i in 1..800 return i", *inside, sequential=sequential))
    assert drive.step.status is InstanceStatus.COMPLETED
    assert drive.step.variables["results"] == [2 * number for number in range(1, 801)]


def test_two_multi_instances_after_each_other_run_in_one_step() -> None:
    loop = many("=for i in 1..1000 return i", "item", "=r", "results", sequential="true")
    drawn = script("a", "=item", "r", inner=loop) + script("b", "=item", "r", inner=loop)
    drive = Drive(draw(start(), drawn, end(), chain("s", "a", "b", "e")))
    assert drive.step.status is InstanceStatus.COMPLETED


def test_a_loop_without_a_wait_is_stopped_inside_an_item_around_items_and_through_scopes() -> None:
    gate = node("exclusiveGateway", "g")
    spin = (start("s2"), gate, script("w", "=1", "r"), chain("s2", "g", "w", "g"))
    inside = Drive(stacked("=[1, 2]", *spin)).step
    assert [one.message.partition(" ")[0] for one in inside.incidents] == ["2000"]
    loop = many("=[1]", "item", "=r", "results", sequential="true")
    around = draw(start(), gate, script("a", "=item", "r", inner=loop), chain("s", "g", "a", "g"))
    assert Drive(around).step.incidents[0].kind == "step_limit"
    many_inside = many("=for i in 1..100 return i", "item", "=r", "results", sequential="true")
    through = draw(start(), gate, script("a", "=item", "r", inner=many_inside), chain("s", "g", "a", "g"))
    assert Drive(through).step.incidents[0].message.startswith("40000 elements")
