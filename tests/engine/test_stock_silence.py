"""What SpiffWorkflow does without a word: elements it passes over, handlers it runs uncalled, text it executes.

As in `test_stock.py` the library comes first, as it is, and our engine after it.
"""

import time

import pytest
from SpiffWorkflow.bpmn import BpmnWorkflow
from SpiffWorkflow.util.task import TaskState

from app.engine.dialect import DiagramError
from tests.engine import stock
from tests.engine.diagrams import (
    boundary,
    chain,
    declared_error,
    draw,
    end,
    error,
    flow,
    node,
    script,
    start,
    timer,
    user,
)
from tests.engine.drive import Drive, bundle_of
from tests.engine.lint.draw import findings

ENDED = chain("s", "x", "after", "e")


def behind(element: str) -> bytes:
    return draw(start(), element, stock.python("after", "reached = True"), end(), ENDED)


def test_text_that_is_a_program() -> None:
    theirs = stock.started(start(), stock.python("x", "x = __import__('os').getpid()"), end(), chain("s", "x", "e"))
    assert theirs.data["x"] > 0
    drive = Drive(draw(start(), script("x", '=__import__("os")', "x"), end(), chain("s", "x", "e")))
    assert drive.step.variables == {"x": None}
    with pytest.raises(DiagramError, match="x names no operation"):
        bundle_of(draw(start(), stock.python("x", "x = 1"), end(), chain("s", "x", "e")))


@pytest.mark.parametrize(
    ("element", "refused"),
    [
        (node("intermediateThrowEvent", "x", "<bpmn:compensateEventDefinition/>"), "x is a compensate event"),
        (node("intermediateThrowEvent", "x", '<bpmn:signalEventDefinition signalRef="g"/>'), "x is a signal event"),
    ],
    ids=["compensation", "signal"],
)
def test_an_event_that_does_nothing(element: str, refused: str) -> None:
    theirs = stock.run(
        BpmnWorkflow(
            *stock.specs(behind(element).replace(b"<bpmn:process", b'<bpmn:signal id="g" name="g"/><bpmn:process', 1))
        )
    )
    assert theirs.is_completed()
    assert theirs.data == {"reached": True}  # as if nothing had been drawn
    with pytest.raises(DiagramError, match=refused):
        bundle_of(behind(element))


def test_a_link_that_leads_nowhere() -> None:
    thrown = node("intermediateThrowEvent", "x", '<bpmn:linkEventDefinition name="there"/>')
    caught = node("intermediateCatchEvent", "there", '<bpmn:linkEventDefinition name="there"/>')
    linked = draw(
        start(),
        thrown,
        caught,
        stock.python("after", "reached = True"),
        end(),
        chain("s", "x"),
        chain("there", "after", "e"),
    )
    theirs = stock.run(BpmnWorkflow(*stock.specs(linked)))
    assert theirs.is_completed()
    assert theirs.data == {}  # the way behind the link was never gone
    with pytest.raises(DiagramError, match="x is a link event"):
        bundle_of(linked)


def test_a_condition_on_a_flow_that_leaves_a_task() -> None:
    def guarded(work: str, condition: str) -> bytes:
        return draw(start(), work, end(), chain("s", "x"), flow("x", "e", condition))

    theirs = stock.run(BpmnWorkflow(*stock.specs(guarded(stock.python("x", "x = 1"), "False"))))
    assert "e" in stock.done(theirs)  # it was false, and the way was taken
    with pytest.raises(DiagramError, match="has a condition but leaves x"):
        bundle_of(guarded(script("x", "=1", "x"), "=false"))


def test_a_handler_of_errors_that_runs_without_one() -> None:
    begin = node("startEvent", "es_s", error("BAD"))
    inside = begin + stock.python("undo", "undone = True") + end("es_e") + chain("es_s", "undo", "es_e")
    handler = node("subProcess", "es", inside, triggeredByEvent="true")
    drawn = draw(start(), user("u"), end(), chain("s", "u", "e"), handler, declare=(declared_error("BAD"),))
    theirs = stock.run(BpmnWorkflow(*stock.specs(drawn)))
    assert "undo" in stock.done(theirs)  # nothing has gone wrong, and nobody was asked yet
    with pytest.raises(DiagramError, match="es is an event sub-process"):
        bundle_of(drawn)


def test_an_endless_cycle_that_is_late() -> None:
    def reminding(cycle: str) -> tuple[str, ...]:
        border = boundary("b", "u", timer("timeCycle", cycle), interrupting="false")
        return start(), user("u"), border, end(), end("told"), chain("s", "u", "e"), chain("b", "told")

    theirs = stock.started(*reminding('"R/PT0.2S"'))
    time.sleep(0.9)
    stock.run(theirs)
    assert len([task for task in theirs.get_tasks(spec_name="told") if task.state == TaskState.COMPLETED]) >= 4
    drive = Drive(draw(*reminding("R/PT1M")))
    drive.after(days=1)
    assert drive.taken.count("b_told") == 1


def test_a_cycle_that_interrupts_and_goes_on_firing() -> None:
    def limited(cycle: str) -> tuple[str, ...]:
        border = boundary("b", "u", timer("timeCycle", cycle))
        return start(), user("u"), border, end(), end("told"), chain("s", "u", "e"), chain("b", "told")

    theirs = stock.started(*limited('"R3/PT0.02S"'))
    for _ in range(4):
        time.sleep(0.03)
        stock.run(theirs)
    assert stock.done(theirs).count("told") == 3  # the task was canceled at the first
    with pytest.raises(DiagramError, match="b repeats; only a non-interrupting"):
        bundle_of(draw(*limited("R3/PT1M")))


def test_a_drawing_that_was_never_meant_to_run() -> None:
    drawn = draw(start(), end(), chain("s", "e")).replace(b' isExecutable="true"', b"")
    assert stock.run(BpmnWorkflow(*stock.specs(drawn))).is_completed()
    with pytest.raises(DiagramError, match="0 executable processes"):
        bundle_of(drawn)


def test_an_element_that_no_flow_reaches() -> None:
    island = draw(start(), end(), node("complexGateway", "odd"), chain("s", "e"))
    assert stock.run(BpmnWorkflow(*stock.specs(island))).is_completed()  # the library would refuse it, had it looked
    assert "unsupported_element" in {one.code for one in findings(island)}
