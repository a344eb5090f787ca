"""Which variables an expression reads, found in its tree."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.feel.registry import BUILTINS, fitting
from app.feel.syntax import (
    Call,
    ContextOf,
    Filter,
    For,
    FunctionOf,
    In,
    Name,
    Node,
    Path,
    Quantified,
    children,
)

_NONE: frozenset[str] = frozenset()


@dataclass(slots=True)
class Reads:
    """Names with the offset of their first use, dotted paths, and names that may be entries of a filtered item.

    `called` are the free names that are called like functions, inside filters as well; `misfits` are standard functions
    called with arguments they cannot take.
    """

    names: dict[str, int] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)
    possible: set[str] = field(default_factory=set)
    called: dict[str, int] = field(default_factory=dict)
    misfits: dict[str, int] = field(default_factory=dict)


def reads(node: Node) -> Reads:
    found = Reads()
    _visit(node, frozenset(), found, filtered=False)
    return found


def _visit(node: Node, bound: frozenset[str], found: Reads, *, filtered: bool) -> None:
    if isinstance(node, Name):
        _read(node, bound, found, filtered=filtered)
        return
    if isinstance(node, Path):
        _path(node, bound, found, filtered=filtered)
        return
    standard = _standard_name(node, bound)
    if standard and isinstance(node, Call) and fitting(standard, len(node.arguments), node.names) is None:
        found.misfits.setdefault(standard, node.at)
    if not standard and isinstance(node, Call) and isinstance(node.function, Name) and node.function.name not in bound:
        found.called.setdefault(node.function.name, node.function.at)
    for part, names in _parts(node):
        if not (standard and isinstance(node, Call) and part is node.function):
            inside_filter = filtered or (isinstance(node, Filter) and part is node.test)
            _visit(part, bound | names, found, filtered=inside_filter)


def _standard_name(node: Node, bound: frozenset[str]) -> str | None:
    """The standard function a node calls by its name; None for anything else."""
    if not isinstance(node, Call) or not isinstance(node.function, Name):
        return None
    name = node.function.name
    return name if name in BUILTINS and name not in bound else None


def _parts(node: Node) -> Iterator[tuple[Node, frozenset[str]]]:
    """The parts of a node, each with the names the node binds in it."""
    if isinstance(node, Filter):
        yield node.base, _NONE
        yield node.test, frozenset({"item"})
    elif isinstance(node, For | Quantified):
        bound = _NONE
        for domain in node.domains:
            yield from ((part, bound) for part in (domain.domain, domain.end) if part is not None)
            bound |= {domain.name}
        yield node.body, bound | {"partial"} if isinstance(node, For) else bound
    elif isinstance(node, In):
        yield node.value, _NONE
        yield from ((test, frozenset("?")) for test in node.tests)
    elif isinstance(node, ContextOf):
        for index, (_, entry) in enumerate(node.entries, 1):
            # A function may call itself; anything else sees only what stands before it.
            seen = index if isinstance(entry, FunctionOf) else index - 1
            yield entry, frozenset(key for key, _ in node.entries[:seen])
    elif isinstance(node, FunctionOf):
        yield node.body, frozenset(name for name, _ in node.parameters)
    else:
        yield from ((child, _NONE) for child in children(node))


def _read(node: Name, bound: frozenset[str], found: Reads, *, filtered: bool) -> None:
    if node.name in bound:
        return
    if filtered:
        found.possible.add(node.name)
    else:
        found.names.setdefault(node.name, node.at)


def _path(node: Path, bound: frozenset[str], found: Reads, *, filtered: bool) -> None:
    names, base = [node.name], node.base
    while isinstance(base, Path):
        names.append(base.name)
        base = base.base
    if isinstance(base, Name) and base.name not in bound and not filtered:
        found.paths.add(".".join([base.name, *reversed(names)]))
    _visit(base, bound, found, filtered=filtered)
