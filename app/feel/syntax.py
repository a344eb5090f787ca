"""The tree an expression is parsed into: frozen values, each with its offset in the text."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Type:
    """A FEEL type: `list<number>` has one argument, a context has fields, a function has arguments and a result."""

    name: str
    arguments: "tuple[Type, ...]" = ()
    fields: "tuple[tuple[str, Type], ...] | None" = None
    result: "Type | None" = None

    @property
    def deep(self) -> bool:
        """Whether telling that a value is an instance takes a look at what it holds."""
        return bool(self.arguments or self.fields)


@dataclass(frozen=True, slots=True)
class Node:
    at: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    value: Any


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Path(Node):
    base: Node
    name: str


@dataclass(frozen=True, slots=True)
class Filter(Node):
    base: Node
    test: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`names` is None for positional arguments, else one parameter name per argument."""

    function: Node
    arguments: tuple[Node, ...]
    names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Negate(Node):
    operand: Node


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`and` or `or` over two or more parts: flat, so that long conditions stay shallow."""

    operator: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Between(Node):
    value: Node
    low: Node
    high: Node


@dataclass(frozen=True, slots=True)
class In(Node):
    value: Node
    tests: "tuple[Test, ...]"


@dataclass(frozen=True, slots=True)
class If(Node):
    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Domain(Node):
    """`name in domain`, or `name in domain..end`."""

    name: str
    domain: Node
    end: Node | None


@dataclass(frozen=True, slots=True)
class For(Node):
    domains: tuple[Domain, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Quantified(Node):
    every: bool
    domains: tuple[Domain, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ContextOf(Node):
    entries: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class RangeOf(Node):
    """An end that is absent (None, as in `(< 5)`) is open without bound, unlike an end that is null."""

    start: Node | None
    end: Node | None
    start_included: bool
    end_included: bool


@dataclass(frozen=True, slots=True)
class FunctionOf(Node):
    parameters: tuple[tuple[str, Type | None], ...]
    body: Node


@dataclass(frozen=True, slots=True)
class InstanceOf(Node):
    value: Node
    type: Type


@dataclass(frozen=True, slots=True)
class Test(Node):
    """One unary test: `operator` with its operand, or an expression to be equal to or to hold (`operator` is "")."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Tests(Node):
    """A cell: matches when any test does. No tests is `-`, which matches everything."""

    tests: tuple[Test, ...]
    negated: bool


_LEAVES = ("at", "name", "names", "operator", "every")
_PARTS: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind) if field.name not in _LEAVES) for kind in Node.__subclasses__()
}


def children(node: Node) -> Iterator[Node]:
    if type(node) in (Literal, Name):
        return
    for part in _PARTS[type(node)]:
        yield from _nodes(getattr(node, part))


def _nodes(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _nodes(part)


def walk(node: Node) -> Iterator[tuple[Node, int]]:
    """Every node with its depth, without recursion: this is what checks the depth."""
    waiting = [(node, 1)]
    while waiting:
        current, depth = waiting.pop()
        yield current, depth
        waiting.extend((child, depth + 1) for child in children(current))


def weight(node: Node) -> int:
    """What one evaluation of the node costs in steps, apart from the loops inside it."""
    return 1 + sum(1 for _ in walk(node)) // 8
