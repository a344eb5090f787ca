"""Where paths part and meet: conditions and defaults, and splits or merges without a gateway."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from app.engine.lint.finding import Finding, error, warning
from app.engine.lint.fix import drop_condition, set_attribute
from app.engine.lint.graph import spread
from app.engine.lint.model import GATEWAYS, Flow, Model, Node, Scope

_CONDITIONAL = frozenset({"exclusiveGateway", "inclusiveGateway"})
_JOINING = frozenset({"parallelGateway", "inclusiveGateway"})


def conditions(model: Model) -> Iterator[Finding]:
    """`gateway_without_default`, `flow_without_condition`, `condition_on_default`, `condition_not_allowed`."""
    for scope in model.scopes():
        for node in scope.nodes.values():
            flows = scope.out_of(node.id)
            if node.tag in _CONDITIONAL:
                yield from _choice(node, flows)
                continue
            for flow in flows:
                if flow.condition is not None:
                    message = (
                        f"The flow {flow.id} has a condition, but {node.label} is no exclusive or inclusive gateway"
                    )
                    remedy = "Draw an exclusive gateway behind it and put the condition on the gateway's flow."
                    yield error("condition_not_allowed", flow.id, message, remedy, flow.line)


def splits(model: Model) -> Iterator[Finding]:
    """`implicit_split`: several flows out of a node that is no gateway."""
    for scope in model.scopes():
        for node in scope.nodes.values():
            if node.tag not in GATEWAYS and len(scope.out_of(node.id)) > 1:
                message = f"{len(scope.out_of(node.id))} flows leave {node.label} without a gateway"
                remedy = "Draw a parallel gateway behind it if all paths are taken, an exclusive one if one of them is."
                yield error("implicit_split", node.id, message, remedy, node.line)


def merges(model: Model) -> Iterator[Finding]:
    """`implicit_merge`: branches that run at the same time meet where nothing waits for both, so it runs twice."""
    for scope in model.scopes():
        told: set[str] = set()
        for split in scope.nodes.values():
            branches = _at_once(scope, split)
            if len(branches) < 2:
                continue
            arriving = _arrivals(scope, branches, split.id)
            for name, flows in arriving.items():
                node = scope.nodes[name]
                if name in told or node.tag in (*_JOINING, "endEvent") or not _from_two(list(flows.values())):
                    continue
                told.add(name)
                message = f"Parallel branches of {split.label} meet at {node.label}, which then runs once for each"
                remedy = "Draw a parallel gateway before it, which waits for all branches."
                yield warning("implicit_merge", node.id, message, remedy, node.line)


def event_gateways(model: Model) -> Iterator[Finding]:
    """`event_gateway`: it waits for events, so nothing but catching events may stand directly behind it."""
    for scope in model.scopes():
        for node in scope.nodes.values():
            if node.tag != "eventBasedGateway":
                continue
            flows = scope.out_of(node.id)
            if len(flows) < 2:
                remedy = "Draw at least two events behind it, or use one catching event without a gateway."
                yield error("event_gateway", node.id, f"{node.label} has nothing to choose between", remedy, node.line)
            for flow in flows:
                target = scope.nodes.get(flow.target)
                if target is None:
                    continue
                plain = target.tag in ("intermediateCatchEvent", "receiveTask") and target.loop is None
                if not plain or scope.on(target.id):
                    message = f"{target.label} stands behind the event-based gateway {node.label} but is no plain event"
                    remedy = "Put a message or timer catch event there, and the task behind it."
                    yield error("event_gateway", target.id, message, remedy, target.line)
                elif len(scope.into(target.id)) > 1:
                    message = f"{target.label} can be reached past its event-based gateway {node.label}"
                    remedy = "Lead the other flow to the gateway, or to an event of its own."
                    yield error("event_gateway", target.id, message, remedy, target.line)


def _choice(node: Node, flows: Sequence[Flow]) -> Iterator[Finding]:
    default = node.attributes.get("default", "")
    conditional = [flow for flow in flows if flow.condition is not None]
    if (len(flows) > 1 or conditional) and default not in {flow.id for flow in flows}:
        message = f"{node.label} has no default flow, so an instance would stop there when no condition is true"
        remedy = (
            "Mark one of its flows as default, the way to take when nothing else applies: no payment gets stuck here."
        )
        open_ways = [flow for flow in flows if flow.condition is None]
        plain = len(open_ways) == 1 and not default and bool(open_ways[0].id)
        fix = set_attribute(node.id, "default", open_ways[0].id) if plain else None
        yield error("gateway_without_default", node.id, message, remedy, node.line, fix=fix)
    for flow in flows:
        if flow.condition is None and flow.id != default and len(flows) > 1:
            message = f"The flow {flow.id} out of {node.label} has no condition and is not the default"
            remedy = "Give it a condition such as =amount > 100, or make it the default."
            yield error("flow_without_condition", flow.id, message, remedy, flow.line)
        if flow.condition is not None and flow.id == default:
            message = f"The default flow {flow.id} of {node.label} has a condition, which is never looked at"
            fix = drop_condition(flow.id)
            yield error("condition_on_default", flow.id, message, "Remove the condition.", flow.line, fix=fix)


def _at_once(scope: Scope, split: Node) -> Sequence[Flow]:
    """The flows out of `split` that can all be taken: those of a gateway, or what a boundary event adds to a task."""
    if split.tag in _JOINING:
        return scope.out_of(split.id)
    beside = [event for event in scope.on(split.id) if event.attributes.get("cancelActivity") == "false"]
    added = [flow for event in beside for flow in scope.out_of(event.id)]
    return [*scope.out_of(split.id), *added] if added else ()


def _arrivals(scope: Scope, branches: Sequence[Flow], split: str) -> dict[str, dict[str, set[int]]]:
    """For every node with several incoming flows: which branches can come along each of them, unjoined."""
    arriving: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for number, branch in enumerate(branches):
        first = branch.target
        reached = spread(
            [first], lambda name: () if name == split or _waits(scope, name) else scope.following.get(name, ())
        )
        for name in reached & set(scope.nodes):
            if name == split or _waits(scope, name):
                continue
            for flow in scope.out_of(name):
                if len(scope.into(flow.target)) > 1 and flow.target in scope.nodes:
                    arriving[flow.target][flow.id].add(number)
        if len(scope.into(first)) > 1 and first in scope.nodes:
            arriving[first][branch.id].add(number)
    return arriving


def _from_two(ways: Sequence[set[int]]) -> bool:
    return any(one - other and other - one for index, one in enumerate(ways) for other in ways[index + 1 :])


def _waits(scope: Scope, name: str) -> bool:
    node = scope.nodes.get(name)
    return node is not None and node.tag in _JOINING and len(scope.into(name)) > 1
