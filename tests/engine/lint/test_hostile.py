"""Broken and hostile files: whatever is sent, the gate answers with findings, and soon."""

import random
import time
from collections.abc import Callable

import pytest
from lxml import etree

from app.engine.dialect import parse_diagram
from app.engine.lint import Upload, examine
from tests.engine.lint.draw import FORM, KNOWN, TABLE, bpmn, end, flow, path, script, start
from tests.engine.lint.test_gate import everything, findings

SLOW = 1.0
NOISE = (
    b"<", b">", b"&", b"\x00", b"\xff", b"]]>", b"<!DOCTYPE a>", b"<?x y?>", b"<!--", b'"', b"=", b"((((", b"&#0;",
    b"\xef\xbb\xbf", b"&#x10FFFF;", b"&amp;", b"id=", b"xmlns=", b"true", b"PT", b"999999999999999999999",
    b"=1/0", b"-1", b"R/P", "\u202e".encode(), "💶".encode(),
)  # fmt: skip
TEXTS = (
    "", "=", "=(", "={}", "=[", "=1..2", "=" + "(" * 5000, "=" + "a." * 3000, "=" + "1+" * 4000 + "1", "=x[y[z[1]]]",
    '="' + "a" * 9000 + '"', "=for i in 1..99999999999 return i", "=9**9**9**9", "\x7f", "P" * 500, "R" * 500,
    "a" * 9000, "=-" * 900, "P9999999999D", "R9999999/PT0S", "-", " ", "0", "true", "None", "start", "flow",
    "a", "g", "reserve",
    "2030-13-99T99:99:99Z", "P9999Y", '=@"P9999999999Y"', "=if", "=not", "=/* ", '="\\u"', "#", "ns:a", "{a}b",
)  # fmt: skip
Mutation = Callable[[random.Random, bytes], bytes]


def flipped(chance: random.Random, content: bytes) -> bytes:
    """Some bytes changed, dropped or replaced by pieces that mean something to a parser."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        length = chance.choice((0, 1, 1, 2, 20))
        changed[place : place + length] = chance.choice((chance.choice(NOISE), bytes([chance.randrange(256)])))
    return bytes(changed)


def spliced(chance: random.Random, content: bytes) -> bytes:
    """A piece cut out, repeated or moved."""
    one, other = sorted(chance.sample(range(len(content)), 2))
    piece = content[one : min(other, one + 3000)]
    place = chance.randrange(len(content))
    kept = content if chance.random() < 0.5 else content[:one] + content[one + len(piece) :]
    return kept[:place] + piece + kept[place:]


def rewired(chance: random.Random, content: bytes) -> bytes:
    """Well-formed still: attributes exchanged, elements moved, repeated, renamed or taken away."""
    root = etree.fromstring(content)
    elements = [element for element in root.iter("*") if element is not root]
    for _ in range(chance.randint(1, 6)):
        _rewire(chance, elements, root)
    return etree.tostring(root)


def retyped(chance: random.Random, content: bytes) -> bytes:
    """One attribute or text of the process exchanged, everything else as it was."""
    root = etree.fromstring(content)
    element = chance.choice([element for element in root[2].iter("*") if element.attrib or element.text])
    name = chance.choice([*element.attrib, ""])
    old = element.get(name) if name else element.text or ""
    place = chance.randrange(len(old) + 1)
    new = chance.choice((_text(chance, element), old[:place] + chance.choice("()[]{}=+-*/.,:\"' 0aP<>") + old[place:]))
    if name:
        element.set(name, new)
    else:
        element.text = new
    return etree.tostring(root)


def _rewire(chance: random.Random, elements: list[etree._Element], root: etree._Element) -> None:
    element, other = chance.choice(elements), chance.choice(elements)
    move = chance.randrange(6)
    if move == 0 and element.attrib:
        element.set(chance.choice(list(element.attrib)), _text(chance, other))
    elif move == 1 and element.attrib:
        del element.attrib[chance.choice(list(element.attrib))]
    elif move == 2:
        element.text = _text(chance, other)
    elif move == 3 and element.getparent() is not None:
        element.getparent().remove(element)
    elif move == 4:
        element.tag = other.tag
    elif element not in list(other.iterancestors()) and element is not other and element is not root:
        other.append(element)


def _text(chance: random.Random, other: etree._Element) -> str:
    values = [value for value in other.attrib.values() if value]
    text = chance.choice([*TEXTS, *values, *values])
    return "".join(letter for letter in text if letter.isprintable())


@pytest.mark.parametrize("mutate", [flipped, spliced, rewired, retyped])
@pytest.mark.parametrize(("name", "content"), [("a.bpmn", everything()), ("a.dmn", TABLE), ("a.form.json", FORM)])
def test_whatever_is_changed_the_gate_only_finds(mutate: Mutation, name: str, content: bytes) -> None:
    if mutate in (rewired, retyped) and not name.endswith("bpmn"):
        mutate = flipped
    chance = random.Random(f"{mutate.__name__} {name}")
    rounds, told = 400 if name == "a.bpmn" else 300, 0
    for _ in range(rounds):
        changed = mutate(chance, content)
        began = time.process_time()
        found = examine([Upload(name, changed)], KNOWN)[0]
        assert time.process_time() - began < SLOW, changed
        told += bool(found.findings)
        assert all(finding.element and finding.message and finding.remedy for finding in found.findings), changed
    assert told > rounds / 4


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
