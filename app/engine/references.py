"""How others name an instance: its process and version, without reading its state."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import text

from app.kit.database import Json, Tx

_NAMED = text("SELECT id, process, version FROM instances WHERE id = ANY(:ids)")


@dataclass
class _Seen:
    """What one transaction has looked up, and what it may yet ask for."""

    views: dict[str, Json] = field(default_factory=dict)
    expected: set[str] = field(default_factory=set)


def expect(tx: Tx, instance_ids: Iterable[str]) -> None:
    """Whoever asks for one of these first looks all of them up."""
    tx.own(_Seen).expected.update(instance_ids)


def reference(tx: Tx, instance_id: str | None) -> Json | None:
    """The instance as a payment shows it."""
    seen = tx.own(_Seen)
    if instance_id is not None and instance_id not in seen.views:
        missing = {instance_id, *seen.expected} - seen.views.keys()
        with tx.session.no_autoflush:
            for row in tx.rows(_NAMED, {"ids": list(missing)}):
                seen.views[row.id] = {"id": row.id, "process": row.process, "version": row.version}
    return seen.views.get(instance_id) if instance_id is not None else None


class Named(Protocol):
    """An instance, as it was made or claimed."""

    @property
    def id(self) -> str: ...
    @property
    def process(self) -> str: ...
    @property
    def version(self) -> int: ...


def made(tx: Tx, instance: Named) -> None:
    """An instance that this transaction makes, or has claimed, need not be looked up."""
    view: Json = {"id": instance.id, "process": instance.process, "version": instance.version}
    tx.own(_Seen).views[instance.id] = view
