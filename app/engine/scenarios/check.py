"""Whether scenarios speak of what is there: elements, operations with their results and errors, forms' decisions.

Checked before anything is played, so that a misspelt name is an error of the file and never a surprising verdict.
"""

from collections.abc import Iterator, Mapping

from app.engine.elements import Element
from app.engine.expressions import EvaluationFailed
from app.engine.forms import Form
from app.engine.scenarios.answers import default_for, keys_for, operations_of, result_of
from app.engine.scenarios.library import Library
from app.engine.scenarios.model import Answer, Decide, Event, Scenario
from app.engine.scenarios.reading import Document, Place, refuse
from app.engine.timing import ANY_TIME, parse_date, parse_due

Problem = tuple[Place, str]


def check(document: Document, library: Library) -> None:
    """Raises InvalidScenarios, naming every place that speaks of something that is not there."""
    suite = document.suite
    problems: list[Problem] = []
    if suite.process not in library.diagrams:
        problems.append((("process",), f"there is no diagram of the process {suite.process!r}"))
    else:
        checker = _Checker(library, suite.process, suite.defaults)
        problems += checker.defaults()
        problems += _moment(("begins_at",), suite.begins_at)
        for index, scenario in enumerate(suite.scenarios):
            problems += [(("scenarios", index, *place), message) for place, message in checker.scenario(scenario)]
        names = [scenario.name for scenario in suite.scenarios]
        problems += [
            (("scenarios", index, "name"), "another scenario has this name")
            for index, name in enumerate(names)
            if name in names[:index]
        ]
    refuse([document.wrong(place, message) for place, message in problems])


class _Checker:
    """The checks of one suite; places are relative to what is checked."""

    def __init__(self, library: Library, process: str, defaults: Mapping[str, Answer]) -> None:
        self._library = library
        self._process = process
        self._defaults = defaults

    def defaults(self) -> Iterator[Problem]:
        for key, answer in self._defaults.items():
            yield from self._answer(("defaults", key), key, answer)

    def scenario(self, scenario: Scenario) -> Iterator[Problem]:
        for key, answers in scenario.answers.items():
            for index, answer in enumerate(answers):
                yield from self._answer(("answers", key, index), key, answer)
        for index, event in enumerate(scenario.happens):
            yield from self._event(("happens", index), event)
        yield from self._expected(scenario)

    def _answer(self, place: Place, key: str, answer: Answer) -> Iterator[Problem]:
        operations = operations_of(self._library, self._process, key)
        if not operations:
            yield place, f"{key!r} is neither an operation nor an element that calls one"
        elif len(operations) > 1:
            names = ", ".join(operation.name for operation in operations)
            yield place, f"several elements are called {key!r} ({names}); write process/element"
        elif answer.error is not None and answer.error not in operations[0].errors:
            known = ", ".join(operations[0].errors) or "no errors"
            yield (*place, "error"), f"{operations[0].name} does not throw {answer.error}; it throws {known}"
        elif answer.result is not None:
            default = default_for(operations[0], self._keys(key, operations[0].name), self._defaults)
            for sentence in result_of(operations[0], answer, default)[1]:
                yield (*place, "result"), sentence

    def _keys(self, key: str, operation: str) -> list[str]:
        """The keys under which the default of an answer under `key` may stand."""
        if key == operation:
            return [key]
        owner, element = self._library.named(self._process, key)[0]
        return keys_for(self._library, self._process, owner, element.id, operation)

    def _event(self, place: Place, event: Event) -> Iterator[Problem]:
        if event.wait is not None:
            try:
                parse_due(event.wait, ANY_TIME)
            except EvaluationFailed as error:
                yield (*place, "wait"), str(error)
        if event.message is not None and event.message.to is not None:
            yield from self._known((*place, "message", "to"), event.message.to)
        if event.repair is not None:
            yield from self._known((*place, "repair", "element"), event.repair.element)
        if event.decide is not None:
            yield from self._decide((*place, "decide"), event.decide)

    def _decide(self, place: Place, decide: Decide) -> Iterator[Problem]:
        tasks = [element for _, element in self._found(decide.task) if element.kind == "userTask"]
        if not tasks:
            yield (*place, "task"), f"there is no user task {decide.task!r}"
            return
        form = self._library.forms.get(tasks[0].form)
        if form is None:
            yield (*place, "task"), f"the form {tasks[0].form!r} of {decide.task} is not there"
            return
        yield from self._answers_form(place, decide, form)

    def _answers_form(self, place: Place, decide: Decide, form: Form) -> Iterator[Problem]:
        decision = form.decision(decide.decision)
        if decision is None:
            offered = ", ".join(one.value for one in form.decisions)
            yield (*place, "decision"), f"the form {form.id} offers {offered}, not {decide.decision!r}"
            return
        reasons = [reason.value for reason in form.reasons_for(decision.value)]
        if decide.reason and decide.reason not in reasons:
            offered = ", ".join(reasons) or "none"
            yield (*place, "reason"), f"with {decision.value} the form {form.id} takes the reasons {offered}"
        if decision.reason_required and not decide.reason:
            yield (*place, "reason"), f"to {decision.value} a reason is required: {', '.join(reasons)}"
        if decision.note_required and not decide.note.strip():
            yield (*place, "note"), f"to {decision.value} a note is required"
        for wrong in form.clean(decide.data)[1]:
            yield (*place, *wrong.field.split(".")), wrong.message

    def _expected(self, scenario: Scenario) -> Iterator[Problem]:
        expect = scenario.expect
        for field in ("ends", "visits", "avoids", "waits", "incidents"):
            for index, name in enumerate(getattr(expect, field) or ()):
                place: Place = ("expect", field, index)
                yield from self._known(place, name, flows=field in ("visits", "avoids"))
        for name in expect.asks:
            yield from self._of_kind(("expect", "asks", name), name, calls=True)
        for name, task in expect.tasks.items():
            yield from self._of_kind(("expect", "tasks", name), name, calls=False)
            if task.due is not None:
                yield from _moment(("expect", "tasks", name, "due"), task.due)

    def _of_kind(self, place: Place, name: str, *, calls: bool) -> Iterator[Problem]:
        found = [element for _, element in self._found(name)]
        if not any(element.operation if calls else element.kind == "userTask" for element in found):
            yield place, f"{name!r} is no {'element that calls an operation' if calls else 'user task'}"

    def _known(self, place: Place, name: str, *, flows: bool = False) -> Iterator[Problem]:
        if self._found(name) or (flows and self._flow(name)):
            return
        what = "element or sequence flow" if flows else "element"
        yield place, f"there is no {what} {name!r} in {self._process} or what it calls"

    def _found(self, name: str) -> list[tuple[str, Element]]:
        return self._library.named(self._process, name)

    def _flow(self, name: str) -> bool:
        owner, _, flow = name.rpartition("/")
        owners = [owner] if owner else self._library.reach(self._process)
        return any(flow in self._library.diagrams[one].flows for one in owners if one in self._library.diagrams)


def _moment(place: Place, text: str) -> Iterator[Problem]:
    try:
        parse_date(text)
    except EvaluationFailed as error:
        yield place, str(error)
