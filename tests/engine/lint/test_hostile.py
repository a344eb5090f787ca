"""Broken and hostile files: whatever is sent, the gate answers with findings, and soon."""

import gc
import random
import time
from collections.abc import Iterator

import pytest

from app.engine.dialect import parse_diagram
from app.engine.lint import Upload, examine
from tests.engine.lint.draw import FORM, KNOWN, TABLE, bpmn, end, findings, flow, path, script, start
from tests.engine.lint.mutations import MUTATIONS, OF_BYTES, Mutation, flipped
from tests.engine.lint.test_gate import everything

SLOW = 1.0


@pytest.fixture(autouse=True)
def no_garbage() -> Iterator[None]:
    """Looking through all that a whole run of tests has left takes longer than any file, and is not the gate's time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("mutate", MUTATIONS)
@pytest.mark.parametrize(("name", "content"), [("a.bpmn", everything()), ("a.dmn", TABLE), ("a.form.json", FORM)])
def test_whatever_is_changed_the_gate_only_finds(mutate: Mutation, name: str, content: bytes) -> None:
    if mutate not in OF_BYTES and name.endswith("json"):
        mutate = flipped
    chance = random.Random(f"{mutate.__name__} {name}")
    rounds, told = 150, 0
    for _ in range(rounds):
        changed = mutate(chance, content)
        began = time.process_time()
        found = examine([Upload(name, changed)], KNOWN)[0]
        assert time.process_time() - began < SLOW, changed
        told += bool(found.findings)
        assert all(finding.element and finding.message and finding.remedy for finding in found.findings), changed
    assert told > rounds / 8


def test_comments_and_instructions_are_read_over_and_hide_nothing() -> None:
    drawn = bpmn(start(), script("a", "=1 + 1"), end(), path("start", "a", "end"))
    noted = drawn.replace(b"<bpmn:extension", b"<!-- a note --><?tool x?><bpmn:extension")
    assert findings(b"\xef\xbb\xbf" + noted) == []
    gateway = '<bpmn:exclusiveGateway id="g" name="G" default="g-end"/>'
    split = bpmn(
        start(), gateway, script("a"), end(), path("start", "g", "end"), path("a", "end"),
        flow("g-a", "g", "a", "=amount <!-- or so --> &gt; 100"),
    )  # fmt: skip
    assert findings(split) == []
    condition = parse_diagram(split).flows["g-a"].condition
    assert condition is not None
    assert " ".join(condition.text.split()) == "=amount > 100"


def tangled(size: int) -> bytes:
    """Every other node a choice and every other a parallel join, each connected with many."""
    nodes = [f"n{number}" for number in range(size)]
    drawn = [
        f'<bpmn:parallelGateway id="{name}"/>'
        if number % 2
        else f'<bpmn:exclusiveGateway id="{name}" default="d{number}"/>'
        for number, name in enumerate(nodes)
    ]
    flows = [
        flow(
            f"{'d' if step == 1 else 'f'}{number}{'' if step == 1 else f'-{step}'}",
            name,
            nodes[(number + step) % size],
            None if step == 1 else "=x",
        )
        for number, name in enumerate(nodes)
        for step in (1, 2, 7)
    ]
    return bpmn(start(), *drawn, *flows, path("start", "n0"))


def chained(size: int) -> bytes:
    names = [f"n{number}" for number in range(size)]
    return bpmn(start(), *map(script, names), end(), path("start", *names, "end"))


@pytest.mark.parametrize("content", [tangled(250), chained(290), chained(1200)], ids=["tangle", "chain", "long chain"])
def test_a_large_graph_is_judged_soon(content: bytes) -> None:
    began = time.process_time()
    findings(content)
    assert time.process_time() - began < SLOW


def test_the_longest_chain_that_is_allowed_is_also_read_by_the_engine() -> None:
    assert findings(chained(297)) == []
