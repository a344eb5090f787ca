"""Which names an expression of a model sees where it stands, and what it means to read another one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from app.decisions.errors import Finding
from app.feel.expression import Compiled


class Others(Enum):
    """What may be there beside the names that are declared."""

    ANYTHING = auto()  # whatever variables the flow has, or an item's entries
    DOUBTFUL = auto()  # the same, but the decision declares what it reads, so it seems to have declared everything
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Visible:
    names: frozenset[str] = frozenset()
    others: Others = Others.ANYTHING

    def plus(self, names: Iterable[str]) -> "Visible":
        return replace(self, names=self.names.union(names))

    def open(self) -> "Visible":
        return replace(self, others=Others.ANYTHING)

    def closed(self) -> "Visible":
        """Of a function that is invoked: variables hold data, so none of them can be one."""
        return replace(self, others=Others.NOTHING)

    def strange(self, compiled: Compiled, owner: str) -> Iterator[Finding]:
        """`unknown_function`, which is null for ever, and `unknown_name`, which may be."""
        shown = compiled.text if len(compiled.text) <= 80 else f"{compiled.text[:77]}..."
        wrong = compiled.uncallable(self.names)
        for one in wrong:
            message = f"{shown} calls a function that is not there in this way (line {one.line}, column {one.column})."
            remedy = f"{one.sentence} Use a function of FEEL, or draw and require a business knowledge model."
            yield Finding("unknown_function", owner, message, remedy)
        if self.others is Others.ANYTHING:
            return
        called = {one.sentence for one in wrong}
        for one in compiled.unknown(self.names):
            if one.sentence not in called:
                message = f"{shown} reads a name that is not declared (line {one.line}, column {one.column})."
                remedy = f"{one.sentence} Correct the name, or draw the input, decision or parameter it stands for."
                yield Finding("unknown_name", owner, message, remedy, certain=self.others is Others.NOTHING)
