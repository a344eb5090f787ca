"""When an instance may not be moved to another version of its diagram, with a sentence on why and what helps."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from SpiffWorkflow.util.task import TaskState

from app.engine.bundle import Bundle
from app.engine.dialect import Diagram
from app.engine.driver import Instance, Scope, Token
from app.engine.elements import Element, Flow

_JOINS = frozenset({"parallelGateway", "inclusiveGateway"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an instance stays where it is. `element` is of the old diagram, empty where it is not about one."""

    code: str
    element: str
    message: str

    def view(self) -> dict[str, str]:
        return {"code": self.code, "element": self.element, "message": self.message}


def _refusal(code: str, token: Token, message: str) -> Refusal:
    return Refusal(code, token.element.id, message)


def calls_itself(bundle: Bundle) -> Refusal | None:
    """No circle was published; one can come of processes that are pinned to versions of different times."""
    for process, diagram in bundle.diagrams.items():
        if process in _reached(bundle, diagram.called):
            sentence = (
                f"{process} would call itself, for what it calls leads back to it; move {process} as well, and first"
            )
            return Refusal("call_cycle", "", sentence)
    return None


def about_to_move(scope: Scope, live: Sequence[Token]) -> Refusal | None:
    ready = [token for token in (scope.task_tree, *live) if token.has_state(TaskState.READY)]
    if not ready:
        return None
    return Refusal("about_to_move", scope.diagram.process, "It is about to go on by itself; try again in a moment")


def no_counterpart(token: Token, *, elsewhere: bool) -> Refusal:
    where = token.element.id
    if elsewhere:
        sentence = f"It waits at {where}, which lies in another sub-process now; map it to an element of the same scope"
        return _refusal("scope_differs", token, sentence)
    sentence = f"It waits at {where}, which the new version does not have; map it to the element that takes its place"
    return _refusal("no_counterpart", token, sentence)


def differences(token: Token, new: Element) -> list[Refusal]:
    """What forbids that the token goes on at `new`, of which only the id is known to be meant."""
    old = token.element
    if "call" in token.internal_data and token.incident is None:
        return [_refusal("call_under_way", token, f"The call of {old.id} is under way; try again when it is answered")]
    if old.kind != new.kind:
        return [_refusal("kind_differs", token, f"{old.id} is a {old.kind} and {new.id} a {new.kind}")]
    before, after = _event(old), _event(new)
    if before != after:
        return [_refusal("kind_differs", token, f"{old.id} waits for {before} and {new.id} for {after}")]
    if _loop(old) != _loop(new):
        return [_refusal("loop_differs", token, f"{new.id} runs for each item of a collection in another way")]
    if old.called != new.called:
        sentence = f"{old.id} runs {old.called} and {new.id} would run {new.called}; wait until it has left"
        return [_refusal("called_process_differs", token, sentence)]
    if bool(old.operation) != bool(new.operation):
        return [_refusal("kind_differs", token, f"Only one of {old.id} and {new.id} calls an operation")]
    return []


def _event(element: Element) -> str:
    if element.event is not None:
        return element.event.kind
    return "message" if element.message is not None else "nothing"


def _loop(element: Element) -> tuple[bool, bool] | None:
    return (element.loop.sequential, bool(element.loop.output_collection)) if element.loop is not None else None


def repeats_under_another_name(old: Token, new: Token) -> Refusal | None:
    """A call that may have taken effect is only ever repeated by the same activation, which gives it the same key."""
    if "call" not in old.internal_data:
        return None
    if old.node == new.node and old.element.operation == new.element.operation:
        return None
    sentence = (
        f"The call of {old.element.id} failed and may be repeated, which is safe only under the same id and with "
        f"the same operation; repair it first"
    )
    return _refusal("incident_cannot_move", old, sentence)


def same_boundary(old: Element, new: Element) -> bool:
    return old.event is not None and new.event is not None and old.event.kind == new.event.kind


def cannot_wait(token: Token, why: str) -> Refusal:
    return _refusal("cannot_wait", token, f"What {token.element.id} would wait for cannot be told: {why}")


def flow_gone(token: Token, flow: str) -> Refusal:
    sentence = f"A branch has reached {token.element.id} along {flow}, and the new version has no one flow for it"
    return _refusal("join_differs", token, sentence)


def shared_places(pairs: Sequence[tuple[Token, Token]]) -> list[Refusal]:
    """Different elements that are waited at beside each other stay different, or what follows would run twice."""
    found, first = [], dict[str, str]()
    for old, new in pairs:
        other = first.setdefault(new.element.id, old.element.id)
        if other != old.element.id:
            sentence = f"It waits at {other} and {old.element.id}, and {new.element.id} cannot take the place of both"
            found.append(_refusal("place_shared", old, sentence))
    return found


def join_differs(token: Token) -> Refusal | None:
    """A join that waits must have something to wait for, and something must be able to come."""
    if "got" not in token.internal_data or token.incident is not None:
        return None
    live = token.scope.live()
    where = token.element.id
    if token.task_spec.complete(token) or token.task_spec.settle(token, live):
        return _refusal("join_differs", token, f"{where} waits for a branch that the new version does not have")
    if token.task_spec.stuck(token, live):
        return _refusal("join_differs", token, f"{where} would wait for a branch that nothing can bring any more")
    return None


def race_of(token: Token) -> str:
    """The activation of the event-based gateway the token waits behind; empty where it waits alone."""
    race: str = token.internal_data.get("race", [""])[0]
    return race


def way_from_event_gateway(diagram: Diagram, element: Element) -> Flow | None:
    ways = [diagram.flows[identity] for identity in element.incoming]
    return next((way for way in ways if diagram.elements[way.source].kind == "eventBasedGateway"), None)


def race_differs(token: Token) -> Refusal:
    sentence = f"{token.element.id} races with other events, and the new version has them behind no common gateway"
    return _refusal("race_differs", token, sentence)


def repeated_money(old: Instance, new: Instance, money: frozenset[str], former: Sequence[Bundle]) -> list[Refusal]:
    """Money operations that were called already, that the old way does not reach again and the new way does.

    `former` are the versions the instance was moved away from before; it may have called them there.
    """
    again = _ahead(new, money) - _ahead(old, money)
    done = _called(old, money, former)
    return [
        Refusal("runs_again", done[name], f"{done[name]} has called {name}, and the new version would call it again")
        for name in sorted(again & done.keys())
    ]


def money_twice(pairs: Sequence[tuple[Token, Token]], money: frozenset[str]) -> Refusal | None:
    """Parallel branches that met before a money operation, and would each come to it in the new version."""
    before, after = (Counter[str](), Counter[str]())
    for branch in _branches(pairs):
        for count, place in ((before, 0), (after, 1)):
            count.update({name for pair in branch for name in _money_alone(pair[place], money)})
    twice = sorted(name for name, number in after.items() if number > max(1, before[name]))
    if not twice:
        return None
    token = next(old for old, new in pairs if twice[0] in _money_alone(new, money))
    sentence = f"{after[twice[0]]} of its branches would each call {twice[0]}; wait until they have met"
    return _refusal("runs_again", token, sentence)


def _branches(pairs: Sequence[tuple[Token, Token]]) -> Iterable[list[tuple[Token, Token]]]:
    """Tokens that go on beside each other: of a race only one does, and a border goes with what it is on."""
    found: dict[str, list[tuple[Token, Token]]] = {}
    for old, new in pairs:
        if old.internal_data.keys().isdisjoint(("host", "body")):
            found.setdefault(race_of(old) or old.node, []).append((old, new))
    return found.values()


def _money_alone(token: Token, money: frozenset[str]) -> set[str]:
    """The money operations that a token comes to in its scope without having to meet another."""
    elements, flows = token.scope.diagram.elements, token.scope.diagram.flows
    bundle, found, seen = token.instance.bundle, set[str](), set[str]()
    todo = _next(token.element, flows) if _hosts(token) or "got" in token.internal_data else [token.element.id]
    while todo:
        element = elements[todo.pop()]
        if element.id in seen or (element.kind in _JOINS and len(element.incoming) > 1):
            continue
        seen.add(element.id)
        found |= _money_of(element, bundle, money)
        todo += _next(element, flows)
        todo += [inner.id for inner in elements.values() if inner.parent == element.id]
    return found


def _next(element: Element, flows: Mapping[str, Flow]) -> list[str]:
    return [*element.boundaries, *(flows[flow].target for flow in element.outgoing)]


def _called(instance: Instance, money: frozenset[str], former: Sequence[Bundle]) -> dict[str, str]:
    """The money operations that were called so far, each with an element that did it."""
    running = Counter((id(token.scope.counts), token.element.id) for token in instance.tokens() if _hosts(token))
    found: dict[str, str] = {}
    for scope in instance.scopes():
        for bundle in (instance.bundle, *former):
            diagram = bundle.diagrams.get(scope.diagram.process)
            for element in diagram.elements.values() if diagram is not None else ():
                left = scope.counts.get(element.id, 0) - running[id(scope.counts), element.id]
                if left > 0:  # what a called process that still runs has done is told by its own counters
                    found |= dict.fromkeys(_money_of(element, bundle, money), element.id)
    return found


def _ahead(instance: Instance, money: frozenset[str]) -> set[str]:
    """The money operations that tokens can still reach."""
    found: set[str] = set()
    for token in instance.tokens():
        for element in _reachable(token):
            found |= _money_of(element, instance.bundle, money)
    return found


def _hosts(token: Token) -> bool:
    return token.instance.subscope(token) is not None


def _reachable(token: Token) -> list[Element]:
    """Where a token can come to: itself, unless what is inside it has tokens of its own, and all that follows."""
    elements, flows = token.scope.diagram.elements, token.scope.diagram.flows
    seen: set[str] = set()
    todo = _after(token.element, elements, flows) if _hosts(token) else [token.element.id]
    while todo:
        identity = todo.pop()
        if identity not in seen:
            seen.add(identity)
            todo += _after(elements[identity], elements, flows)
            todo += [inner.id for inner in elements.values() if inner.parent == identity]
    return [elements[identity] for identity in seen]


def _after(element: Element, elements: Mapping[str, Element], flows: Mapping[str, Flow]) -> list[str]:
    """What may follow an element: leaving a sub-process goes on behind it, and its border may catch."""
    found: list[str] = []
    while True:
        found += _next(element, flows)
        if not element.parent:
            return found
        element = elements[element.parent]


def _money_of(element: Element, bundle: Bundle, money: frozenset[str]) -> set[str]:
    """What an element may call, through the processes it calls as well."""
    called = _reached(bundle, [element.called] if element.called else [])
    return {element.operation, *(name for process in called for name in bundle.diagrams[process].operations)} & money


def _reached(bundle: Bundle, called: Iterable[str]) -> set[str]:
    """These processes, and those that they call."""
    seen, todo = set[str](), list(called)
    while todo:
        process = todo.pop()
        if process not in seen:
            seen.add(process)
            todo += bundle.diagrams[process].called
    return seen
