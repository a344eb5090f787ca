"""Which variables an expression reads, found in its tree."""

from dataclasses import dataclass, field

from app.feel.syntax import (
    ContextOf,
    Domain,
    Filter,
    For,
    FunctionOf,
    Name,
    Node,
    Path,
    Quantified,
    children,
)


@dataclass(slots=True)
class Reads:
    """Names with the offset of their first use, dotted paths, and names that may be entries of a filtered item."""

    names: dict[str, int] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)
    possible: set[str] = field(default_factory=set)


def reads(node: Node) -> Reads:
    found = Reads()
    _visit(node, frozenset(), found, filtered=False)
    return found


def _visit(node: Node, bound: frozenset[str], found: Reads, *, filtered: bool) -> None:
    if isinstance(node, Name):
        _read(node, bound, found, filtered=filtered)
    elif isinstance(node, Path):
        _path(node, bound, found, filtered=filtered)
    elif isinstance(node, Filter):
        _visit(node.base, bound, found, filtered=filtered)
        _visit(node.test, bound | {"item"}, found, filtered=True)
    elif isinstance(node, For | Quantified):
        inner = _domains(node.domains, bound, found, filtered=filtered)
        _visit(node.body, inner | {"partial"} if isinstance(node, For) else inner, found, filtered=filtered)
    elif isinstance(node, ContextOf):
        for key, entry in node.entries:
            _visit(entry, bound, found, filtered=filtered)
            bound |= {key}
    elif isinstance(node, FunctionOf):
        _visit(node.body, bound.union(name for name, _ in node.parameters), found, filtered=filtered)
    else:
        for child in children(node):
            _visit(child, bound, found, filtered=filtered)


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


def _domains(domains: tuple[Domain, ...], bound: frozenset[str], found: Reads, *, filtered: bool) -> frozenset[str]:
    for domain in domains:
        _visit(domain.domain, bound, found, filtered=filtered)
        if domain.end is not None:
            _visit(domain.end, bound, found, filtered=filtered)
        bound |= {domain.name}
    return bound
