"""Walking graphs without recursion: what can be reached, which nodes lie on a common cycle, who follows whom."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from app.engine.lint.model import Node, Process, Scope

Edges = Mapping[str, Iterable[str]]


def spread(begin: Iterable[str], follow: Callable[[str], Iterable[str]]) -> set[str]:
    """Everything that can be reached from `begin`, itself included."""
    reached = set(begin)
    waiting = list(reached)
    while waiting:
        for name in follow(waiting.pop()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    return reached


def forerunners(scope: Scope, name: str) -> list[str]:
    """The nodes before `name` in its scope; before a boundary event comes its host."""
    before = [flow.source for flow in scope.into(name)]
    node = scope.nodes[name]
    if node.tag == "boundaryEvent":
        before.append(node.host)
    return [item for item in before if item in scope.nodes]


def whole(process: Process) -> dict[str, set[str]]:
    """Who may follow whom in the whole process, through embedded sub-processes and out of them again.

    An error end may be caught by any boundary event around it; that is more than can happen, never less.
    """
    edges: dict[str, set[str]] = {}
    for scope in process.scopes.values():
        for node in scope.nodes.values():
            edges.setdefault(node.id, set()).update(_after(process, scope, node))
    return edges


def on_cycles(edges: Edges) -> list[AbstractSet[str]]:
    """The strongly connected components that hold a cycle (Tarjan, on a stack of our own)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[AbstractSet[str]] = []
    for root in edges:
        if root not in index:
            _component(root, edges, index, low, stack, found)
    return found


def _after(process: Process, scope: Scope, node: Node) -> set[str]:
    after = set(scope.following.get(node.id, ()))
    inner = process.scopes.get(node.id)
    if node.tag == "subProcess" and inner is not None and inner.starts():
        after = {item.id for item in scope.on(node.id)} | {start.id for start in inner.starts()}
    if node.tag == "endEvent":
        for outer, host in process.enclosing(scope.id):
            after |= {item.id for item in outer.on(host.id)}
            if not after.isdisjoint(item.id for item in outer.on(host.id)) and node.has_event("error"):
                continue
            after |= {flow.target for flow in outer.out_of(host.id) if flow.target in outer.nodes}
            break
    return after


def _component(
    root: str, edges: Edges, index: dict[str, int], low: dict[str, int], stack: list[str], found: list[AbstractSet[str]]
) -> None:
    held = set(stack)
    index[root] = low[root] = len(index)
    stack.append(root)
    held.add(root)
    work = [(root, iter(edges.get(root, ())))]
    while work:
        name, rest = work[-1]
        for after in rest:
            if after not in index:
                index[after] = low[after] = len(index)
                stack.append(after)
                held.add(after)
                work.append((after, iter(edges.get(after, ()))))
                break
            if after in held:
                low[name] = min(low[name], index[after])
        else:
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[name])
            if low[name] == index[name]:
                _close(name, edges, stack, held, found)


def _close(name: str, edges: Edges, stack: list[str], held: set[str], found: list[AbstractSet[str]]) -> None:
    members: set[str] = set()
    while name not in members:
        member = stack.pop()
        held.discard(member)
        members.add(member)
    if len(members) > 1 or name in edges.get(name, ()):
        found.append(frozenset(members))
