"""What an instance runs on: the published versions of everything its process may touch, fixed when it starts.

`pins` is `{"process": id, "processes": {id: definition id}, "decisions": {decision id: ...}, "forms": {form id: ...}}`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import select, text

from app.decisions import parse_decisions
from app.engine.bundle import Bundle
from app.engine.definitions import PUBLISHED, published, with_ids
from app.engine.dialect import parse_diagram
from app.engine.forms import Form, read_form
from app.engine.models import Definition
from app.errors import Conflict, NotFound
from app.kit.database import Json, Tx

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Pinned:
    """The definition a new instance of a process runs, and the pins of everything it reaches."""

    definition_id: str
    version: int
    pins: Mapping[str, Any]


# Asked for with every payment that is taken: putting the statement together would cost as much as carrying it out.
_PUBLISHED = text("SELECT id FROM definitions WHERE merchant_id = :merchant_id AND status = :status ORDER BY id")


def pins_for(tx: Tx, merchant_id: str, process: str) -> Pinned:
    """What a new instance of the published `process` is pinned to; worked out once for what is published together.

    NotFound when it is not published, Conflict when something it reaches is not.
    """
    ids = tuple(tx.column(_PUBLISHED, {"merchant_id": merchant_id, "status": PUBLISHED}))
    return _pinned.get((process, *ids), lambda: _pin(tx, ids, process))


def _pin(tx: Tx, ids: Sequence[str], process: str) -> Pinned:
    # Those and no others, though something else may be published by now: what is made is kept under these ids.
    standing = Standing.of(with_ids(tx, ids))
    if process not in standing.processes:
        raise NotFound(f"No version of the process {process!r} is published")
    pins: Json = {"process": process, "processes": {}, "decisions": {}, "forms": {}}
    definition = standing.processes[process]
    standing.pin(pins, definition)
    return Pinned(definition.id, definition.version, pins)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is published, by the names that diagrams use."""

    processes: Mapping[str, Definition]
    decisions: Mapping[str, Definition]
    forms: Mapping[str, Definition]

    @classmethod
    def of(cls, standing: Sequence[Definition]) -> "Standing":
        return cls(
            {one.key: one for one in standing if one.kind == "bpmn"},
            {name: one for one in standing if one.kind == "dmn" for name in one.uses["defines"]},
            {one.key: one for one in standing if one.kind == "form"},
        )

    def pin(self, pins: Json, first: Definition) -> None:
        """Add `first`, the forms and decisions it uses, and the same for every process it calls that has no pin."""
        pins["processes"][first.key] = first.id
        for one in (order := [first]):
            for called in one.uses["processes"]:
                if called not in pins["processes"]:
                    order.append(_found(self.processes, called, "process", one.key))
                    pins["processes"][called] = order[-1].id
            used = one.uses
            pins["decisions"] |= {n: _found(self.decisions, n, "decision", one.key).id for n in used["decisions"]}
            pins["forms"] |= {n: _found(self.forms, n, "form", one.key).id for n in used["forms"]}


def moved_pins(standing: Standing, pins: Mapping[str, Any], target: Definition) -> Json:
    """The pins of an instance that goes on with `target`: what only other diagrams use stays as it was pinned.

    Conflict when `target` uses something that is not published.
    """
    moved: Json = {name: dict(value) if isinstance(value, dict) else value for name, value in pins.items()}
    standing.pin(moved, target)
    return moved


def operations_of(tx: Tx, pins: Mapping[str, Any]) -> set[str]:
    """The operations that an instance with these pins may call."""
    uses = tx.session.scalars(select(Definition.uses).where(Definition.id.in_(pins["processes"].values())))
    return {name for used in uses for name in used["operations"]}


def entries(tx: Tx, merchant_id: str) -> dict[str, set[str]]:
    """The published processes that no other published one calls, each with the operations it may reach."""
    standing = Standing.of(published(tx, merchant_id))
    called = {name for one in standing.processes.values() for name in one.uses["processes"]}
    return {
        name: {operation for part in _parts(standing, one) for operation in part.uses["operations"]}
        for name, one in standing.processes.items()
        if name not in called
    }


def _parts(standing: Standing, first: Definition) -> list[Definition]:
    """The process and all that it calls, as far as that is published."""
    names = [first.key]
    for name in names:
        if name in standing.processes:
            names += [one for one in standing.processes[name].uses["processes"] if one not in names]
    return [standing.processes[name] for name in names if name in standing.processes]


def load_bundle(tx: Tx, pins: Mapping[str, Any]) -> Bundle:
    """Everything an instance with these pins runs; the same object for the same pins, without a query."""
    ids = sorted({*pins["processes"].values(), *pins["decisions"].values()})
    return _bundles.get((pins["process"], *ids), lambda: _bundle(tx, pins, ids))


def load_form(tx: Tx, definition_id: str) -> Form:
    """The form of a pinned definition."""
    return _forms.get(definition_id, lambda: _form(_contents(tx, [definition_id])[definition_id]))


class Kept(Generic[V]):
    """The most recently used values, made once. What is kept is immutable and its key never means anything else."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()  # outside the lock: making it reads the database
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._limit:
                self._values.popitem(last=False)
        return value


_pinned: Kept[Pinned] = Kept(1024)
_bundles: Kept[Bundle] = Kept(128)
_forms: Kept[Form] = Kept(512)


def _bundle(tx: Tx, pins: Mapping[str, Any], ids: Sequence[str]) -> Bundle:
    contents = _contents(tx, ids)
    models = {one: parse_decisions(contents[one]) for one in set(pins["decisions"].values())}
    return Bundle(
        process=pins["process"],
        diagrams={name: parse_diagram(contents[one]) for name, one in pins["processes"].items()},
        decisions={name: models[one] for name, one in pins["decisions"].items()},
    )


def _contents(tx: Tx, ids: Sequence[str]) -> dict[str, bytes]:
    rows = tx.session.execute(select(Definition.id, Definition.content).where(Definition.id.in_(ids)))
    contents = {row.id: row.content for row in rows}
    lost = sorted(set(ids) - contents.keys())
    if lost:
        raise NotFound(f"There is no definition {lost[0]!r}")
    return contents


def _form(content: bytes) -> Form:
    form, problems = read_form(content)
    if form is None:
        raise Conflict(f"The stored form can no longer be read: {problems[0][0]}: {problems[0][1]}")
    return form


def _found(standing: Mapping[str, Definition], name: str, kind: str, user: str) -> Definition:
    if name not in standing:
        raise Conflict(f"{user} uses the {kind} {name!r}, which is not published; publish it first")
    return standing[name]
