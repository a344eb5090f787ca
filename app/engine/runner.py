"""One instance, stepped: a pure function of bundle, state, items and time. No database, network, clock or randomness.

`advance` applies what happened, lets tokens move until nothing can, and says what is open now. The bytes of `dump` are
all that is needed to go on elsewhere.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from SpiffWorkflow.util.task import TaskState

from app.engine import codec
from app.engine.bundle import Bundle
from app.engine.driver import Halt, Instance, Token
from app.engine.events import raise_error
from app.engine.expressions import copied
from app.engine.step import (
    Call,
    IncidentReport,
    InstanceStatus,
    Item,
    ItemKind,
    JournalKind,
    Step,
    TaskRequest,
    Wait,
    WaitKind,
)
from app.feel import FeelError, to_feel, to_json


class Run:
    """An instance in memory. After an exception throw it away and load it again: it may be half moved."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    @classmethod
    def start(cls, bundle: Bundle, variables: Mapping[str, Any]) -> "Run":
        """A new instance before its first element; the first `advance` sets it going."""
        instance = Instance(bundle)
        instance.data.update(_plain(variables))
        instance.open()
        return cls(instance)

    @classmethod
    def load(cls, bundle: Bundle, state: bytes) -> "Run":
        """Raises codec.UnreadableState."""
        return cls(codec.load(bundle, state))

    def dump(self) -> bytes:
        return codec.dump(self._instance)

    def look(self) -> Step:
        """What is open now, and what was journalled since it was loaded or advanced, without moving anything."""
        return _step(self._instance)

    def advance(self, items: Sequence[Item], now: datetime) -> Step:
        """Apply the items in order, each until nothing moves, then fire what is due at `now` (aware, UTC)."""
        self.apply(items, now)
        return self.rest()

    def apply(self, items: Sequence[Item], now: datetime) -> tuple[Call, ...]:
        """As `advance`, for who answers calls at once and goes on; the calls that are open now."""
        instance = self._instance
        instance.now = now
        instance.begin_step()
        for item in items:
            if not instance.completed:
                instance.run(timers=False)
            if instance.completed:
                _stale(instance, item)
            else:
                _APPLY[item.kind](instance, item)
        if not instance.completed:
            instance.run(timers=True)
        return () if instance.completed else _calls(instance.tokens())

    def rest(self) -> Step:
        """What is open now, and all that happened since the last rest."""
        instance = self._instance
        step = _step(instance)
        instance.journal, instance.thrown, instance.stale = [], [], []
        return step


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in JSON types that nobody outside holds."""
    plain: dict[str, Any] = to_json(to_feel(dict(values)))
    return plain


def _stale(instance: Instance, item: Item, reason: str = "") -> None:
    instance.stale.append(item)
    facts = {"item": item.kind.value, **({"reason": reason} if reason else {})}
    element = item.node.rpartition("/")[2].partition("#")[0]
    instance.note(JournalKind.STALE, element, item.node, actor=item.actor, **facts)


def _resting(instance: Instance, item: Item, waits_for: str) -> Token | None:
    """The token the item is for, if it is still waiting for such a thing; else the item is noted as stale."""
    token = instance.find(item.node)
    if token is not None and token.incident is None and waits_for in token.internal_data:
        return token
    _stale(instance, item)
    return None


def _answered(instance: Instance, item: Item) -> tuple[Token, dict[str, Any]] | None:
    """The token whose call was answered, and the answer; one that no value of a flow can hold makes an incident."""
    token = _resting(instance, item, "call")
    if token is None:
        return None
    try:
        return token, _plain(item.payload)
    except FeelError as error:
        token.hold(Halt("call_failed", f"What {token.element.operation} answered cannot be used: {error.detail}"))
        return None


def _call_result(instance: Instance, item: Item) -> None:
    if answered := _answered(instance, item):
        token, result = answered
        token.task_spec.finish(token, result)


def _call_error(instance: Instance, item: Item) -> None:
    if answered := _answered(instance, item):
        token, payload = answered
        facts = payload.get("facts") or {}
        raise_error(token, token, str(payload.get("code", "")), str(payload.get("message", "")), facts)


def _call_failed(instance: Instance, item: Item) -> None:
    if answered := _answered(instance, item):
        token, payload = answered
        message = str(payload.pop("message", "")) or f"{token.element.operation} failed"
        token.hold(Halt("call_failed", message, payload))


def _message(instance: Instance, item: Item) -> None:
    token = _resting(instance, item, "message")
    if token is None:
        return
    payload = _plain(item.payload)
    name = token.internal_data["message"][0]
    if payload.get("name", name) != name:
        _stale(instance, item, f"it waits for {name}")
        return
    token.task_spec.receive(token, payload.get("variables") or {})


def _task_completed(instance: Instance, item: Item) -> None:
    token = _resting(instance, item, "ask")
    if token is None:
        return
    payload = _plain(item.payload)
    actor = item.actor or str(payload.get("actor", ""))
    if actor in token.internal_data["ask"].get("excluded", ()):
        _stale(instance, item, "this person is excluded from the task")
        return
    facts = {name: payload.get(name) for name in ("decision", "reason")}
    token.note(JournalKind.TASK, actor=actor, **facts)
    token.task_spec.finish(token, payload)


def _retry(instance: Instance, item: Item) -> None:
    token = instance.find(item.node)
    if token is None or token.incident is None:
        _stale(instance, item)
        return
    variables = _plain(item.payload.get("variables") or {})
    token.scope.data.update(variables)
    token.note(JournalKind.REPAIRED, actor=item.actor, variables=sorted(variables))
    token.task_spec.retry(token)


def _cancel(instance: Instance, item: Item) -> None:
    instance.cancel_live()
    instance.end("canceled", actor=item.actor, reason=str(item.payload.get("reason", "")))


_APPLY: Mapping[ItemKind, Callable[[Instance, Item], None]] = {
    ItemKind.CALL_RESULT: _call_result,
    ItemKind.CALL_ERROR: _call_error,
    ItemKind.CALL_FAILED: _call_failed,
    ItemKind.MESSAGE: _message,
    ItemKind.TASK_COMPLETED: _task_completed,
    ItemKind.RETRY: _retry,
    ItemKind.CANCEL: _cancel,
}


def _step(instance: Instance) -> Step:
    tokens = [] if instance.completed else list(instance.tokens())
    resting = [token for token in tokens if token.incident is None]
    calls = _calls(tokens)
    incidents = tuple(_incident(token) for token in tokens if token.incident is not None)
    moving = any(token.has_state(TaskState.READY) for token in tokens)
    return Step(
        status=_status(instance, running=bool(calls) or moving, stopped=bool(incidents)),
        calls=calls,
        waits=tuple(wait for token in resting for wait in _waits(token)),
        tasks=tuple(_copied_task(token) for token in resting if "ask" in token.internal_data),
        incidents=incidents,
        journal=tuple(instance.journal),
        thrown=tuple(instance.thrown),
        stale=tuple(instance.stale),
        variables=copied(instance.data),
    )


def _status(instance: Instance, *, running: bool, stopped: bool) -> InstanceStatus:
    if instance.completed:
        return InstanceStatus(instance.outcome)
    if stopped:
        return InstanceStatus.INCIDENT
    return InstanceStatus.RUNNING if running else InstanceStatus.WAITING


def _calls(tokens: Iterable[Token]) -> tuple[Call, ...]:
    return tuple(
        token.task_spec.call(token) for token in tokens if token.incident is None and "call" in token.internal_data
    )


def _copied_task(token: Token) -> TaskRequest:
    request: TaskRequest = token.task_spec.request(token)
    return request


def _incident(token: Token) -> IncidentReport:
    assert token.incident is not None
    kind, message, details = token.incident
    return IncidentReport(token.node, token.element.id, kind, message, copied(details))


def _waits(token: Token) -> list[Wait]:
    info = token.internal_data
    node, element = token.node, token.element.id
    if "due" in info:
        return [Wait(node, element, WaitKind.TIMER, due_at=datetime.fromisoformat(info["due"]))]
    if "message" in info:
        name, key = info["message"]
        return [Wait(node, element, WaitKind.MESSAGE, message=name, correlation=key)]
    if "ask" in info:
        return [Wait(node, element, WaitKind.TASK)]
    if "call" in info:
        return [Wait(node, element, WaitKind.CALL)]
    return []
