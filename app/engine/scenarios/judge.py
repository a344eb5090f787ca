"""Comparing what happened with what was expected; every difference is a sentence."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from app.engine.scenarios.library import Library
from app.engine.scenarios.model import Expect, ExpectedTask
from app.engine.scenarios.record import Record
from app.engine.step import JournalKind, TaskRequest
from app.engine.timing import parse_date


def judge(expect: Expect, record: Record, library: Library) -> list[str]:
    """The differences, empty when all is as expected."""
    return list(_differences(expect, _Seen(record, library)))


def _differences(expect: Expect, seen: "_Seen") -> Iterator[str]:
    yield from seen.incidents(expect.incidents)
    status = expect.wanted_status
    if status is not None and status is not seen.record.step.status:
        yield f"The instance is {seen.record.step.status}, expected {status}"
    if expect.ends is not None:
        yield from _same("It ended at", seen.ends(), expect.ends)
    if expect.waits is not None:
        yield from _same("It rests at", sorted(seen.waits()), sorted(expect.waits))
    if expect.sends is not None:
        yield from _same("It sent", seen.record.sent, expect.sends)
    yield from _contains("Variable", seen.record.step.variables, expect.variables)
    yield from (f"{name} was not visited" for name in expect.visits if not seen.visited(name))
    yield from (f"{name} was visited" for name in expect.avoids if seen.visited(name))
    for name, params in expect.asks.items():
        yield from seen.asked(name, params)
    for name, task in expect.tasks.items():
        yield from seen.task(name, task)


class _Seen:
    """The record, asked by names as they stand in a scenario."""

    def __init__(self, record: Record, library: Library) -> None:
        self.record = record
        self._library = library
        self._visited = record.visited(library)

    def visited(self, name: str) -> bool:
        owner, _, short = name.rpartition("/")
        mine = self._library.diagrams[self.record.process]
        if not owner and (short in mine.elements or short in mine.flows):
            owner = mine.process
        among = [self._visited[owner]] if owner in self._visited else [] if owner else list(self._visited.values())
        return any(short in one.elements or short in one.flows for one in among)

    def ends(self) -> list[str]:
        """The end events reached in the started process itself, outside its sub-processes."""
        elements = self._library.diagrams[self.record.process].elements
        entered = [e.element for e in self.record.journal if e.kind is JournalKind.ENTERED and not e.process]
        return [name for name in entered if elements[name].kind == "endEvent" and not elements[name].parent]

    def waits(self) -> list[str]:
        """Where it rests, without the boundary events that wait beside."""
        found = []
        for wait in self.record.step.waits:
            diagram = self._library.diagrams[self._process(wait.node)]
            if diagram.elements[wait.element].kind != "boundaryEvent":
                found.append(self._short(wait.node, wait.element))
        return found

    def incidents(self, expected: Sequence[str]) -> Iterator[str]:
        left = list(expected)
        for report in self.record.step.incidents:
            names = (self._short(report.node, report.element), report.element)
            name = next((one for one in names if one in left), None)
            if name is None:
                yield f"Incident at {names[0]}: {report.message}"
            else:
                left.remove(name)
        for name in left:
            yield f"No incident at {name}"

    def asked(self, name: str, params: Mapping[str, Any]) -> Iterator[str]:
        calls = [call for node, call in self.record.calls.items() if self._means(name, node, call.element)]
        if not calls:
            yield f"{name} was never asked"
        else:
            yield from _contains(f"{name} was asked with", calls[-1].params, params)

    def task(self, name: str, expected: ExpectedTask) -> Iterator[str]:
        tasks = [task for node, task in self.record.tasks.items() if self._means(name, node, task.element)]
        if not tasks:
            yield f"Nobody was ever asked to do {name}"
        else:
            yield from _task(name, tasks[-1], expected)

    def _means(self, name: str, node: str, element: str) -> bool:
        process = self._process(node)
        named = self._library.named(self.record.process, name)
        return any(owner == process and found.id == element for owner, found in named)

    def _process(self, node: str) -> str:
        return self._library.process_at(self.record.process, node)

    def _short(self, node: str, element: str) -> str:
        process = self._process(node)
        return element if process == self.record.process else f"{process}/{element}"


def _task(name: str, task: TaskRequest, expected: ExpectedTask) -> Iterator[str]:
    seen = {
        "groups": sorted(task.candidate_groups),
        "excluded": sorted(task.excluded),
        "priority": task.priority,
        "due": task.due_at,
    }
    wanted = {
        "groups": None if expected.groups is None else sorted(expected.groups),
        "excluded": None if expected.excluded is None else sorted(expected.excluded),
        "priority": expected.priority,
        "due": None if expected.due is None else parse_date(expected.due),
    }
    for field, value in wanted.items():
        if value is not None and seen[field] != value:
            yield f"{name}: {field} is {_word(seen[field])}, expected {_word(value)}"
    yield from _contains(f"{name} shows", task.facts, expected.facts or {})


def _contains(what: str, values: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    for name, value in expected.items():
        got = values.get(name)
        if got != value or isinstance(got, bool) != isinstance(value, bool):
            there = _word(got) if name in values else "not there"
            yield f"{what} {name} is {there}, expected {_word(value)}"


def _same(what: str, got: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    if list(got) != list(expected):
        yield f"{what} {', '.join(got) or 'nothing'}, expected {', '.join(expected) or 'nothing'}"


def _word(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()
