"""Events: what waits for time or a message, what throws, and what stands at the border of an activity."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from SpiffWorkflow.util.task import TaskState

from app.engine.driver import Halt, Token
from app.engine.elements import Message, Timer, TimerKind
from app.engine.expressions import EvaluationFailed
from app.engine.reserved import is_own_message
from app.engine.specs import Node
from app.engine.step import JournalKind, Thrown
from app.engine.timing import parse_cycle, parse_date, parse_duration


def open_timer(token: Token, timer: Timer) -> None:
    """Fix when the token is due, as of now. Raises EvaluationFailed."""
    now = token.instance.now
    text = timer.value.text_value(token.context(), now, "The time")
    due = now
    if timer.kind is TimerKind.DATE:
        due = parse_date(text)
    elif timer.kind is TimerKind.DURATION:
        due = parse_duration(text).after(now)
    else:
        cycle = parse_cycle(text)
        due = cycle.first(now)
        token.internal_data["cycle"] = [text, cycle.count]
    token.internal_data["due"] = due.isoformat()


def open_message(token: Token, message: Message) -> None:
    """Fix which message the token waits for. Raises EvaluationFailed."""
    context, now = token.context(), token.instance.now
    name = message.name.text_value(context, now, "The message name")
    key = message.correlation.text_value(context, now, "The correlation key") if message.correlation else ""
    token.internal_data["message"] = [name, key]


def send_message(token: Token, message: Message) -> None:
    """Hand a message to the outside, with the input mapping as its variables. Raises EvaluationFailed."""
    instance, context = token.instance, token.context()
    name = message.name.text_value(context, instance.now, "The message name")
    if is_own_message(name):
        raise EvaluationFailed(f"Only Sluice itself sends {name!r}; give the message a name of your own")
    key = message.correlation.text_value(context, instance.now, "The correlation key") if message.correlation else ""
    variables = instance.evaluate_all(token.element.inputs, context)
    instance.thrown.append(Thrown(name, key, variables, token.node))
    token.note(JournalKind.MESSAGE, message=name, correlation=key, sent=True)


class Catching(Node):
    """Rests until its timer is due or its message comes; behind an event-based gateway it races with others."""

    def enter(self, token: Token) -> None:
        event = self.element.event
        message = event.message if event is not None else self.element.message
        if event is not None and event.timer is not None:
            open_timer(token, event.timer)
        elif message is not None:
            open_message(token, message)

    def fire(self, token: Token) -> None:
        """Its timer is due."""
        self._won(token)
        token.note(JournalKind.TIMER, due_at=token.internal_data.pop("due"))
        self.finish(token, {})

    def receive(self, token: Token, variables: Mapping[str, Any]) -> None:
        """Its message came."""
        self._won(token)
        token.note(JournalKind.MESSAGE, message=token.internal_data.pop("message")[0])
        self.finish(token, variables)

    def _won(self, token: Token) -> None:
        race = token.internal_data.pop("race", None)
        if race is None:
            return
        for other in token.scope.live():
            if other.internal_data.get("race", [""])[0] == race[0]:
                other.cancel()
        token.scope.note(JournalKind.TAKEN, race[1])


class BoundaryEvent(Catching):
    """At the border of an activity. Timers and messages wait as tokens of their own, the rest is looked up."""

    def arm(self, host: Token) -> None:
        """Start waiting beside `host`."""
        token = host.scope.spawn(self, host.scope.task_tree)
        token.internal_data["host"] = host.node
        self._update(token)

    def caught(self, host: Token, kind: str, code: str, message: str, facts: Mapping[str, Any]) -> None:
        """An error or escalation from inside the activity."""
        scope = host.scope
        token = scope.spawn(self, scope.task_tree)
        if self.element.interrupting:
            host.cancel()
        token.note(JournalKind.ENTERED)
        context = {"code": code, "message": message, **facts}
        self.finish(token, {**facts, kind: context} if self.element.outputs else {kind: context})

    def fire(self, token: Token) -> None:
        cycle = token.internal_data.get("cycle")
        due = token.internal_data["due"]
        if cycle is None or self.element.interrupting:
            self._release(token)
            self._pass(token, {}, JournalKind.TIMER, due_at=due)
            return
        text, count = cycle  # missed rounds are folded into one: the next counts from now
        fired = token.scope.spawn(self, token.scope.task_tree)
        if count == 1:
            self.disarm(token)
        else:
            interval = parse_cycle(text).interval
            last = max(datetime.fromisoformat(due), token.instance.now)
            token.internal_data["due"] = interval.after(last).isoformat()
            token.internal_data["cycle"] = [text, count - 1 if count else None]
        self._pass(fired, {}, JournalKind.TIMER, due_at=due)

    def receive(self, token: Token, variables: Mapping[str, Any]) -> None:
        name = token.internal_data["message"][0]
        if self.element.interrupting:
            self._release(token)
            self._pass(token, variables, JournalKind.MESSAGE, message=name)
        else:
            self._pass(token.scope.spawn(self, token.scope.task_tree), variables, JournalKind.MESSAGE, message=name)

    def disarm(self, token: Token) -> None:
        """The activity is done: nobody waits here any more. It never fired, so the journal does not speak of it."""
        token._set_state(TaskState.CANCELLED)  # noqa: SLF001 - the library's own way
        token.scope.remove(token)

    def _release(self, token: Token) -> None:
        """Let the token live on by itself; interrupt the activity if it does that."""
        for key in ("due", "cycle", "message"):
            token.internal_data.pop(key, None)
        host = token.scope.tasks.get(token.internal_data.pop("host"))
        if self.element.interrupting and host is not None:
            host.cancel()

    def _pass(self, token: Token, result: Mapping[str, Any], kind: JournalKind, **facts: Any) -> None:
        token.note(JournalKind.ENTERED)
        token.note(kind, **facts)
        self.finish(token, result)

    def _on_cancel(self, token: Token) -> None:
        if "host" in token.internal_data:
            self.disarm(token)
        else:
            super()._on_cancel(token)

    def _on_ready_hook(self, token: Token) -> None:
        """Waiting at a border is not being there: the journal speaks when it fires."""


class ThrowingEvent(Node):
    """Intermediate throw and end events, and the send task without an operation."""

    def enter(self, token: Token) -> bool | None:
        event = self.element.event
        message = event.message if event is not None else self.element.message
        if message is not None:
            send_message(token, message)
        if event is None or event.kind not in ("terminate", "error", "escalation"):
            return True
        if event.kind == "terminate":
            token.scope.cancel_live(but=token)
            return True
        facts = token.instance.evaluate_all(self.element.inputs, token.context())
        throw = raise_error if event.kind == "error" else escalate
        throw(token, token.scope.host, event.code, event.name, facts)
        return None if token.gone or token.incident is not None else True


def raise_error(origin: Token, at: Token | None, code: str, message: str, facts: Mapping[str, Any]) -> None:
    """Throw an error at `at`: its own boundary events, then those around it, inside out. Uncaught: an incident."""
    boundary, host = _catcher(at, "error", code)
    catcher = boundary.element.id if boundary is not None else ""
    origin.note(JournalKind.ERROR, code=code, message=message, caught_by=catcher)
    if boundary is None or host is None:
        sentence = f"Nothing catches the error {code or 'without a code'}"
        details = {"code": code, "message": message, "facts": dict(facts)}
        origin.hold(Halt("uncaught_error", f"{sentence}: {message}" if message else sentence, details))
        return
    if origin is not at:
        origin.note(JournalKind.LEFT)
        origin.scope.remove(origin)
    boundary.caught(host, "error", code, message, facts)


def escalate(origin: Token, at: Token | None, code: str, message: str, facts: Mapping[str, Any]) -> None:
    """As an error, but nobody has to catch it and it need not interrupt."""
    boundary, host = _catcher(at, "escalation", code)
    if boundary is None or host is None:
        return
    if boundary.element.interrupting:
        origin.note(JournalKind.LEFT)
        origin.scope.remove(origin)
    boundary.caught(host, "escalation", code, message, facts)


def _catcher(at: Token | None, kind: str, code: str) -> tuple[BoundaryEvent | None, Token | None]:
    while at is not None:
        at = bordered(at)
        boundary = _matching(at, kind, code)
        if boundary is not None:
            return boundary, at
        at = at.scope.host
    return None, None


def bordered(token: Token) -> Token:
    """Where the boundary events are: one instance of many is inside the border of them all."""
    body = token.internal_data.get("body")
    return token.scope.tasks[body] if body else token


def _matching(host: Token, kind: str, code: str) -> BoundaryEvent | None:
    specs = [host.scope.spec.task_specs[identity] for identity in host.element.boundaries]
    fitting = [spec for spec in specs if spec.element.event is not None and spec.element.event.kind == kind]
    for wanted in (code, ""):
        for spec in fitting:
            if spec.element.event.code == wanted:
                found: BoundaryEvent = spec
                return found
    return None
