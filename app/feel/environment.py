"""What the compiler knows at a place in the tree: which names are bound around it, and how to compile a part."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from app.feel.scope import Code
from app.feel.syntax import Node


@dataclass(frozen=True, slots=True)
class Environment:
    """`bound` are names of enclosing frames; `dynamic` says that a filter around may bind any name.

    `declared` are the names given to the compiler: one that is also a built-in function shadows it.
    """

    compiler: "Callable[[Node, Environment], Code]"
    declared: frozenset[str]
    bound: frozenset[str] = frozenset()
    dynamic: bool = False

    def compile(self, node: Node) -> Code:
        return self.compiler(node, self)

    def binding(self, names: Iterable[str]) -> "Environment":
        return replace(self, bound=self.bound.union(names))

    def in_filter(self) -> "Environment":
        return replace(self, dynamic=True, bound=self.bound | {"item"})

    def is_free(self, name: str) -> bool:
        """Whether nothing but the variables and the built-in functions can give the name a value."""
        return not self.dynamic and name not in self.bound
