"""`python -m bench.engine`: what expressions, instances and retries cost, beside SpiffWorkflow as it comes.

Baselines run in the same process, round by round in turn with ours, and medians are told; the machine's noise then hits
both. Nothing here asserts a time. The numbers are also written to `var/bench-engine.json`.
"""

import copy
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click
import orjson
from SpiffWorkflow.bpmn import BpmnEvent, BpmnWorkflow
from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine, TaskDataEnvironment
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.spiff.parser import SpiffBpmnParser
from SpiffWorkflow.spiff.serializer import DEFAULT_CONFIG
from SpiffWorkflow.spiff.specs.event_definitions import MessageEventDefinition
from SpiffWorkflow.util.task import TaskState

from app.engine.bundle import Bundle
from app.engine.runner import Run
from app.engine.step import Item, ItemKind
from app.feel import compile_expression
from app.settings import ROOT
from bench import flow
from bench.options import options
from tests.engine import stock
from tests.engine.diagrams import boundary, catch, chain, draw, end, error, gateway, service, start, timer
from tests.engine.drive import START, bundle_of

CONDITION = 'score > 70 and amount >= 5000 and currency in ["EUR", "USD", "GBP"]'
PYTHON = CONDITION
SCORED: dict[str, Any] = {"score": 71, "amount": 12500, "currency": "USD"}
ANSWERS = {"gw.authorize": orjson.dumps(flow.AUTHORIZED).decode(), "gw.capture": '{"reference": "cap_1"}'}
SERIALIZER = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(DEFAULT_CONFIG))
TARGET = ROOT / "var" / "bench-engine.json"


def cost(work: Callable[[], object], times: int) -> float:
    """Seconds of processor time per call, so that neighbours on the machine do not count; the collector is held off."""
    gc.collect()
    gc.disable()
    began = time.process_time()
    for _ in range(times):
        work()
    spent = time.process_time() - began
    gc.enable()
    return spent / times


def in_turn(rounds: int, times: int, **works: Callable[[], object]) -> dict[str, float]:
    """The median seconds per call of each, measured round by round in turn."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(cost(work, times))
    return {name: statistics.median(spent) for name, spent in found.items()}


def conditions(rounds: int) -> dict[str, float]:
    """A typical condition: compiled FEEL, and the same text as Python, compiled each time or once."""
    compiled = compile_expression(CONDITION)
    code = compile(PYTHON, "condition", "eval")
    names: dict[str, Any] = {"__builtins__": {}}
    assert compiled.evaluate(SCORED) is True
    assert eval(PYTHON, names, SCORED) is True
    return in_turn(
        rounds,
        2000,
        feel=lambda: compiled.evaluate(SCORED),
        python_text=lambda: eval(PYTHON, names, SCORED),
        python_code=lambda: eval(code, names, SCORED),
        python_compile=lambda: compile(PYTHON, "condition", "eval"),
    )


def ours(bundle: Bundle) -> bytes:
    """One instance, saved and loaded at each wait; the state at the review."""
    run = Run.start(bundle, flow.VARIABLES)
    run.advance([], START)
    run.advance([Item(ItemKind.CALL_RESULT, "authorize#1", flow.AUTHORIZED)], START)
    review = run.dump()
    run = Run.load(bundle, review)
    run.advance([Item(ItemKind.TASK_COMPLETED, "review#1", flow.DECIDED, actor="usr_1")], START)
    run.advance([Item(ItemKind.CALL_RESULT, "capture#1", {"reference": "cap_1"})], START)
    run = Run.load(bundle, run.dump())
    step = run.advance([Item(ItemKind.MESSAGE, "settled#1", {"name": "settled", "variables": {"line": 7}})], START)
    assert step.status == "completed"
    assert step.variables["closed"] is True
    run.dump()
    return review


class Answering(TaskDataEnvironment):
    """Where SpiffWorkflow's service tasks get their answers: at once, and for nothing."""

    def call_service(self, _: object, *, operation_name: str, **__: object) -> str:
        return ANSWERS[operation_name]


def naive(spec: Any, called: dict[str, Any]) -> str:
    """The same instance as SpiffWorkflow's documentation has it: its driver, and its whole JSON at each wait."""
    engine = PythonScriptEngine(environment=Answering())
    workflow = BpmnWorkflow(spec, called, script_engine=engine)
    workflow.task_tree.data.update(copy.deepcopy(flow.VARIABLES))
    workflow.do_engine_steps()
    review = SERIALIZER.serialize_json(workflow)
    workflow = SERIALIZER.deserialize_json(review)
    workflow.script_engine = engine
    task = workflow.get_tasks(state=TaskState.READY, manual=True)[0]
    task.data["decision"] = "approve"
    task.run()
    workflow.do_engine_steps()
    workflow = SERIALIZER.deserialize_json(SERIALIZER.serialize_json(workflow))
    workflow.script_engine = engine
    workflow.send_event(BpmnEvent(MessageEventDefinition("settled"), payload={"line": 7}))
    workflow.do_engine_steps()
    assert workflow.completed
    assert workflow.data["closed"] is True
    SERIALIZER.serialize_json(workflow)
    return str(review)


def retries(count: int) -> tuple[float, float]:
    """Seconds of processor time per retry of the first and the last hundred: error, save, load, timer, call again."""
    drawn = draw(
        start(),
        gateway("exclusive", "again"),
        service("authorize", outputs={"reference": "=reference"}),
        boundary("unavailable", "authorize", error()),
        catch("wait", timer("timeDuration", "PT30S")),
        end(),
        chain("s", "again", "authorize", "e"),
        chain("unavailable", "wait", "again"),
    )
    bundle, now, spent = bundle_of(drawn), START, []
    run = Run.start(bundle, flow.VARIABLES)
    run.advance([], now)
    for number in range(1, count + 1):
        began = time.process_time()
        run.advance([Item(ItemKind.CALL_ERROR, f"authorize#{number}", {"code": "DOWN", "message": "503"})], now)
        run = Run.load(bundle, run.dump())
        now += timedelta(seconds=30)
        run.advance([], now)
        spent.append(time.process_time() - began)
    return statistics.median(spent[:100]), statistics.median(spent[-100:])


def measure(rounds: int) -> dict[str, float]:
    """Everything, in the units of the keys."""
    condition = conditions(rounds)
    bundle, (spec, called) = bundle_of(flow.OURS), stock.specs(flow.STOCK, parser=SpiffBpmnParser)
    state, whole = ours(bundle), naive(spec, called)
    instance = in_turn(rounds, 40, ours=lambda: ours(bundle), naive=lambda: naive(spec, called))
    loops = [retries(1000) for _ in range(3)]
    first, last = (statistics.median(ends) for ends in zip(*loops, strict=True))
    return {
        "instances_per_s": 1 / instance["ours"],
        "naive_instances_per_s": 1 / instance["naive"],
        "vs_naive_json": instance["naive"] / instance["ours"],
        "state_bytes_at_review": len(state),
        "naive_bytes_at_review": len(whole),
        "feel_condition_us": condition["feel"] * 1e6,
        "python_eval_us": condition["python_text"] * 1e6,
        "python_precompiled_us": condition["python_code"] * 1e6,
        "python_compile_us": condition["python_compile"] * 1e6,
        "vs_python_eval": condition["python_text"] / condition["feel"],
        "retry_first_hundred_ms": first * 1000,
        "retry_last_hundred_ms": last * 1000,
    }


def main(rounds: int) -> None:
    """Print and write what was measured."""
    processor = platform.processor() or platform.machine()
    busy = " ".join(f"{load:.1f}" for load in os.getloadavg())
    click.echo(f"python -m bench.engine ROUNDS={rounds}")
    click.echo(
        f"Python {platform.python_version()} on {platform.system()} {processor}, {os.cpu_count()} CPUs, load {busy}"
    )
    found = {name: round(value, 3) for name, value in measure(rounds).items()}
    for name, value in found.items():
        click.echo(f"{name:<26} {value:>12,}")
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    click.echo(f"written to {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main(options(rounds=15)["rounds"])
    sys.exit()
