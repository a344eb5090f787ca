"""Random diagrams made of well-nested blocks: they end, and the journal tells every token's whole way."""

import random
from collections import Counter
from itertools import count, pairwise

import pytest

from app.engine.step import InstanceStatus, Item, ItemKind, JournalEntry, JournalKind, WaitKind
from tests.engine.diagrams import (
    boundary,
    catch,
    chain,
    draw,
    end,
    error,
    flow,
    gateway,
    many,
    script,
    service,
    start,
    sub,
    timer,
    user,
)
from tests.engine.drive import Drive

Block = tuple[str, str, str]


class Builder:
    """Grows blocks: each is its XML, the id where it begins and the id where it ends."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._numbers = count(1)

    def name(self, kind: str) -> str:
        return f"{kind}{next(self._numbers)}"

    def block(self, depth: int) -> Block:
        if depth == 0:
            return self.chance.choice([self.call, self.work, self.person, self.wait, self.each])()
        nested = [self.sequence, self.split, self.choice, self.loop, self.inside, self.caught]
        return self.chance.choice(nested)(depth)

    def call(self) -> Block:
        name = self.name("call")
        return service(name, outputs={f"{name}_r": "=r"}), name, name

    def work(self) -> Block:
        name = self.name("script")
        return script(name, "=1 + 1", name), name, name

    def person(self) -> Block:
        name = self.name("user")
        return user(name, outputs={name: "=decision"}), name, name

    def wait(self) -> Block:
        name = self.name("wait")
        return catch(name, timer("timeDuration", self.chance.choice(["PT0S", "PT5M", "PT2H"]))), name, name

    def each(self) -> Block:
        name, one_by_one = self.name("each"), self.chance.choice(["true", "false"])
        return service(name, inner=many("=[1, 2]", "i", "=r", f"{name}_all", sequential=one_by_one)), name, name

    def sequence(self, depth: int) -> Block:
        blocks = [self.block(depth - 1) for _ in range(self.chance.choice([2, 3]))]
        links = "".join(flow(a[2], b[1]) for a, b in pairwise(blocks))
        return "".join(block[0] for block in blocks) + links, blocks[0][1], blocks[-1][2]

    def split(self, depth: int) -> Block:
        kind = self.chance.choice(["parallel", "inclusive"])
        fork, join = self.name("fork"), self.name("join")
        xml = gateway(kind, fork, f"{fork}_else" if kind == "inclusive" else "") + gateway(kind, join)
        for index in range(self.chance.choice([2, 3])):
            inner, first, last = self.block(depth - 1)
            condition = self.chance.choice(["=true", "=false"]) if kind == "inclusive" and index else ""
            name = f"{fork}_else" if kind == "inclusive" and not index else ""
            xml += inner + flow(fork, first, condition, name) + flow(last, join)
        return xml, fork, join

    def choice(self, depth: int) -> Block:
        fork, join = self.name("xor"), self.name("merge")
        left, right = self.block(depth - 1), self.block(depth - 1)
        xml = gateway("exclusive", fork, f"{fork}_else") + gateway("exclusive", join) + left[0] + right[0]
        xml += flow(fork, left[1], self.chance.choice(["=1 = 1", "=nothing > 1"])) + flow(
            fork, right[1], "", f"{fork}_else"
        )
        return xml + flow(left[2], join) + flow(right[2], join), fork, join

    def loop(self, depth: int) -> Block:
        merge, again, counter = self.name("merge"), self.name("again"), self.name("n")
        inner, first, last = self.block(depth - 1)
        counting = script(counter, f"=if {counter} = null then 1 else {counter} + 1", counter)
        xml = gateway("exclusive", merge) + gateway("exclusive", again, f"{again}_out") + inner + counting
        out = self.name("out")
        xml += flow(merge, first) + flow(last, counter) + flow(counter, again) + flow(again, merge, f"={counter} < 3")
        return xml + script(out, "=null", counter) + flow(again, out, "", f"{again}_out"), merge, out

    def inside(self, depth: int) -> Block:
        name = self.name("sub")
        inner, first, last = self.block(depth - 1)
        return (
            sub(name, start(f"{name}_s"), inner, end(f"{name}_e"), flow(f"{name}_s", first), flow(last, f"{name}_e")),
            name,
            name,
        )

    def caught(self, depth: int) -> Block:
        name, join = self.name("tried"), self.name("merge")
        border = self.name("border")
        event = error() if self.chance.random() < 0.5 else timer("timeDuration", "PT1H")
        inner, first, last = self.block(depth - 1)
        xml = service(name) + boundary(border, name, event) + inner + gateway("exclusive", join)
        return xml + flow(name, join) + flow(border, first) + flow(last, join), name, join


def happenings(chance: random.Random, drive: Drive) -> list[Item]:
    caught = {
        e.attached_to for e in drive.bundle.diagrams["p"].elements.values() if e.event and e.event.kind == "error"
    }
    found = []
    for wait in drive.step.waits:
        if wait.kind is WaitKind.CALL and wait.element in caught and chance.random() < 0.5:
            found.append(Item(ItemKind.CALL_ERROR, wait.node, {"code": "X", "message": "", "facts": {}}))
        elif wait.kind is WaitKind.CALL:
            found.append(Item(ItemKind.CALL_RESULT, wait.node, {"r": wait.node}))
        elif wait.kind is WaitKind.TASK:
            found.append(Item(ItemKind.TASK_COMPLETED, wait.node, {"decision": "approve"}, actor="usr_1"))
    return chance.sample(found, k=min(len(found), chance.choice([1, 2])))


def check_journal(journal: list[JournalEntry], drive: Drive) -> None:
    kinds = {kind: Counter(e.node for e in journal if e.kind is kind) for kind in JournalKind}
    assert set(kinds[JournalKind.ENTERED].values()) <= {1}
    assert kinds[JournalKind.LEFT] + kinds[JournalKind.CANCELED] == kinds[JournalKind.ENTERED]
    diagram = drive.bundle.diagrams["p"]
    taken = Counter(e.element for e in journal if e.kind is JournalKind.TAKEN)
    left = Counter(e.element for e in journal if e.kind is JournalKind.LEFT)
    for element in diagram.elements.values():
        if element.kind in ("scriptTask", "userTask", "intermediateCatchEvent", "boundaryEvent", "exclusiveGateway"):
            assert sum(taken[name] for name in element.outgoing) == left[element.id]


@pytest.mark.parametrize("seed", range(60))
def test_a_well_nested_diagram_ends_and_its_journal_is_whole(seed: int) -> None:
    builder = Builder(seed)
    inner, first, last = builder.block(4)
    drive = Drive(draw(start(), inner, end(), chain("s", first), chain(last, "e")))
    for _ in range(400):
        if drive.step.status.ended:
            break
        assert not drive.step.incidents
        items = happenings(builder.chance, drive)
        if items:
            drive.advance(*items)
        else:
            drive.after(hours=3)
    assert drive.step.status is InstanceStatus.COMPLETED
    check_journal(drive.journal, drive)
