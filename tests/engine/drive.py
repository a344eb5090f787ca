"""Two runs of the same instance side by side: one kept in memory, one written out and read again after every step.

Every test of the engine goes through here, so every test also says that an instance may be stopped anywhere.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.decisions import parse_decisions
from app.engine.bundle import Bundle
from app.engine.dialect import parse_diagram
from app.engine.runner import Run
from app.engine.step import Item, ItemKind, JournalEntry, JournalKind, Step

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bundle_of(*diagrams: bytes, decisions: bytes = b"") -> Bundle:
    """The first diagram is the one that starts."""
    parsed = [parse_diagram(xml) for xml in diagrams]
    model = parse_decisions(decisions) if decisions else None
    known = {name: model for diagram in parsed for name in diagram.decisions} if model is not None else {}
    return Bundle(parsed[0].process, {diagram.process: diagram for diagram in parsed}, known)


class Drive:
    """An instance under test; `journal` is all of it, `step` the last one, `steps` how many there were."""

    def __init__(self, *diagrams: bytes, decisions: bytes = b"", **variables: Any) -> None:
        self.bundle = bundle_of(*diagrams, decisions=decisions)
        self.now = START
        self.journal: list[JournalEntry] = []
        self.steps = 0
        self._kept = Run.start(self.bundle, variables)
        self.state = Run.start(self.bundle, variables).dump()
        self.step = self.advance()

    def advance(self, *items: Item) -> Step:
        step = self._kept.advance(items, self.now)
        again = Run.load(self.bundle, self.state)
        assert again.advance(items, self.now) == step
        self.state = again.dump()
        assert self._kept.dump() == self.state
        assert Run.load(self.bundle, self.state).dump() == self.state
        self.journal.extend(step.journal)
        self.steps += 1
        self.step = step
        return step

    def after(self, **distance: float) -> Step:
        self.now += timedelta(**distance)
        return self.advance()

    def result(self, node: str, **result: Any) -> Step:
        return self.advance(Item(ItemKind.CALL_RESULT, node, result))

    def error(self, node: str, code: str, message: str = "no", **facts: Any) -> Step:
        return self.advance(Item(ItemKind.CALL_ERROR, node, {"code": code, "message": message, "facts": facts}))

    def failed(self, node: str, message: str = "connection refused") -> Step:
        return self.advance(Item(ItemKind.CALL_FAILED, node, {"message": message}))

    def message(self, node: str, name: str, **variables: Any) -> Step:
        return self.advance(Item(ItemKind.MESSAGE, node, {"name": name, "variables": variables}))

    def decide(self, node: str, decision: str, actor: str = "usr_1", **more: Any) -> Step:
        payload = {"decision": decision, "reason": "because", "note": "", "data": {}, "actor": actor, **more}
        return self.advance(Item(ItemKind.TASK_COMPLETED, node, payload, actor=actor))

    def retry(self, node: str, variables: Mapping[str, Any] | None = None) -> Step:
        payload = {"variables": variables} if variables is not None else {}
        return self.advance(Item(ItemKind.RETRY, node, payload, actor="usr_op"))

    def cancel(self, reason: str = "asked to") -> Step:
        return self.advance(Item(ItemKind.CANCEL, payload={"reason": reason}, actor="usr_op"))

    @property
    def taken(self) -> list[str]:
        return [entry.element for entry in self.journal if entry.kind is JournalKind.TAKEN]

    @property
    def open_nodes(self) -> list[str]:
        return [wait.node for wait in self.step.waits]

    def nodes(self, kind: JournalKind) -> list[str]:
        return [entry.node for entry in self.journal if entry.kind is kind]

    def facts(self, kind: JournalKind) -> list[dict[str, Any]]:
        return [dict(entry.facts) for entry in self.journal if entry.kind is kind]
