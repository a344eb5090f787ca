"""A parallel join that waits for a branch which an earlier choice may not have taken, found by comparing what each
way of the choice can reach. It is a warning: which ways a condition leaves open cannot be known from the drawing.
"""

from collections.abc import Iterator, Sequence

from app.engine.lint.finding import Finding, warning
from app.engine.lint.graph import spread
from app.engine.lint.model import GATEWAYS, Model, Node, Scope

#: One way out of a node: the flow (or boundary event) it begins with, and every node it can reach.
Way = tuple[str, frozenset[str]]


def deadlocks(model: Model) -> Iterator[Finding]:
    """`join_deadlock`."""
    for scope in model.scopes():
        joins = [node for node in scope.nodes.values() if _is_join(scope, node)]
        if not joins:
            continue
        choices = [(node, ways) for node in scope.nodes.values() if len(ways := _choices(scope, node)) > 1]
        splits = [ways for node in scope.nodes.values() if len(ways := _branches(scope, node)) > 1]
        for join in joins:
            starving = (choice for choice, ways in choices if _starves(scope, join, choice, ways, splits))
            choice = next(starving, None)
            if choice is not None:
                message = f"{join.label} waits for every incoming flow, but {choice.label} takes only one way"
                remedy = "Join the ways of a choice with an exclusive gateway before the parallel one."
                yield warning("join_deadlock", join.id, message, remedy, join.line)


def _is_join(scope: Scope, node: Node) -> bool:
    return node.tag == "parallelGateway" and len(scope.into(node.id)) > 1


def _choices(scope: Scope, node: Node) -> list[Way]:
    """The ways of which exactly one is taken after `node`."""
    if node.tag in GATEWAYS - {"exclusiveGateway", "eventBasedGateway"}:
        return []
    interrupting = [event.id for event in scope.on(node.id) if event.interrupting]
    return _flows(scope, node) + [(name, _reach(scope, name, node.id)) for name in interrupting]


def _branches(scope: Scope, node: Node) -> list[Way]:
    return _flows(scope, node) if node.tag == "parallelGateway" else []


def _flows(scope: Scope, node: Node) -> list[Way]:
    flows = [flow for flow in scope.out_of(node.id) if flow.target in scope.nodes]
    return [(flow.id, _reach(scope, flow.target, node.id)) for flow in flows]


def _reach(scope: Scope, first: str, stop: str) -> frozenset[str]:
    return frozenset(spread([first], lambda name: () if name == stop else scope.following[name]))


def _starves(scope: Scope, join: Node, choice: Node, ways: Sequence[Way], splits: Sequence[Sequence[Way]]) -> bool:
    """Whether some way from `choice` gives `join` only a part of what the ways together give it."""
    if choice.id == join.id:
        return False
    given = [_given(scope, join, choice, way) for way in ways]
    together = frozenset[str]().union(*given)
    if len(together) > 1:
        return any(flows and flows != together for flows in given)
    if len(together) == 0 or not any(_inside(join, choice, split) for split in splits):
        return False
    return any(
        not flows and choice.id not in reached and _just_ends(scope, reached)
        for flows, (_, reached) in zip(given, ways, strict=True)
    )


def _given(scope: Scope, join: Node, choice: Node, way: Way) -> frozenset[str]:
    """The incoming flows of `join` that this way can use."""
    begin, reached = way
    return frozenset(
        flow.id
        for flow in scope.into(join.id)
        if flow.id == begin or (flow.source in reached and flow.source != choice.id)
    )


def _just_ends(scope: Scope, reached: frozenset[str]) -> bool:
    ends = [scope.nodes[name] for name in reached if scope.nodes[name].tag == "endEvent"]
    return any(not (end.has_event("terminate") or end.has_event("error")) for end in ends)


def _inside(join: Node, choice: Node, split: Sequence[Way]) -> bool:
    """Whether the choice stands inside one of the branches that the join waits for."""
    holding = [choice.id in reached for _, reached in split]
    return any(holding) and not all(holding) and all(join.id in reached for _, reached in split)
