"""Every trap of SpiffWorkflow beside what Sluice does there: first the library as it comes, then our engine.

The library's half is asserted as well, so an upgrade that mends something is noticed.
"""

import signal
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from SpiffWorkflow.bpmn import BpmnEvent, BpmnWorkflow
from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine, TaskDataEnvironment
from SpiffWorkflow.bpmn.specs.event_definitions.item_aware_event import ErrorEventDefinition
from SpiffWorkflow.bpmn.util.diff import SpecDiff, migrate_workflow
from SpiffWorkflow.spiff.parser import SpiffBpmnParser
from SpiffWorkflow.util.task import TaskState

from app.engine.dialect import DiagramError
from app.engine.runner import Run
from app.engine.step import InstanceStatus, Item, ItemKind, JournalKind
from app.kit.clock import SystemClock
from tests.engine import stock
from tests.engine.diagrams import (
    boundary,
    call,
    catch,
    chain,
    declared_error,
    declared_message,
    draw,
    end,
    end_with,
    error,
    flow,
    gateway,
    message,
    node,
    script,
    service,
    start,
    sub,
    timer,
    user,
)
from tests.engine.drive import START, Drive, bundle_of

PAID = (declared_message("paid"),)
SPIFF = "http://spiffworkflow.org/bpmn/schema/1.0/core"


def test_a_loop_of_more_than_a_thousand_elements() -> None:
    def looping(count: str, condition: str) -> tuple[str, ...]:
        around = gateway("exclusive", "m") + count + gateway("exclusive", "g", default="g_e")
        return start(), around, end(), chain("s", "m", "n", "g", "e"), flow("g", "m", condition)

    theirs = stock.started(*looping(stock.python("n", "n = n + 1"), "n < 400"), given={"n": 0})
    assert theirs.is_completed()
    assert theirs.data == {}
    assert any(task.state == TaskState.READY for task in theirs.tasks.values())
    assert Drive(draw(*looping(script("n", "=n + 1", "n"), "=n < 400")), n=0).step.variables == {"n": 400}


def test_hundreds_of_retries_through_a_timer_at_the_border() -> None:
    def retrying(task: str, pause: str) -> tuple[str, ...]:
        border = boundary("b", "a", error()) + catch("t", timer("timeDuration", pause))
        return start(), gateway("exclusive", "m"), task, border, end(), chain("s", "m", "a", "e"), chain("b", "t", "m")

    theirs = stock.started(*retrying(node("serviceTask", "a"), '"PT0S"'))
    sizes = []
    for _ in range(30):
        theirs.send_event(BpmnEvent(ErrorEventDefinition("down", code="DOWN")))
        stock.run(theirs)
        sizes.append(len(theirs.tasks))
    assert sizes[-1] - sizes[0] > 29 * 4  # at the 246th its own recursion ends it
    drive = Drive(draw(*retrying(service("a"), "PT0S")))
    for number in range(1, 301):
        drive.error(f"a#{number}", "DOWN")
    assert drive.open_nodes == ["a#301"]
    assert len(drive.state) < 200


def test_an_error_that_leaves_a_sub_process_uncaught() -> None:
    def failing(after: str) -> tuple[str, ...]:
        inside = sub("sp", start("in"), end_with("bad", error("BAD")), chain("in", "bad"))
        return start(), inside, after, end(), chain("s", "sp", "notify", "e")

    theirs = stock.started(*failing(stock.python("notify", "told = 'captured'")), declare=(declared_error("BAD"),))
    assert theirs.is_completed()
    assert theirs.data == {"told": "captured"}
    drive = Drive(draw(*failing(script("notify", '="captured"', "told")), declare=(declared_error("BAD"),)))
    assert [incident.kind for incident in drive.step.incidents] == ["uncaught_error"]
    assert drive.step.variables == {}


def test_what_an_operation_says_when_it_fails() -> None:
    class Failing(TaskDataEnvironment):  # type: ignore[misc]
        def call_service(self, *_: Any, **__: Any) -> str:
            raise ValueError("gateway is down")

    operator = f'<o:serviceTaskOperator xmlns:o="{SPIFF}" id="gw.pay" resultVariable="r"><o:parameters/>'
    paying = draw(
        start(), node("serviceTask", "a", "", f"{operator}</o:serviceTaskOperator>"), end(), chain("s", "a", "e")
    )
    spec, called = stock.specs(paying, parser=SpiffBpmnParser)
    theirs = BpmnWorkflow(spec, called, script_engine=PythonScriptEngine(environment=Failing()))
    with pytest.raises(NameError, match="script"):
        theirs.do_engine_steps()
    drive = Drive(draw(start(), service("a"), end(), chain("s", "a", "e")))
    assert drive.failed("a#1", "gateway is down").incidents[0].message == "gateway is down"


@pytest.mark.parametrize("value", ["{'typename': 'card'}", "__import__('decimal').Decimal('2.5')"])
def test_data_that_cannot_be_loaded_again(value: str) -> None:
    theirs = stock.started(start(), stock.python("x", f"x = {value}"), user("u"), end(), chain("s", "x", "u", "e"))
    with pytest.raises(TypeError):
        stock.again(theirs)
    ours = eval(value)  # noqa: S307 - a literal of this test
    drive = Drive(draw(start(), user("u"), end(), chain("s", "u", "e")), x=ours)
    assert Run.load(drive.bundle, drive.state).advance([], START).variables["x"] in (ours, 2.5)


def test_a_branch_that_changes_a_list_another_branch_holds() -> None:
    def branching(change: str) -> tuple[str, ...]:
        fork = gateway("parallel", "fork") + user("u") + change + user("v") + gateway("parallel", "join")
        ways = chain("fork", "u", "change", "join", "e") + chain("fork", "v", "join")
        return start(), fork, end(), ways

    seen = []
    for reloaded in (False, True):
        begun = branching(stock.python("change", "a['tags'].append(2)"))
        theirs = stock.started(*begun, stock.python("a", "a = {'tags': [1]}"), chain("s", "a", "fork"))
        theirs = stock.again(theirs) if reloaded else theirs
        stock.the(theirs, "u").run()
        theirs.do_engine_steps()
        seen.append(stock.the(theirs, "v").data["a"]["tags"])
    assert seen == [[1, 2], [1, 2]]  # what one branch did, the other sees
    made = script("a", "={tags: [1]}", "a") + script("b", "=a", "b") + chain("s", "a", "b", "fork")
    drive = Drive(draw(*branching(script("change", "={tags: append(b.tags, 2)}", "a")), made))
    drive.decide("u#1", "approve")
    assert (drive.step.variables["a"], drive.step.variables["b"]) == ({"tags": [1, 2]}, {"tags": [1]})


def test_a_message_that_comes_early_and_one_that_comes_twice() -> None:
    waiting = (start(), user("u"), catch("m", message("paid")), end(), chain("s", "u", "m", "e"))
    theirs = stock.started(*waiting, declare=PAID)
    assert stock.outcome(lambda: stock.tell(theirs, "paid")) == "WorkflowException"
    stock.the(theirs, "u").run()
    theirs.do_engine_steps()
    assert not theirs.is_completed()  # it came, and it is gone
    drive = Drive(draw(*waiting, declare=PAID))
    assert len(drive.message("m#1", "paid").stale) == 1  # the inbox keeps it until somebody waits for it
    drive.decide("u#1", "approve")
    assert drive.message("m#1", "paid").status is InstanceStatus.COMPLETED
    assert len(drive.message("m#1", "paid").stale) == 1


def test_a_second_message_for_a_border_that_does_not_interrupt() -> None:
    border = boundary("b", "u", message("paid"), interrupting="false")
    noting = (start(), user("u"), border, end(), end("noted"), chain("s", "u", "e"), chain("b", "noted"))
    theirs = stock.started(*noting, declare=PAID)
    stock.tell(theirs, "paid")
    assert stock.outcome(lambda: stock.tell(theirs, "paid")) == "WorkflowException"
    drive = Drive(draw(*noting, declare=PAID))
    drive.message("b#1", "paid")
    drive.message("b#1", "paid")
    assert drive.taken.count("b_noted") == 2


def test_a_result_that_comes_after_the_timer_has_canceled_its_task() -> None:
    def limited(task: str, limit: str) -> tuple[str, ...]:
        border = boundary("b", "a", timer("timeDuration", limit))
        return start(), task, border, end(), end("late"), chain("s", "a", "e"), chain("b", "late")

    theirs = stock.started(*limited(node("serviceTask", "a"), '"PT0.01S"'))
    task = stock.the(theirs, "a")
    time.sleep(0.02)
    stock.run(theirs)
    task.complete()
    assert task.state == TaskState.COMPLETED  # it was canceled, and now it is not
    drive = Drive(draw(*limited(service("a"), "PT1M")))
    drive.after(minutes=1)
    assert drive.step.status is InstanceStatus.COMPLETED
    assert [item.node for item in drive.result("a#1").stale] == ["a#1"]


def test_two_true_conditions_and_a_moved_box() -> None:
    def choosing(sign: str) -> tuple[str, ...]:
        gate = gateway("exclusive", "g", default="g_e") + end("one") + end("other") + end()
        return start(), gate, chain("s", "g", "e"), flow("g", "one", f"{sign}1 > 0"), flow("g", "other", f"{sign}1 > 0")

    drawn = {"s": 0, "g": 0, "one": 10, "other": 20, "e": 30}
    for shapes, chosen in ((drawn, "one"), ({**drawn, "one": 25}, "other")):
        assert [
            name for name in stock.done(stock.started(*choosing(""), shapes=shapes)) if name in ("one", "other")
        ] == [chosen]
        assert Drive(draw(*choosing("="), shapes=shapes)).taken[-1] == "g_one"


def test_a_duration_as_the_modeler_writes_it() -> None:
    waiting = (start(), catch("t", timer("timeDuration", "PT30S")), end(), chain("s", "t", "e"))
    assert stock.outcome(lambda: stock.started(*waiting)) == "WorkflowTaskException"
    assert Drive(draw(*waiting)).step.due_at == START + timedelta(seconds=30)


def test_a_negative_duration() -> None:
    def waiting(text: str) -> tuple[str, ...]:
        return start(), catch("t", timer("timeDuration", text)), end(), chain("s", "t", "e")

    theirs = stock.started(*waiting('"-PT5M"'))
    assert datetime.fromisoformat(theirs.waiting_events()[0].value) > SystemClock().now() + timedelta(minutes=4)
    assert Drive(draw(*waiting("-PT5M"))).step.status is InstanceStatus.COMPLETED


def test_a_date_without_an_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    def waiting(text: str) -> tuple[str, ...]:
        return start(), catch("t", timer("timeDate", text)), end(), chain("s", "t", "e")

    soon = f"{SystemClock().now() + timedelta(minutes=30):%Y-%m-%dT%H:%M:%S}"
    over = []
    for hours in (0, 8):
        monkeypatch.setattr(
            "SpiffWorkflow.bpmn.specs.event_definitions.timer.LOCALTZ", timezone(timedelta(hours=hours))
        )
        over.append(stock.started(*waiting(f'"{soon}"')).is_completed())
    assert over == [False, True]  # the same diagram, on two hosts
    drive = Drive(draw(*waiting("=when")), when="2099-03-01T12:00:00")
    assert "no offset" in drive.step.incidents[0].message


def test_a_cycle_that_nobody_looked_at_for_a_while() -> None:
    def reminding(cycle: str) -> tuple[str, ...]:
        border = boundary("b", "u", timer("timeCycle", cycle), interrupting="false")
        return start(), user("u"), border, end(), end("told"), chain("s", "u", "e"), chain("b", "told")

    theirs = stock.started(*reminding('"R5/PT0.05S"'))
    time.sleep(0.4)
    stock.run(theirs)
    assert stock.done(theirs).count("told") == 5
    drive = Drive(draw(*reminding("R5/PT1M")))
    drive.after(minutes=4, seconds=30)
    assert drive.taken.count("b_told") == 1
    assert drive.step.due_at == drive.now + timedelta(minutes=1)


def test_a_spec_that_changes_while_it_runs() -> None:
    begin = node("startEvent", "es_s", message("paid"), isInterrupting="false")
    handler = node("subProcess", "es", begin + end("es_e") + chain("es_s", "es_e"), triggeredByEvent="true")
    spec, called = stock.specs(draw(start(), user("u"), end(), chain("s", "u", "e"), handler, declare=PAID))
    before = list(spec.start._outputs)
    stock.tell(stock.run(BpmnWorkflow(spec, called)), "paid")
    assert list(spec.start._outputs) != before
    bundle = bundle_of(draw(start(), user("u"), end(), chain("s", "u", "e")))
    ours = bundle.diagrams["p"].spec
    kept = {name: list(task._outputs) for name, task in ours.task_specs.items()}
    Run.start(bundle, {}).advance([], START)
    assert {name: list(task._outputs) for name, task in ours.task_specs.items()} == kept


def test_a_process_that_calls_itself() -> None:
    endless = draw(start(), node("callActivity", "c", calledElement="p"), end(), chain("s", "c", "e"))

    def stop(*_: object) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises((TimeoutError, RecursionError)):
        stock.run(BpmnWorkflow(*stock.specs(endless)))
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)
    drive = Drive(draw(start(), call("c", "p"), end(), chain("s", "c", "e")))
    assert [incident.kind for incident in drive.step.incidents] == ["step_limit"]


def test_a_plain_task_is_no_silent_stop() -> None:
    plain = draw(start(), node("task", "t"), end(), chain("s", "t", "e"))
    theirs = stock.run(BpmnWorkflow(*stock.specs(plain)))
    assert stock.the(theirs, "t").state == TaskState.READY
    assert theirs.waiting_events() == []
    with pytest.raises(DiagramError, match="task t is not supported"):
        bundle_of(plain)


def test_a_task_inserted_behind_a_call_that_is_under_way() -> None:
    def calling(called: str, task: str, added: str) -> tuple[bytes, bytes, bytes]:
        child = draw(start("cs"), task, end("ce"), chain("cs", "w", "ce"), process="child")
        old = draw(start(), called, end(), chain("s", "c", "e"))
        return old, draw(start(), called, added, end(), chain("s", "c", "added", "e")), child

    old, new, child = calling(
        node("callActivity", "c", calledElement="child"), user("w"), stock.python("added", "checked = True")
    )
    theirs = stock.run(BpmnWorkflow(*stock.specs(old, child)))
    spec, _ = stock.specs(new, child)
    migrate_workflow(SpecDiff(stock.SERIALIZER.registry, theirs.spec, spec), theirs, spec)
    stock.the(theirs, "w").run()
    theirs.do_engine_steps()
    assert theirs.is_completed()
    assert theirs.data == {}  # the check was left out, and nothing says so
    old, new, child = calling(call("c", "child"), user("w"), script("added", "=true", "checked"))
    drive = Drive(old, child)
    run = Run.load(bundle_of(new, child), drive.state)
    step = run.advance([Item(ItemKind.TASK_COMPLETED, "c#1/w#1", {"decision": "approve"}, actor="usr_1")], START)
    assert step.variables == {"checked": True}


def test_a_crash_between_the_call_and_the_save() -> None:
    class Gateway(TaskDataEnvironment):  # type: ignore[misc]
        charged = 0

        def call_service(self, *_: Any, **__: Any) -> str:
            self.charged += 1
            return "{}"

    operator = f'<o:serviceTaskOperator xmlns:o="{SPIFF}" id="gw.pay" resultVariable="r"><o:parameters/>'
    paying = draw(
        start(), node("serviceTask", "a", "", f"{operator}</o:serviceTaskOperator>"), end(), chain("s", "a", "e")
    )
    gate = Gateway()
    for _ in range(2):  # the first run is lost before it is saved
        spec, called = stock.specs(paying, parser=SpiffBpmnParser)
        BpmnWorkflow(spec, called, script_engine=PythonScriptEngine(environment=gate)).do_engine_steps()
    assert gate.charged == 2
    bundle = bundle_of(draw(start(), service("a"), end(), chain("s", "a", "e")))
    state = Run.start(bundle, {}).dump()
    first, second = (Run.load(bundle, state).advance([], START) for _ in range(2))
    assert first.calls == second.calls  # asked for, not done: the same node, so the same idempotency key
    assert [found.node for found in first.calls] == ["a#1"]


def test_a_round_trip_at_every_wait_changes_nothing() -> None:
    def waiting(work: str) -> tuple[str, ...]:
        return start(), work, user("u"), end(), chain("s", "x", "u", "e")

    theirs = stock.started(*waiting(stock.python("x", "x = {1: 'a', 't': (1, 2)}")))
    assert stock.the(stock.again(theirs), "u").data != stock.the(theirs, "u").data
    drive = Drive(draw(*waiting(script("x", '={"1": "a", t: [1, 2]}', "x"))))  # every Drive saves at every step
    assert drive.step.variables == {"x": {"1": "a", "t": [1, 2]}}
    assert not [entry for entry in drive.journal if entry.kind is JournalKind.INCIDENT]
