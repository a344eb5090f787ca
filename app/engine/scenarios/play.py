"""Playing a scenario: the real runner, a clock of its own, and the scenario in place of gateways, people and time."""

from collections.abc import Sequence
from datetime import datetime

from app.engine.bundle import Bundle
from app.engine.runner import Run
from app.engine.scenarios.answers import default_for, keys_for, result_of
from app.engine.scenarios.judge import judge
from app.engine.scenarios.library import Library
from app.engine.scenarios.model import Answer, Arriving, Decide, Event, Repair, Scenario, Suite
from app.engine.scenarios.record import Record
from app.engine.scenarios.verdict import Verdict
from app.engine.step import Call, Item, ItemKind, Step, WaitKind
from app.engine.timing import parse_date, parse_due
from app.operations import InvalidParameters

#: Calls without a rest between them, and firings within one wait, after which a scenario is taken for endless.
MAX_ROUNDS = 500
MAX_FIRINGS = 1000


def play(suite: Suite, scenario: Scenario, library: Library) -> Verdict:
    """Play one scenario of a suite that `check` accepted. Pure: the same file gives the same verdict."""
    player = _Player(suite, scenario, library, library.bundle(suite.process))
    player.begin()
    for number, event in enumerate(scenario.happens, start=1):
        player.happen(number, event)
    player.report_unused()
    return Verdict(
        process=suite.process,
        scenario=scenario.name,
        differences=(*player.differences, *judge(scenario.expect, player.record, library)),
        visited=player.record.visited(library),
        journal=tuple(player.record.journal),
        step=player.record.step,
    )


class _Player:
    def __init__(self, suite: Suite, scenario: Scenario, library: Library, bundle: Bundle) -> None:
        self._suite = suite
        self._library = library
        self._now: datetime = parse_date(suite.begins_at)
        self._run = Run.start(bundle, suite.variables_of(scenario))
        self._answers = {
            key: [answer for answer in answers for _ in range(answer.times)]
            for key, answers in scenario.answers.items()
        }
        self.record = Record(suite.process)
        self.differences: list[str] = []

    def begin(self) -> None:
        self._advance([])

    def happen(self, number: int, event: Event) -> None:
        place = f"Event {number}"
        if event.wait is not None:
            self._wait(place, event.wait)
        elif event.message is not None:
            self._arrive(place, event.message)
        elif event.decide is not None:
            self._decide(place, event.decide)
        elif event.repair is not None:
            self._repair(place, event.repair)
        else:
            self._advance([Item(ItemKind.CANCEL, payload={"reason": event.cancel}, actor="usr_operator")])

    def report_unused(self) -> None:
        for key, left in self._answers.items():
            if left:
                self.differences.append(f"{len(left)} of the answers of {key} were never asked for")

    def _advance(self, items: Sequence[Item]) -> Step:
        """Let the flow run until it rests; every call is answered at once. The first step's stale items are told."""
        first = self._run.advance(items, self._now)
        self.record.add(first)
        step = first
        for _ in range(MAX_ROUNDS):
            if not step.calls:
                return first
            step = self._run.advance([self._answer(call) for call in step.calls], self._now)
            self.record.add(step)
        self.differences.append(f"More than {MAX_ROUNDS} rounds of calls without a rest; the flow goes in a circle")
        return first

    def _answer(self, call: Call) -> Item:
        operation = self._library.operations.get(call.operation)
        self.record.asked(call)
        try:
            operation.parse(call.params)
        except InvalidParameters as error:
            return Item(ItemKind.CALL_FAILED, call.node, {"message": error.detail, "code": error.code})
        process = self._library.process_at(self._suite.process, call.node)
        keys = keys_for(self._library, self._suite.process, process, call.element, call.operation)
        default = default_for(operation, keys, self._suite.defaults)
        answer = self._next(keys) or default
        if answer is None:
            message = f"The scenario does not say what {call.operation} answers at {call.element}"
            self.differences.append(message)
            return Item(ItemKind.CALL_FAILED, call.node, {"message": message})
        if answer.fails is not None:
            return Item(ItemKind.CALL_FAILED, call.node, {"message": answer.fails})
        if answer.error is not None:
            message = answer.message or operation.errors[answer.error]
            facts = answer.facts or {}
            return Item(ItemKind.CALL_ERROR, call.node, {"code": answer.error, "message": message, "facts": facts})
        return Item(ItemKind.CALL_RESULT, call.node, result_of(operation, answer, default)[0])

    def _next(self, keys: Sequence[str]) -> Answer | None:
        for key in keys:
            if self._answers.get(key):
                return self._answers[key].pop(0)
        return None

    def _wait(self, place: str, text: str) -> None:
        until = parse_due(text, self._now)
        if until < self._now:
            self.differences.append(f"{place}: it is already {self._now.isoformat()}, later than {until.isoformat()}")
            return
        for _ in range(MAX_FIRINGS):
            due = self.record.step.due_at
            if due is None or due > until:
                break
            self._now = max(self._now, due)
            self._advance([])
        else:
            self.differences.append(f"{place}: more than {MAX_FIRINGS} timers fired before {until.isoformat()}")
        self._now = until
        self._advance([])

    def _arrive(self, place: str, message: Arriving) -> None:
        waiting = [
            wait
            for wait in self.record.step.waits
            if wait.kind is WaitKind.MESSAGE
            and wait.message == message.name
            and (message.to is None or self._is(wait.node, wait.element, message.to))
        ]
        if len(waiting) != 1:
            who = message.to or ("nobody" if not waiting else ", ".join(wait.element for wait in waiting))
            why = f"{who} does not wait for it" if message.to else f"{who} waits for it"
            remedy = "; say to whom it goes" if len(waiting) > 1 else ""
            self._complain(place, f"the message {message.name}: {why}{remedy}")
            return
        if message.key is not None and message.key != waiting[0].correlation:
            got = waiting[0].correlation
            self.differences.append(f"{place}: {waiting[0].element} waits for the key {got!r}, not {message.key!r}")
        payload = {"name": message.name, "variables": message.variables}
        self._advance([Item(ItemKind.MESSAGE, waiting[0].node, payload)])

    def _decide(self, place: str, decide: Decide) -> None:
        tasks = [task for task in self.record.step.tasks if self._is(task.node, task.element, decide.task)]
        if not tasks:
            self._complain(place, f"nobody is asked to decide {decide.task}")
            return
        form = self._library.forms[tasks[0].form]
        payload = {
            "decision": decide.decision,
            "reason": decide.reason,
            "note": decide.note,
            "data": form.clean(decide.data)[0],
            "actor": decide.by,
            "actor_name": decide.by,
        }
        step = self._advance([Item(ItemKind.TASK_COMPLETED, tasks[0].node, payload, decide.by)])
        if bool(step.stale) != decide.refused:
            said = "was allowed to" if decide.refused else "may not"
            self.differences.append(f"{place}: {decide.by} {said} decide {decide.task}")

    def _repair(self, place: str, repair: Repair) -> None:
        broken = [one for one in self.record.step.incidents if self._is(one.node, one.element, repair.element)]
        if not broken:
            self._complain(place, f"{repair.element} has no incident")
            return
        self._advance([Item(ItemKind.RETRY, broken[0].node, {"variables": repair.variables}, "usr_operator")])

    def _is(self, node: str, element: str, name: str) -> bool:
        process = self._library.process_at(self._suite.process, node)
        return any(
            owner == process and found.id == element for owner, found in self._library.named(self._suite.process, name)
        )

    def _complain(self, place: str, sentence: str) -> None:
        """What could not happen, and where the flow rests instead."""
        step = self.record.step
        rests = ", ".join(dict.fromkeys(wait.element for wait in step.waits))
        self.differences.append(
            f"{place}: {sentence}; the flow {f'rests at {rests}' if rests else f'is {step.status}'}"
        )
