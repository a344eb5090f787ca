"""`python -m bench.uploads COUNT=100000 SEED=1`: broken files and expressions, and further when they are let pass.

Whatever is sent, there are findings or our own refusals, within a second of processor time each and in bounded memory.
What is accepted is also started, decided or evaluated. A failing case is printed with what replays it.
"""

import gc
import random
import resource
import secrets
import sys
import time
from collections import Counter
from dataclasses import dataclass

import click

import handlers  # noqa: F401 - registers the operations
from app.decisions import DecisionModel, parse_decisions
from app.engine import shipped
from app.engine.bundle import Bundle, IncompleteBundle
from app.engine.dialect import Diagram, parse_diagram
from app.engine.lint import Known, ProcessFacts, Upload, examine
from app.engine.runner import Run
from app.errors import AppError
from app.feel import FeelError, compile_expression, compile_unary_tests, to_json
from app.operations import registry
from app.settings import ROOT
from bench.options import options
from tests.decisions.test_damage import MODEL
from tests.engine.drive import START
from tests.engine.lint.draw import FORM, KNOWN, TABLE
from tests.engine.lint.mutations import MUTATIONS, OF_BYTES
from tests.engine.lint.test_gate import everything
from tests.feel import test_constructs, test_functions
from tests.feel.misspelling import misspelled

SLOW_SECONDS = 1.0
EVERY = 5000
CLEAN_EVERY = 200
#: Of ten cases, how many are of each kind.
KINDS = ("bpmn",) * 4 + ("dmn",) * 3 + ("form",) + ("feel",) * 2
CELLS = ("-", '"a","b"', "[1..5]", "< 10", "not(1, 2)", "? > 3 and ? < 9", "]1..5[", "=5", "not(> 3)", "null")
TEXTS = [*CELLS, *(text for text, _ in (*test_constructs.CASES, *test_functions.CASES))]


@dataclass(frozen=True)
class Sound:
    """A file to break, and what it may refer to."""

    upload: Upload
    known: Known


@dataclass(frozen=True)
class World:
    """The files to break, and what those that are accepted run with."""

    sound: dict[str, list[Sound]]
    diagrams: dict[str, Diagram]
    decisions: dict[str, DecisionModel]


def world() -> World:
    """The shipped flows, and one diagram, one table and one form that hold every element."""
    files = shipped.uploads(ROOT / "workflows")
    read = examine(files, Known(registry))
    known = Known(registry).plus(
        {
            one.key: ProcessFacts(frozenset(one.uses["processes"]), frozenset(one.uses["operations"]))
            for one in read
            if one.kind == "bpmn"
        },
        {name: one.key for one in read if one.kind == "dmn" for name in one.uses["defines"]},
        [one.key for one in read if one.kind == "form"],
    )
    more = [Upload("all.bpmn", everything()), Upload("table.dmn", TABLE), Upload("plain.form.json", FORM)]
    sound = [Sound(one, known) for one in files] + [Sound(one, KNOWN) for one in (*more, Upload("all.dmn", MODEL))]
    diagrams = [parse_diagram(one.upload.content) for one in read if one.kind == "bpmn"]
    models = [parse_decisions(one.upload.content) for one in read if one.kind == "dmn"]
    return World(
        {kind: [one for one in sound if f".{kind}" in one.upload.name] for kind in KINDS},
        {one.process: one for one in diagrams},
        {name: model for model in models for name in model.decisions},
    )


def one_case(seed: int, around: World) -> str:
    """What became of it: `refused`, or what was done with what was accepted. Raises whatever must never be raised."""
    chance = random.Random(f"upload {seed}")
    kind = chance.choice(KINDS)
    if kind == "feel":
        text = misspelled(chance, chance.choice(TEXTS))
        began = time.process_time()
        told, shown = _evaluate(text), text
    else:
        sound = chance.choice(around.sound[kind])
        mutations = OF_BYTES if kind == "form" else MUTATIONS
        content = chance.choice(mutations)(chance, sound.upload.content)
        began = time.process_time()
        told, shown = _send(Upload(sound.upload.name, content), sound.known, around), sound.upload.name
    spent = time.process_time() - began
    if spent > SLOW_SECONDS:
        raise TimeoutError(f"{spent:.1f} s for {shown[:200]!r}")
    return f"{kind}: {told}"


def _evaluate(text: str) -> str:
    """An expression, and the same text as the cell of a table, with variables to work on."""
    told = "refused"
    try:
        expression = compile_expression(text, test_constructs.NAMES)
        expression.unknown(test_constructs.NAMES)
        expression.uncallable(test_constructs.NAMES)
        told = "stopped at a limit"
        to_json(expression.evaluate(test_constructs.VARIABLES, now=START))
        told = "evaluated"
    except FeelError as refused:
        _placed(refused)
    try:
        compile_unary_tests(text, test_constructs.NAMES).matches(5, test_constructs.VARIABLES, now=START)
    except FeelError as refused:
        _placed(refused)
    return told


def _placed(refused: FeelError) -> None:
    if not (refused.line > 0 and refused.column > 0 and refused.sentence):
        raise ValueError(f"a refusal without a place or a sentence: {refused!r}")


def _send(upload: Upload, known: Known, around: World) -> str:
    found = examine([upload], known)[0]
    silent = [one for one in found.findings if not (one.element and one.message and one.remedy)]
    if silent:
        raise ValueError(f"a finding without element, message or remedy: {silent[0]}")
    if found.refused:
        return "refused"
    if found.kind == "dmn":
        return _decide(upload.content)
    return _begin(upload.content, around) if found.kind == "bpmn" else "accepted"


def _decide(content: bytes) -> str:
    model = parse_decisions(content)
    for name in model.decisions:
        try:
            model.evaluate(name, test_constructs.VARIABLES, now=START)
        except AppError:
            return "accepted, a decision fails by itself"
    return "accepted and decided"


def _begin(content: bytes, around: World) -> str:
    diagram = parse_diagram(content)
    try:
        bundle = Bundle(diagram.process, {**around.diagrams, diagram.process: diagram}, around.decisions)
    except IncompleteBundle:
        return "accepted, calls what is not here"
    run = Run.start(bundle, {})
    run.advance([], START)
    Run.load(bundle, run.dump())
    return "accepted and started"


def main(count: int, seed: int) -> int:
    """The exit code: 1 when a case raised or was slow."""
    around, failed, began = world(), 0, time.monotonic()
    files = sum(len(sound) for sound in around.sound.values())
    click.echo(f"COUNT={count} SEED={seed}, {files} sound files, {len(TEXTS)} texts, {_memory():.0f} MB at the start")
    seen: Counter[str] = Counter()
    slowest, worst = 0.0, seed
    # Python's own cleaning up of all that came before is nothing that one file has cost.
    gc.freeze()
    gc.disable()
    for number in range(seed, seed + count):
        if number % CLEAN_EVERY == 0:
            gc.collect()
        before = time.process_time()
        try:
            seen[one_case(number, around)] += 1
        except Exception as broken:  # whatever it is, it is what this command looks for
            failed += 1
            told = f"{type(broken).__name__}: {broken}"[:300]
            click.echo(f"FAILED {told}\n  replay: python -m bench.uploads SEED={number} COUNT=1")
        spent = time.process_time() - before
        slowest, worst = max((slowest, worst), (spent, number))
        if (number - seed + 1) % EVERY == 0:
            click.echo(f"{number - seed + 1:>8,} cases, {time.monotonic() - began:.0f} s, {_memory():.0f} MB")
    for told, times in seen.most_common():
        click.echo(f"{times:>8,} {told}")
    click.echo(f"slowest {slowest * 1000:.0f} ms of processor time (SEED={worst}), {_memory():.0f} MB at most")
    click.echo(f"{failed:,} of {count:,} raised what is no refusal, or were slow")
    return int(failed > 0)


def _memory() -> float:
    """The most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    given = options(count=100_000, seed=secrets.randbelow(10**9))
    sys.exit(main(given["count"], given["seed"]))
