"""What SpiffWorkflow does badly by itself, each pinned by a test: an upgrade that changes it is noticed here."""

import builtins
import copy
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from SpiffWorkflow.bpmn.parser import BpmnParser

from app.engine.closed import ClosedScriptEngine, PythonRefused
from app.engine.dialect import parse_diagram
from app.engine.driver import STEP_LIMIT
from app.engine.runner import Run
from app.engine.step import InstanceStatus, Item, ItemKind, JournalEntry, JournalKind
from tests.engine import test_events, test_gateways, test_many, test_scopes
from tests.engine.diagrams import (
    boundary,
    catch,
    chain,
    draw,
    end,
    error,
    flow,
    gateway,
    script,
    service,
    start,
    timer,
    user,
)
from tests.engine.drive import START, Drive, bundle_of


def looping(rounds: int) -> bytes:
    return draw(
        start(),
        gateway("exclusive", "merge"),
        script("count", "=n + 1", "n"),
        gateway("exclusive", "g", default="g_e"),
        end(),
        chain("s", "merge", "count", "g", "e"),
        flow("g", "merge", f"=n < {rounds}"),
    )


def test_a_loop_deeper_than_the_librarys_iterator_ends_where_it_should() -> None:
    drive = Drive(looping(600), n=0)
    assert drive.step.status is InstanceStatus.COMPLETED
    assert drive.step.variables == {"n": 600}
    assert drive.taken[-1] == "g_e"


def test_a_loop_without_end_stops_as_an_incident_and_a_retry_goes_on() -> None:
    drive = Drive(looping(10**6), n=0)
    assert drive.step.status is InstanceStatus.INCIDENT
    assert drive.step.incidents[0].kind == "step_limit"
    reached = drive.step.variables["n"]
    assert 0 < reached < STEP_LIMIT
    step = drive.retry(drive.step.incidents[0].node, {"n": 10**6})
    assert step.status is InstanceStatus.COMPLETED


def test_a_loop_of_timers_that_are_always_due_stops_as_an_incident() -> None:
    drawn = draw(
        start(),
        gateway("exclusive", "m"),
        catch("t", timer("timeDuration", "PT0S")),
        chain("s", "m", "t", "m"),
    )
    assert Drive(drawn).step.incidents[0].kind == "step_limit"


RETRYING = draw(
    start(),
    gateway("exclusive", "again"),
    service("authorize", outputs={"authorization": "=reference"}),
    boundary("unavailable", "authorize", error()),
    catch("wait", timer("timeDuration", "PT30S")),
    end(),
    chain("s", "again", "authorize", "e"),
    chain("unavailable", "wait", "again"),
)


def test_a_thousand_retries_through_a_timer_do_not_make_the_state_grow() -> None:
    bundle = bundle_of(RETRYING)
    run = Run.start(bundle, {"amount": 500})
    now, sizes = START, []
    for n in range(1, 1001):
        step = run.advance([], now)
        assert [call.node for call in step.calls] == [f"authorize#{n}"]
        run.advance([Item(ItemKind.CALL_ERROR, f"authorize#{n}", {"code": "DOWN", "message": "503"})], now)
        state = run.dump()
        sizes.append(len(state))
        run = Run.load(bundle, state)
        now += timedelta(seconds=30)
    run.advance([], now)
    step = run.advance([Item(ItemKind.CALL_RESULT, "authorize#1001", {"reference": "ch_1"})], now)
    assert step.status is InstanceStatus.COMPLETED
    assert step.variables["authorization"] == "ch_1"
    assert max(sizes) - min(sizes) < 32


@pytest.mark.parametrize("key", ["typename", "__builtins__", "__class__", "data_objects", "Start"])
def test_no_name_in_the_data_means_anything_to_the_engine(key: str) -> None:
    drive = Drive(draw(start(), service("a"), user("u"), end(), chain("s", "a", "u", "e")), before={key: "UUID"})
    drive.result("a#1", body={key: {"typename": "UUID", "value": "x"}}, **{key: "UUID"})
    assert drive.step.variables["body"] == {key: {"typename": "UUID", "value": "x"}}
    assert drive.decide("u#1", "approve").variables[key] == "UUID"


def test_decimals_tuples_and_floats_come_in_as_json() -> None:
    drive = Drive(draw(start(), service("a"), end(), chain("s", "a", "e")), d=Decimal("2.50"), t=(1, 2), big=Decimal(7))
    assert drive.step.variables == {"d": 2.5, "t": [1, 2], "big": 7}
    assert type(drive.step.variables["big"]) is int


def test_a_branch_never_sees_another_change_its_values_in_place() -> None:
    drawn = draw(
        start(),
        script("alias", "=a", "b"),
        service("x", inputs={"given": "=b"}, outputs={"a.list": "=changed"}),
        end(),
        chain("s", "alias", "x", "e"),
    )
    drive = Drive(drawn, a={"list": [1]})
    drive.step.calls[0].params["given"]["list"].append(99)
    drive.step.variables["b"]["list"].append(99)
    step = drive.result("x#1", changed=[2])
    assert step.variables == {"a": {"list": [2]}, "b": {"list": [1]}}


def test_variables_given_to_an_instance_stay_the_givers() -> None:
    mine: dict[str, Any] = {"list": [1]}
    run = Run.start(bundle_of(draw(start(), user("u"), end(), chain("s", "u", "e"))), mine)
    mine["list"].append(2)
    assert run.advance([], START).variables == {"list": [1]}


def _shape(spec: Any) -> dict[str, Any]:
    return {name: {k: v for k, v in vars(task).items() if k != "_wf_spec"} for name, task in spec.task_specs.items()}


@pytest.mark.parametrize(
    "drawn",
    [
        test_gateways.PARALLEL,
        test_gateways.INCLUSIVE,
        test_events.RACE,
        test_events.TWO_WAITS,
        test_many.PARALLEL,
        test_many.BORDERED,
        RETRYING,
        test_events.failing(),
    ],
)
def test_running_does_not_change_a_diagram(drawn: bytes) -> None:
    diagram = parse_diagram(drawn)
    specs = [diagram.spec, *diagram.scopes.values()]
    before = [copy.deepcopy({n: {k: repr(v) for k, v in s.items()} for n, s in _shape(spec).items()}) for spec in specs]
    for _ in range(2):
        drive = Drive(drawn, items=[1, 2], id="x", payment_id="p", x=2)
        for node in list(drive.open_nodes):
            drive.result(node, r=1)
            drive.message(node, "paid")
        drive.after(hours=2)
        drive.cancel()
    after = [{n: {k: repr(v) for k, v in s.items()} for n, s in _shape(spec).items()} for spec in specs]
    assert after == before


def test_a_diagram_is_parsed_once_for_the_same_bytes() -> None:
    assert parse_diagram(RETRYING) is parse_diagram(bytes(bytearray(RETRYING)))


def test_the_librarys_class_maps_are_left_alone() -> None:
    before = dict(BpmnParser.PARSER_CLASSES), dict(BpmnParser.OVERRIDE_PARSER_CLASSES)
    parse_diagram(draw(start(), end(), chain("s", "e"), process="fresh"))
    assert before == (BpmnParser.PARSER_CLASSES, BpmnParser.OVERRIDE_PARSER_CLASSES)
    assert not any(cls.__module__.startswith("app.") for pair in before[0].values() for cls in pair)


def test_no_way_leads_to_python_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    diagrams = [test_gateways.INCLUSIVE, test_events.RACE, test_many.PARALLEL, RETRYING, looping(3)]
    bundles = [bundle_of(drawn) for drawn in diagrams]

    def refuse(*_: object) -> None:
        raise AssertionError("Python was evaluated")

    monkeypatch.setattr(builtins, "eval", refuse)
    monkeypatch.setattr(builtins, "exec", refuse)
    for bundle in bundles:
        run = Run.start(bundle, {"items": [1], "id": "x", "x": 1, "n": 0})
        step = run.advance([], START)
        for call in step.calls:
            run.advance([Item(ItemKind.CALL_RESULT, call.node, {"r": 1})], START)
        run.advance([], START + timedelta(days=1))


def test_every_evaluator_of_the_library_raises() -> None:
    engine = ClosedScriptEngine()
    attempts: list[Callable[[], object]] = [
        lambda: engine.evaluate(None, "1"),
        lambda: engine.execute(None, "x = 1"),
        lambda: engine.call_service(None, operation_name="x"),
        lambda: engine.validate("1"),
        lambda: engine.environment.evaluate("1", {}),
        lambda: engine.environment.execute("x = 1", {}),
        lambda: engine.environment.call_service({}, operation_name="x"),
    ]
    for attempt in attempts:
        with pytest.raises(PythonRefused):
            attempt()


def test_python_in_an_expression_is_refused_or_nothing() -> None:
    drawn = draw(start(), script("x", "=__import__", "y"), end(), chain("s", "x", "e"))
    assert Drive(drawn).step.variables == {"y": None}


@pytest.mark.parametrize("identity", ["Start", "End", "Root", "p", "p.EndJoin"])
def test_an_element_may_have_an_id_that_the_library_uses_itself(identity: str) -> None:
    drive = Drive(draw(start(), service(identity), end(), chain("s", identity, "e")))
    assert drive.result(f"{identity}#1").status is InstanceStatus.COMPLETED
    assert drive.taken == [f"s_{identity}", f"{identity}_e"]


def _whole(variables: dict[str, Any]) -> tuple[list[JournalEntry], list[bytes]]:
    drive = Drive(test_scopes.PARENT, test_scopes.CHILD, **variables)
    states = [drive.state]
    drive.failed("c#1/work#1")
    states.append(drive.state)
    drive.retry("c#1/work#1")
    states.append(drive.state)
    drive.result("c#1/work#1", value=1)
    return drive.journal, [*states, drive.state]


def test_two_runs_with_the_same_inputs_are_the_same_to_the_byte() -> None:
    first, second = _whole({"m": 1}), _whole({"m": 1})
    assert first == second
    assert not re.search(rb"[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}", b"".join(first[1]))


def test_a_naive_date_is_refused_whatever_the_hosts_zone_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    drawn = draw(start(), catch("t", timer("timeDate", "=when")), end(), chain("s", "t", "e"))
    assert "no offset" in Drive(drawn, when="2026-03-01T13:00:00").step.incidents[0].message
    drive = Drive(drawn, when="2026-03-01T21:00:00+08:00")
    assert drive.step.due_at == datetime(2026, 3, 1, 13, tzinfo=UTC)


def test_now_may_come_in_another_zone() -> None:
    drive = Drive(draw(start(), catch("t", timer("timeDuration", "PT1H")), end(), chain("s", "t", "e")))
    drive.now = (START + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-7)))
    assert drive.advance().status is InstanceStatus.COMPLETED


def test_a_thousand_elements_in_a_row_run_without_recursion() -> None:
    names = [f"x{n}" for n in range(1200)]
    drive = Drive(draw(start(), *(script(n, "=1", n) for n in names), end(), chain("s", *names, "e")))
    assert drive.step.status is InstanceStatus.COMPLETED
    assert len(drive.nodes(JournalKind.LEFT)) == 1202
