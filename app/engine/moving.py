"""Moving an instance to another version of a diagram: a pure function of state, bundles, mapping and time.

Every token that rests is set down at its counterpart with its variables and everything it waits for. Where that would
not keep its meaning the instance is refused, with one reason per element; the rules of that are in `moving_rules.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.engine import codec
from app.engine import moving_rules as rules
from app.engine.bundle import Bundle
from app.engine.driver import Instance, Scope, Token
from app.engine.elements import Element, Message, Timer
from app.engine.events import open_message, open_timer
from app.engine.expressions import EvaluationFailed
from app.engine.moving_rules import Refusal
from app.engine.runner import Run
from app.engine.step import JournalEntry, JournalKind, Step
from app.engine.timing import parse_cycle


@dataclass(frozen=True, slots=True)
class Course:
    """Where to: `mapping` renames elements of the diagram of `process`; what it leaves out keeps its id.

    `money` are the operations that move money, `former` the versions the instance was on before the present one,
    `facts` what the journal says besides what changed.
    """

    process: str
    bundle: Bundle
    mapping: Mapping[str, str] = field(default_factory=dict)
    money: frozenset[str] = frozenset()
    former: Sequence[Bundle] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moved:
    """An instance after its move. `nodes` maps every activation that is still alive to what it is called now."""

    run: Run
    step: Step
    nodes: Mapping[str, str]


def move(
    bundle: Bundle, state: bytes, course: Course, since: Mapping[str, datetime], now: datetime, actor: str = ""
) -> Moved | tuple[Refusal, ...]:
    """The instance on its new bundle, or why it cannot be moved. `since` tells for each timer's node when it began."""
    circle = rules.calls_itself(course.bundle)
    if circle is not None:
        return (circle,)
    mover = _Mover(codec.load(bundle, state), course, since, now)
    mover.scope(mover.old, mover.new)
    if not mover.refusals:
        mover.refusals += rules.repeated_money(mover.old, mover.new, course.money, course.former)
    if mover.refusals:
        return tuple(mover.refusals)
    mover.new.journal[:0] = [mover.entry(actor), *mover.old.journal]
    run = Run(mover.new)
    return Moved(run, run.rest(), mover.nodes)


def undoing(entries: Sequence[JournalEntry]) -> list[JournalEntry]:
    """What the journal says when a move with these entries is taken back: who left comes again, who came leaves."""
    ends = [one for one in entries if one.kind is JournalKind.ENTERED]
    begins = [one for one in entries if one.kind in (JournalKind.LEFT, JournalKind.CANCELED)]
    left = [
        one._replace(kind=JournalKind.LEFT if "moved_from" in one.facts else JournalKind.CANCELED, facts={})
        for one in ends
    ]
    return [*left, *(one._replace(kind=JournalKind.ENTERED, facts={}) for one in begins)]


class _Mover:
    """One move under way; `nodes` are the activations set down so far, old name to new."""

    def __init__(self, old: Instance, course: Course, since: Mapping[str, datetime], now: datetime) -> None:
        self.old = old
        self.new = Instance(course.bundle)
        self.new.now = now
        self.refusals: list[Refusal] = []
        self.nodes: dict[str, str] = {}
        self._course = course
        self._since = since
        self._now = now
        self._armed: list[str] = []
        self._closed: list[str] = []
        self._timers: dict[str, list[str]] = {}

    def entry(self, actor: str) -> JournalEntry:
        renamed = {old: new for old, new in self.nodes.items() if old != new}
        facts = {"nodes": renamed, "armed": self._armed, "closed": self._closed, "timers": self._timers}
        shown = {name: value for name, value in facts.items() if value}
        return JournalEntry(
            JournalKind.MIGRATED, self._course.process, actor=actor, facts={**self._course.facts, **shown}
        )

    def scope(self, old: Scope, new: Scope) -> None:
        """Everything in one scope, and in those inside it."""
        new.data = old.data
        new.told = dict(old.data)
        if old.called:
            new.counts.update(old.counts)
        new.plant()
        live = old.live()
        refusal = rules.about_to_move(old, live)
        if refusal is not None:
            self.refusals.append(refusal)
            return
        dropped = self._dropped_alternatives(old, live, new)
        pairs = []
        for token in live:
            if token.node in dropped:
                self._closed.append(token.node)
                token.note(JournalKind.CANCELED)
                continue
            moved = self._token(token, new)
            if moved is not None:
                pairs.append((token, moved))
        self.refusals += rules.shared_places(pairs)
        if self.refusals:
            return
        for token, moved in pairs:
            self._arm(token, moved)
        self._open_alternatives(pairs)
        for _, moved in pairs:
            self._add(rules.join_differs(moved))
        self._add(rules.money_twice(pairs, self._course.money))

    def counterpart(self, old: Scope, element: str, new: Scope) -> Element | None:
        """What stands for an old element in the same scope of the new diagram."""
        name = self._mapped(old, element)
        found = new.diagram.elements.get(name)
        return found if found is not None and name in new.spec.task_specs else None

    def _mapped(self, old: Scope, element: str) -> str:
        return self._course.mapping.get(element, element) if old.diagram.process == self._course.process else element

    def _add(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            self.refusals.append(refusal)

    def _token(self, token: Token, new: Scope) -> Token | None:
        element = self.counterpart(token.scope, token.element.id, new)
        if "host" in token.internal_data and not self._still_at_border(token, element):
            self._closed.append(token.node)
            return None
        if element is None:
            elsewhere = self._mapped(token.scope, token.element.id) in new.diagram.elements
            self._add(rules.no_counterpart(token, elsewhere=elsewhere))
            return None
        found = rules.differences(token, element)
        self.refusals += found
        return None if found else self._set_down(token, element, new)

    def _still_at_border(self, token: Token, element: Element | None) -> bool:
        host = self.nodes.get(token.internal_data["host"], "")
        return (
            element is not None
            and rules.same_boundary(token.element, element)
            and element.attached_to == host.rpartition("/")[2].partition("#")[0]
        )

    def _set_down(self, token: Token, element: Element, new: Scope) -> Token | None:
        number = token.number
        if element.id != token.element.id:  # a number that was used here would repeat the keys of its calls
            number = new.counts[element.id] = new.counts.get(element.id, 0) + 1
        moved = Token(new, new.spec.task_specs[element.id], new.task_tree, number)
        moved._set_state(token.state)  # noqa: SLF001 - the library's own way to force a state
        moved.data = token.data
        moved.internal_data = dict(token.internal_data)
        self.nodes[token.node] = moved.node
        if token.node != moved.node and token.internal_data.keys().isdisjoint(("host", "got")):
            token.note(JournalKind.LEFT, moved_to=moved.node)
            moved.note(JournalKind.ENTERED, moved_from=token.node)
        self._add(rules.repeats_under_another_name(token, moved))
        for reference in ("host", "body"):
            if reference in moved.internal_data:
                moved.internal_data[reference] = self.nodes[moved.internal_data[reference]]
        self._join(token, moved)
        inner = self.old.subscope(token)
        if inner is not None:
            self.scope(inner, self.new.enter_scope(moved, *moved.task_spec.inside(moved)))
        self._retime(token, moved)
        self._resubscribe(token, moved)
        return moved

    def _join(self, token: Token, moved: Token) -> None:
        """What has arrived at a join has arrived along the flow from the same element."""
        if "got" not in token.internal_data:
            return
        got: dict[str, int] = {}
        for identity, count in token.internal_data["got"].items():
            flows = moved.scope.diagram.flows
            source = self._mapped(token.scope, token.scope.diagram.flows[identity].source)
            same = [one for one in moved.element.incoming if one == identity or flows[one].source == source]
            if len(same) != 1 or same[0] in got:
                self._add(rules.flow_gone(token, identity))
                return
            got[same[0]] = count
        moved.internal_data["got"] = got

    def _retime(self, token: Token, moved: Token) -> None:
        """A timer drawn differently counts from when it began, so that it is due when it would have been."""
        before, after = timer_of(token.element), timer_of(moved.element)
        if "due" not in moved.internal_data or before is None or after is None or _same_timer(before, after):
            return
        was, cycle = moved.internal_data.pop("due"), moved.internal_data.pop("cycle", None)
        self.new.now = self._since.get(token.node, self._now)
        try:
            open_timer(moved, after)
        except EvaluationFailed as error:
            self._add(rules.cannot_wait(token, str(error)))
            return
        finally:
            self.new.now = self._now
        if cycle is not None and "cycle" in moved.internal_data and not _rounds_left(cycle, moved.internal_data):
            self._closed.append(token.node)
            moved.task_spec.disarm(moved)
            return
        if moved.internal_data["due"] != was:
            self._timers[moved.node] = [was, moved.internal_data["due"]]

    def _resubscribe(self, token: Token, moved: Token) -> None:
        before, after = message_of(token.element), message_of(moved.element)
        if "message" not in moved.internal_data or before is None or after is None or _same_message(before, after):
            return
        try:
            open_message(moved, after)
        except EvaluationFailed as error:
            self._add(rules.cannot_wait(token, str(error)))

    def _arm(self, token: Token, moved: Token) -> None:
        """Boundary events that the old version did not have begin to wait now."""
        if "body" in moved.internal_data:
            return
        old = [(token.scope.diagram.elements[one], self._mapped(token.scope, one)) for one in token.element.boundaries]
        for identity in moved.element.boundaries:
            drawn = moved.scope.diagram.elements[identity]
            known = any(name == identity and rules.same_boundary(element, drawn) for element, name in old)
            if known or drawn.event is None or drawn.event.kind not in ("timer", "message"):
                continue
            moved.scope.spec.task_specs[identity].arm(moved)
            self._begin(token, moved.scope)

    def _begin(self, cause: Token, scope: Scope) -> None:
        """Let the token that came last begin to wait."""
        token = list(scope.tasks.values())[-1]
        token.run()
        if token.incident is not None:
            self._add(rules.cannot_wait(cause, f"{token.element.id}: {token.incident[1]}"))
        self._armed.append(token.node)

    def _dropped_alternatives(self, old: Scope, live: list[Token], new: Scope) -> set[str]:
        """Events behind an event-based gateway that are no longer drawn, where another one still is."""
        dropped: set[str] = set()
        for race in {rules.race_of(token) for token in live} - {""}:
            members = [token for token in live if rules.race_of(token) == race]
            gone = {one.node for one in members if self.counterpart(old, one.element.id, new) is None}
            if len(gone) < len(members):
                dropped |= gone
        return dropped

    def _open_alternatives(self, pairs: list[tuple[Token, Token]]) -> None:
        races: dict[str, list[tuple[Token, Token]]] = {}
        for token, moved in pairs:
            race = rules.race_of(token) or self._entered(moved)
            if race:
                races.setdefault(race, []).append((token, moved))
        for race, members in races.items():
            self._race(race, members)

    def _entered(self, moved: Token) -> str:
        """A race for what waited alone and now stands behind a gateway, as if that had been entered; else empty."""
        way = rules.way_from_event_gateway(moved.scope.diagram, moved.element)
        if way is None:
            return ""
        passed = moved.scope.spawn(moved.scope.spec.task_specs[way.source], moved.scope.task_tree)
        moved.scope.remove(passed)
        return passed.node

    def _race(self, race: str, members: list[tuple[Token, Token]]) -> None:
        """Put the survivors behind their gateway in the new diagram, and open what is new there."""
        first, moved = members[0]
        diagram = moved.scope.diagram
        old_flows = first.scope.diagram.flows
        ways = {one.element.id: rules.way_from_event_gateway(diagram, one.element) for _, one in members}
        if None in ways.values() or len({way.source for way in ways.values() if way is not None}) != 1:
            self._add(rules.race_differs(first))
            return
        known = {moved.element.id}
        if "race" in first.internal_data:
            gateway = first.scope.diagram.elements[old_flows[first.internal_data["race"][1]].source]
            known = {self._mapped(first.scope, old_flows[flow].target) for flow in gateway.outgoing}
        for _, one in members:
            way = ways[one.element.id]
            assert way is not None
            one.internal_data["race"] = [race, way.id]
        here = ways[moved.element.id]
        assert here is not None
        for identity in diagram.elements[here.source].outgoing:
            target = diagram.flows[identity].target
            if target in known:
                continue
            opened = moved.scope.spawn(moved.scope.spec.task_specs[target], moved.scope.task_tree)
            opened.internal_data["race"] = [race, identity]
            opened.task_spec._update(opened)  # noqa: SLF001 - the library's own way
            self._begin(first, moved.scope)


def timer_of(element: Element) -> Timer | None:
    return element.event.timer if element.event is not None else None


def message_of(element: Element) -> Message | None:
    return element.event.message if element.event is not None else element.message


def _same_timer(one: Timer, other: Timer) -> bool:
    return (one.kind, one.value.text) == (other.kind, other.value.text)


def _same_message(one: Message, other: Message) -> bool:
    keys = [message.correlation.text if message.correlation is not None else "" for message in (one, other)]
    return one.name.text == other.name.text and keys[0] == keys[1]


def _rounds_left(former: list[Any], info: dict[str, Any]) -> bool:
    """Rounds that a cycle has had count in the new one too; False when none is left."""
    text, total = info["cycle"]
    before, left = parse_cycle(former[0]).count, former[1]
    if total is None or before is None or left is None:
        return True
    info["cycle"] = [text, total - (before - left)]
    return bool(info["cycle"][1] > 0)
