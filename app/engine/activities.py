"""Activities: what does work. They may have boundary events, and may run once for each item of a collection."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.engine import many
from app.engine.driver import Halt, Scope, SubScope, Token
from app.engine.events import BoundaryEvent, Catching, ThrowingEvent
from app.engine.explaining import explained
from app.engine.expressions import EvaluationFailed, Formula, copied, shown
from app.engine.specs import Node
from app.engine.step import Call, JournalKind, TaskRequest
from app.engine.timing import parse_due
from app.errors import AppError
from app.feel import to_json

if TYPE_CHECKING:
    from app.engine.dialect import Diagram


#: Digits of a whole number given as a text; Python refuses to read thousands of them.
_DIGITS = 18


class Activity(Node):
    """Arms its boundary events when it starts and disarms them when it ends, however it ends."""

    def _on_ready_hook(self, token: Token) -> None:
        body = token.internal_data.get("body")
        if body is not None:
            token.note(JournalKind.ENTERED, body=body, item=token.internal_data["index"] + 1)
            return
        super()._on_ready_hook(token)
        self._arm(token)

    def _arm(self, host: Token) -> None:
        for identity in self.element.boundaries:
            spec: BoundaryEvent = host.scope.spec.task_specs[identity]
            if spec.element.event is not None and spec.element.event.kind in ("timer", "message"):
                spec.arm(host)

    def _disarm(self, host: Token) -> None:
        if not self.element.boundaries:
            return
        for token in host.scope.live():
            if token.internal_data.get("host") == host.node:
                token.task_spec.disarm(token)

    def begin(self, token: Token) -> bool | None:
        return many.open_body(self, token) if many.is_body(token) else self.enter(token)

    def absorb(self, token: Token, result: Mapping[str, Any]) -> None:
        if self.element.loop is None:
            super().absorb(token, result)
            return
        process, own = dict(token.scope.data), token.data
        try:
            if not many.collect(self, token, result):
                super().absorb(token, result)
            many.check_completion(token)
        except EvaluationFailed:
            # The retry brings the same result again, and must not find it taken already.
            token.scope.data.clear()
            token.scope.data.update(process)
            token.data = own
            raise

    def _on_complete_hook(self, token: Token) -> None:
        if "body" in token.internal_data:
            many.instance_done(self, token)
            return
        self._disarm(token)
        super()._on_complete_hook(token)

    def _on_cancel(self, token: Token) -> None:
        if many.is_body(token):
            many.cancel_instances(token)
        self._disarm(token)
        super()._on_cancel(token)

    def read_inputs(self, token: Token) -> dict[str, Any]:
        return token.instance.evaluate_all(self.element.inputs, token.context())

    def localize(self, token: Token) -> None:
        """Make the inputs local variables; entered again, those of the first time must not hide what was corrected."""
        if not self.element.inputs:
            return
        names = self._input_names()
        token.data = {name: value for name, value in token.data.items() if name not in names}
        token.data |= self.read_inputs(token)

    def _input_names(self) -> set[str]:
        return {mapping.target[0] for mapping in self.element.inputs}


class ServiceTask(Activity):
    """Rests STARTED and asks for its operation to be called."""

    def enter(self, token: Token) -> None:
        self.localize(token)
        token.internal_data["call"] = 3 if self.element.retries is None else self._retries(token, self.element.retries)

    def _retries(self, token: Token, drawn: Formula) -> int:
        value = drawn.evaluate(token.context(), token.instance.now)
        number = _whole(value)
        if number is None:
            raise EvaluationFailed(f"The number of retries of {self.element.id} is {shown(value)}; give a whole number")
        return number

    def call(self, token: Token) -> Call:
        names = self._input_names()
        params = {name: copied(value) for name, value in token.data.items() if name in names}
        return Call(token.node, self.element.id, self.element.operation, params, token.internal_data["call"])


class UserTask(Activity):
    """Rests STARTED and asks for a person. Who may act is decided once, when it starts."""

    def enter(self, token: Token) -> None:
        self.localize(token)
        people, context, now = self.element.people, token.context(), token.instance.now
        ask: dict[str, Any] = {}
        groups = people.candidate_groups.texts(context, now, "The candidate groups") if people.candidate_groups else ()
        if not groups:
            raise EvaluationFailed(f"{self.element.id} is offered to no candidate group, so nobody could decide it")
        ask["groups"] = list(groups)
        if people.excluded is not None:
            ask["excluded"] = list(people.excluded.texts(context, now, "The excluded users"))
        if people.due is not None:
            ask["due"] = parse_due(people.due.text_value(context, now, "The due date"), now).isoformat()
        if people.priority is not None:
            ask["priority"] = _priority(people.priority.evaluate(context, now))
        token.internal_data["ask"] = ask

    def request(self, token: Token) -> TaskRequest:
        ask = token.internal_data["ask"]
        return TaskRequest(
            node=token.node,
            element=self.element.id,
            name=self.element.name,
            form=self.element.form,
            candidate_groups=tuple(ask.get("groups", ())),
            excluded=tuple(ask.get("excluded", ())),
            due_at=datetime.fromisoformat(ask["due"]) if "due" in ask else None,
            priority=ask.get("priority", 50),
            facts=copied(token.data),
        )


def _priority(value: Any) -> int:
    number = _whole(value)
    if number is None or number > 100:
        raise EvaluationFailed(f"The priority is {shown(value)}; a whole number from 0 to 100 is needed")
    return number


def _whole(value: Any) -> int | None:
    """A whole number from 0, which may be written as a text."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class ScriptTask(Activity):
    """A FEEL expression whose value becomes a variable."""

    def enter(self, token: Token) -> bool:
        assert self.element.script is not None
        self.localize(token)
        value = self.element.script.evaluate(token.context(), token.instance.now)
        self.absorb(token, _named(self.element.result, value))
        return True


class BusinessRuleTask(Activity):
    """A DMN decision of the bundle."""

    def enter(self, token: Token) -> bool:
        self.localize(token)
        name, instance = self.element.decision, token.instance
        try:
            evaluation = instance.bundle.decisions[name].evaluate(name, token.context(), now=instance.now)
            output, told = to_json(evaluation.output), explained(evaluation)
        except AppError as error:
            raise Halt("decision", f"Decision {name}: {error.detail}", error.extra) from None
        token.note(JournalKind.DECISION, **told)
        self.absorb(token, _named(self.element.result, output))
        return True


def _named(name: str, value: Any) -> Mapping[str, Any]:
    """A value as a result: under its name, or its entries where it is a context without one."""
    if name:
        return {name: value}
    return value if isinstance(value, dict) else {}


class Container(Activity):
    """An activity that runs a scope of its own."""

    def inner_done(self, token: Token, scope: SubScope) -> None:
        """The scope has no token left."""
        del token.instance.subprocesses[token.id]
        self.finish(token, self.result(token, scope))

    def inside(self, token: Token) -> tuple["Diagram", Any]:
        """The diagram and the spec of its scope: what is drawn inside a sub-process."""
        diagram = token.scope.diagram
        return diagram, diagram.scopes[self.element.id]

    def result(self, token: Token, scope: SubScope) -> dict[str, Any]:
        """What the scope gives back: all that was written in it, save what the input mapping named."""
        return {name: value for name, value in scope.data.items() if name not in token.data}

    def _on_cancel(self, token: Token) -> None:
        scope: Scope | None = token.instance.subscope(token)
        if scope is not None:
            scope.cancel_live()
            del token.instance.subprocesses[token.id]
        super()._on_cancel(token)


class SubProcess(Container):
    """What is written inside reaches the parent when the sub-process completes, not before."""

    def enter(self, token: Token) -> None:
        self.localize(token)
        token.instance.enter_scope(token, *self.inside(token)).open()


class CallActivity(Container):
    """Runs another process with variables of its own."""

    def enter(self, token: Token) -> None:
        given = self.read_inputs(token) if self.element.inputs else token.context()
        scope = token.instance.enter_scope(token, *self.inside(token))
        scope.data.update(given)
        scope.open()

    def inside(self, token: Token) -> tuple["Diagram", Any]:
        diagram = token.instance.bundle.diagrams[self.element.called]
        return diagram, diagram.spec

    def result(self, token: Token, scope: SubScope) -> dict[str, Any]:
        if self.element.outputs:
            return scope.data
        return super().result(token, scope) if self.element.all_variables else {}


class ReceiveTask(Catching, Activity):
    """Waits for a message and may have boundary events."""


class SendTask(Activity, ThrowingEvent):
    """Sends a message without asking for an operation."""
