"""A drive that can be moved to another version of its diagram, told when its timers began as the store would."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from app.engine.bundle import Bundle
from app.engine.moving import Course, Moved, move
from app.engine.moving_rules import Refusal
from app.engine.step import Item, Step
from tests.engine.drive import Drive, bundle_of


def again(xml: bytes) -> bytes:
    """The same diagram in another file."""
    return xml.replace(b'name="Process ', b'name="Again ')


class Movable(Drive):
    since: dict[tuple[str, datetime], datetime]
    former: Sequence[Bundle] = ()

    def advance(self, *items: Item) -> Step:
        step = super().advance(*items)
        self.since = getattr(self, "since", {})
        for wait in step.waits:
            if wait.due_at is not None:
                self.since.setdefault((wait.node, wait.due_at), self.now)
        return step

    def try_move(
        self, *diagrams: bytes, mapping: Mapping[str, str] | None = None, money: frozenset[str] = frozenset()
    ) -> Moved | tuple[Refusal, ...]:
        """To these diagrams; of the one that starts unless another of them differs. Nothing changes when refused."""
        after = bundle_of(*diagrams)
        process = next(
            (n for n, one in after.diagrams.items() if one is not self.bundle.diagrams.get(n)), after.process
        )
        since = {node: self.since[node, due] for node, due in ((w.node, w.due_at) for w in self.step.waits) if due}
        course = Course(process, after, mapping or {}, money, self.former)
        found = move(self.bundle, self.state, course, since, self.now, "usr_op")
        if isinstance(found, Moved):
            began = {found.nodes[node]: at for node, at in since.items() if node in found.nodes}
            self.former = [*self.former, self.bundle]
            self.bundle, self._kept, self.state, self.step = after, found.run, found.run.dump(), found.step
            self.journal.extend(found.step.journal)
            for wait in found.step.waits:
                if wait.due_at is not None:
                    self.since[wait.node, wait.due_at] = began.get(wait.node, self.now)
        return found

    def move(self, *diagrams: bytes, **mapping: str) -> Moved:
        found = self.try_move(*diagrams, mapping=mapping)
        assert isinstance(found, Moved), found
        return found

    def refused(self, *diagrams: bytes, **mapping: str) -> list[tuple[str, str]]:
        """Codes and elements of the refusals."""
        before = self.state
        found = self.try_move(*diagrams, mapping=mapping)
        assert isinstance(found, tuple), "it was moved"
        assert self.state == before
        return [(one.code, one.element) for one in found]
