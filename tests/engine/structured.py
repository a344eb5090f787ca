"""Random diagrams made of well-nested blocks, and what must be true of any run of them.

A diagram and everything that happens to it follow from one seed, so a failure is replayed by naming the seed.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, pairwise

from app.engine.step import InstanceStatus, Item, ItemKind, JournalKind, Wait, WaitKind
from tests.decisions.dmn import decision, document, table
from tests.engine.diagrams import (
    boundary,
    call,
    catch,
    chain,
    declared_error,
    declared_escalation,
    declared_message,
    draw,
    end,
    end_with,
    error,
    escalation,
    flow,
    gateway,
    many,
    message,
    node,
    rule,
    script,
    service,
    start,
    sub,
    throw,
    timer,
    user,
)
from tests.engine.drive import Drive

#: XML, the id where the block begins and the id where it ends.
Block = tuple[str, str, str]
DECLARED = (declared_message("news", '="key"'), declared_error("BROKEN"), declared_escalation("LATE"))
RATING = document(
    decision(
        table("FIRST", ["who"], ["level"], [['"a"', '"high"'], ["-", '"low"']], defaults=['"low"']), identity="rate"
    )
)
ROUNDS_MAX = 600


class Unlike(AssertionError):
    """A run did what no run may do."""


@dataclass
class Drawn:
    """A generated deployment: the first diagram starts. `failing` are the tasks whose errors somebody catches."""

    diagrams: list[bytes]
    chance: random.Random
    failing: set[str] = field(default_factory=set)


class Builder:
    """Grows blocks until the depth it was given is used up."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"structured {seed}")
        self.failing: set[str] = set()
        self.called: list[bytes] = []
        self._numbers = count(1)
        self._guards = 0

    def drawn(self) -> Drawn:
        inner, first, last = self.block(self.chance.choice([2, 3, 3, 4]))
        main = draw(start(), inner, end(), chain("s", first), chain(last, "e"), declare=DECLARED)
        return Drawn([main, *self.called], self.chance, self.failing)

    def name(self, kind: str) -> str:
        return f"{kind}{next(self._numbers)}"

    def block(self, depth: int) -> Block:
        if depth == 0:
            return self.chance.choice(_LEAVES)(self)
        return self.chance.choice(_NESTS)(self, depth - 1)

    def called_operation(self) -> Block:
        name = self.name("call")
        if self._guards:
            self.failing.add(name)
        return service(name, inputs={"who": "=who"}, outputs={f"{name}_r": "=r"}), name, name

    def work(self) -> Block:
        name = self.name("script")
        return script(name, f'={{"by": "{name}", "n": 1 + 1}}', name), name, name

    def person(self) -> Block:
        name = self.name("user")
        return user(name, outputs={name: "=decision"}), name, name

    def pause(self) -> Block:
        name = self.name("wait")
        return catch(name, timer("timeDuration", self.chance.choice(["PT0S", "-PT1M", "PT5M", "PT2H"]))), name, name

    def letter(self) -> Block:
        name = self.name("letter")
        if self.chance.random() < 0.5:
            return node("receiveTask", name, messageRef="m_news"), name, name
        return catch(name, message("news"), {f"{name}_n": "=n"}), name, name

    def sending(self) -> Block:
        name = self.name("throw")
        return throw(name, message("news"), {"n": "=1"}), name, name

    def each(self) -> Block:
        name, one_by_one = self.name("each"), self.chance.choice(["true", "false"])
        until = self.chance.choice(["", "=i = 2"])
        looped = many("=[1, 2, 3]", "i", "=r", f"{name}_all", until=until, sequential=one_by_one)
        return service(name, inner=looped), name, name

    def rated(self) -> Block:
        """A decision, and a choice that reads what came out."""
        rated, fork, join = self.name("rate"), self.name("xor"), self.name("merge")
        left, right = self.work(), self.called_operation()
        xml = rule(rated, "rate", rated) + gateway("exclusive", fork, f"{fork}_else") + gateway("exclusive", join)
        xml += left[0] + right[0] + flow(rated, fork) + flow(fork, left[1], f'={rated} = "high"')
        xml += flow(fork, right[1], "", f"{fork}_else") + flow(left[2], join) + flow(right[2], join)
        return xml, rated, join

    def sequence(self, depth: int) -> Block:
        blocks = [self.block(depth) for _ in range(self.chance.choice([2, 3]))]
        links = "".join(flow(a[2], b[1]) for a, b in pairwise(blocks))
        return "".join(block[0] for block in blocks) + links, blocks[0][1], blocks[-1][2]

    def split(self, depth: int) -> Block:
        kind = self.chance.choice(["parallel", "inclusive"])
        fork, join = self.name("fork"), self.name("join")
        xml = gateway(kind, fork, f"{fork}_else" if kind == "inclusive" else "") + gateway(kind, join)
        for index in range(self.chance.choice([2, 3])):
            inner, first, last = self.block(depth)
            condition = self.chance.choice(["=true", "=false"]) if kind == "inclusive" and index else ""
            name = f"{fork}_else" if kind == "inclusive" and not index else ""
            xml += inner + flow(fork, first, condition, name) + flow(last, join)
        return xml, fork, join

    def choice(self, depth: int) -> Block:
        fork, join = self.name("xor"), self.name("merge")
        left, right = self.block(depth), self.block(depth)
        xml = gateway("exclusive", fork, f"{fork}_else") + gateway("exclusive", join) + left[0] + right[0]
        xml += flow(fork, left[1], self.chance.choice(["=1 = 1", "=nothing > 1", '=who = "a"']))
        xml += flow(fork, right[1], "", f"{fork}_else")
        return xml + flow(left[2], join) + flow(right[2], join), fork, join

    def loop(self, depth: int) -> Block:
        merge, again, counter, out = self.name("merge"), self.name("again"), self.name("n"), self.name("out")
        inner, first, last = self.block(depth)
        counting = script(counter, f"=if {counter} = null then 1 else {counter} + 1", counter)
        xml = gateway("exclusive", merge) + gateway("exclusive", again, f"{again}_out") + inner + counting
        xml += flow(merge, first) + flow(last, counter) + flow(counter, again) + flow(again, merge, f"={counter} < 3")
        return xml + script(out, "=null", counter) + flow(again, out, "", f"{again}_out"), merge, out

    def race(self, depth: int) -> Block:
        gate, join, late, news = self.name("race"), self.name("merge"), self.name("late"), self.name("news")
        left, right = self.block(depth), self.block(depth)
        xml = gateway("eventBased", gate) + catch(late, timer("timeDuration", "PT1H")) + catch(news, message("news"))
        xml += (
            gateway("exclusive", join) + left[0] + right[0] + chain(gate, late, left[1]) + chain(gate, news, right[1])
        )
        return xml + flow(left[2], join) + flow(right[2], join), gate, join

    def caught(self, depth: int) -> Block:
        """A task with an interrupting border."""
        name, join, border = self.name("tried"), self.name("merge"), self.name("border")
        event = self.chance.choice([error(), timer("timeDuration", "PT1H"), message("news")])
        if event == error():
            self.failing.add(name)
        inner, first, last = self.block(depth)
        xml = service(name) + boundary(border, name, event) + inner + gateway("exclusive", join)
        return xml + flow(name, join) + flow(border, first) + flow(last, join), name, join

    def noted(self, depth: int) -> Block:
        """A task with a border that does not interrupt: what it starts ends by itself."""
        name, border, over = self.name("busy"), self.name("note"), self.name("over")
        event = self.chance.choice([timer("timeDuration", "PT1H"), timer("timeCycle", "R3/PT1H"), message("news")])
        inner, first, last = self.block(depth)
        task = service(name) if self.chance.random() < 0.5 else user(name)
        xml = task + boundary(border, name, event, interrupting="false")
        return xml + inner + end(over) + chain(border, first) + chain(last, over), name, name

    def inside(self, depth: int) -> Block:
        name = self.name("sub")
        repeated = many("=[1, 2]", "i", sequential=self.chance.choice(["true", "false"]))
        inner, first, last = self.block(depth)
        parts = [start(f"{name}_s"), inner, end(f"{name}_e"), flow(f"{name}_s", first), flow(last, f"{name}_e")]
        return sub(name, *([repeated] if self.chance.random() < 0.3 else []), *parts), name, name

    def guarded(self, depth: int) -> Block:
        """A sub-process that may be left by an error, an escalation, or by ending early."""
        name, join, border = self.name("sub"), self.name("merge"), self.name("border")
        thrown = self.chance.choice([error("BROKEN"), escalation("LATE"), "<bpmn:terminateEventDefinition/>"])
        event = escalation("LATE") if "escalation" in thrown else error()
        self._guards += event == error()
        (inner, first, last), (beside, from_, to) = self.block(depth), self.block(0)
        self._guards -= event == error()
        begin, fork, good, bad = f"{name}_s", f"{name}_f", f"{name}_e", f"{name}_x"
        kind = self.chance.choice(["parallel", "inclusive"])
        xml = start(begin) + gateway(kind, fork, f"{fork}_else" if kind == "inclusive" else "") + inner + beside
        xml += end(good) + end_with(bad, thrown) + flow(begin, fork) + flow(fork, first, "", f"{fork}_else")
        condition = self.chance.choice(["=true", "=false"]) if kind == "inclusive" else ""
        xml = sub(name, xml, flow(fork, from_, condition), flow(last, good), flow(to, bad))
        after, begins, ends = self.block(0)
        xml += boundary(border, name, event) + after + gateway("exclusive", join)
        return xml + flow(name, join) + flow(border, begins) + flow(ends, join), name, join

    def calling(self, depth: int) -> Block:
        """A process of its own, whose errors are caught where it is called."""
        name, join, border, process = self.name("calls"), self.name("merge"), self.name("border"), self.name("process")
        self._guards += 1
        inner, first, last = self.block(depth)
        self._guards -= 1
        begin, over = f"{process}_s", f"{process}_e"
        parts = [start(begin), inner, end(over), chain(begin, first), chain(last, over)]
        self.called.append(draw(*parts, process=process, declare=DECLARED))
        given, back = ({"who": "=who"}, {f"{name}_r": "=who"}) if self.chance.random() < 0.5 else (None, None)
        after, begins, ends = self.block(0)
        xml = call(name, process, given, back) + boundary(border, name, error()) + after + gateway("exclusive", join)
        return xml + flow(name, join) + flow(border, begins) + flow(ends, join), name, join


_LEAVES: tuple[Callable[[Builder], Block], ...] = (
    Builder.called_operation,
    Builder.work,
    Builder.person,
    Builder.pause,
    Builder.letter,
    Builder.sending,
    Builder.each,
    Builder.rated,
)
_NESTS: tuple[Callable[[Builder, int], Block], ...] = (
    Builder.sequence,
    Builder.split,
    Builder.choice,
    Builder.loop,
    Builder.race,
    Builder.caught,
    Builder.noted,
    Builder.inside,
    Builder.guarded,
    Builder.calling,
)


def run(seed: int) -> Drive:
    """Draw and run the diagram of a seed to its end, stopped, saved and loaded after every step. Raises Unlike."""
    drawn = Builder(seed).drawn()
    drive = Drive(*drawn.diagrams, decisions=RATING, who="a", key={"deep": [1, {"typename": "UUID"}]})
    for _ in range(ROUNDS_MAX):
        if drive.step.status.ended:
            break
        _happen(drawn, drive)
    if drive.step.status is not InstanceStatus.COMPLETED:
        raise Unlike(f"it rests as {drive.step.status} at {drive.open_nodes}: {drive.step.incidents}")
    _check_journal(drive)
    return drive


def _happen(drawn: Drawn, drive: Drive) -> None:
    chance, broken = drawn.chance, drive.step.incidents
    if any(incident.kind != "call_failed" for incident in broken):
        raise Unlike(f"an incident nobody caused: {broken}")
    items = [_item(chance, wait, drawn.failing) for wait in drive.step.waits if wait.kind is not WaitKind.TIMER]
    items += [Item(ItemKind.RETRY, incident.node) for incident in broken]
    if not items and not any(wait.kind is WaitKind.TIMER for wait in drive.step.waits):
        raise Unlike("it waits for nothing")
    if not items or chance.random() < 0.2:
        drive.now += timedelta(hours=chance.choice([1, 3]))
    drive.advance(*chance.sample(items, k=min(len(items), chance.choice([1, 2]))))


def _item(chance: random.Random, wait: Wait, failing: set[str]) -> Item:
    if wait.kind is WaitKind.TASK:
        return Item(ItemKind.TASK_COMPLETED, wait.node, {"decision": "approve"}, actor="usr_1")
    if wait.kind is WaitKind.MESSAGE:
        return Item(ItemKind.MESSAGE, wait.node, {"name": wait.message, "variables": {"n": 1}})
    luck = chance.random()
    if luck < 0.3 and wait.element in failing:
        return Item(ItemKind.CALL_ERROR, wait.node, {"code": "X", "message": "", "facts": {"at": wait.node}})
    if luck > 0.95:
        return Item(ItemKind.CALL_FAILED, wait.node, {"message": "connection refused"})
    return Item(ItemKind.CALL_RESULT, wait.node, {"r": wait.node})


def _check_journal(drive: Drive) -> None:
    """Every activation is entered once and left or canceled once; who leaves takes as many flows as are drawn."""
    kinds = {kind: Counter(e.node for e in drive.journal if e.kind is kind) for kind in JournalKind}
    if set(kinds[JournalKind.ENTERED].values()) - {1}:
        raise Unlike(f"entered twice: {kinds[JournalKind.ENTERED].most_common(3)}")
    out = kinds[JournalKind.LEFT] + kinds[JournalKind.CANCELED]
    if out != kinds[JournalKind.ENTERED]:
        raise Unlike(f"in and out differ: {(out - kinds[JournalKind.ENTERED]) + (kinds[JournalKind.ENTERED] - out)}")
    taken = Counter(e.element for e in drive.journal if e.kind is JournalKind.TAKEN)
    left = Counter(e.element for e in drive.journal if e.kind is JournalKind.LEFT)
    for diagram in drive.bundle.diagrams.values():
        for element in diagram.elements.values():
            one_way = ("scriptTask", "userTask", "intermediateCatchEvent", "boundaryEvent", "exclusiveGateway")
            if element.kind in one_way and sum(taken[name] for name in element.outgoing) != left[element.id]:
                raise Unlike(f"{element.id} was left {left[element.id]} times along another number of flows")
