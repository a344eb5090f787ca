"""The values that cross the engine's seam: what may happen to an instance, and what one step of it asks for.

The runner turns (bundle, state, inbox items, now) into a Step and touches nothing else: no database, network, clock
or randomness. The store writes Steps, the caller carries out Calls, the loop joins them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple


class InstanceStatus(StrEnum):
    RUNNING = "running"  # a call is under way or something is due now
    WAITING = "waiting"  # nothing to do until a timer, a message or a person
    INCIDENT = "incident"  # stopped at an element until somebody repairs it
    COMPLETED = "completed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        return self in (InstanceStatus.COMPLETED, InstanceStatus.CANCELED)


class ItemKind(StrEnum):
    """What may happen to an instance from outside; each is a row in its inbox before the runner sees it."""

    CALL_RESULT = "call_result"  # payload: the operation's result fields
    CALL_ERROR = "call_error"  # payload: code, message, facts; a BPMN error thrown at the node
    CALL_FAILED = "call_failed"  # payload: message; a technical failure: an incident at the node
    MESSAGE = "message"  # payload: name, variables; addressed to the waiting node
    TASK_COMPLETED = "task_completed"  # payload: decision, reason, note, data, actor, actor_name
    RETRY = "retry"  # repair of an incident: payload may carry variables to correct first
    CANCEL = "cancel"  # payload: reason; ends the whole instance


def element_of(node: str) -> str:
    """The element that an activation is of: `authorize` for `pay#1/authorize#2`."""
    return node.rpartition("/")[2].partition("#")[0]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that happened. `node` addresses an activation (`authorize#2`); for a node that is gone it is stale."""

    kind: ItemKind
    node: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    actor: str = ""


class WaitKind(StrEnum):
    TIMER = "timer"
    MESSAGE = "message"
    TASK = "task"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Wait:
    """Why an instance rests at `element`. A timer has `due_at`; a message has `message` and `correlation`."""

    node: str
    element: str
    kind: WaitKind
    due_at: datetime | None = None
    message: str = ""
    correlation: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A service task asks for its operation. `retries` is how often a technical failure is tried again."""

    node: str
    element: str
    operation: str
    params: Mapping[str, Any]
    retries: int = 3


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A user task asks for people. `form` names a form of the bundle; `excluded` are user ids that may not act on it.

    `facts` are the task's local variables (its input mapping), shown to the person.
    """

    node: str
    element: str
    name: str
    form: str
    candidate_groups: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    due_at: datetime | None = None
    priority: int = 50
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncidentReport:
    """Why an element cannot go on by itself.

    `kind`: uncaught_error, call_failed, expression, step_limit, decision, deadlock (a join that nothing can reach).
    """

    node: str
    element: str
    kind: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thrown:
    """A message sent by the diagram to whoever waits for it under the same correlation."""

    message: str
    correlation: str
    variables: Mapping[str, Any]
    node: str
    ttl_seconds: int = 3600


class JournalKind(StrEnum):
    STARTED = "started"
    ENTERED = "entered"
    LEFT = "left"  # facts: wrote, its variables, and large, the bytes of those that are not kept
    TAKEN = "taken"  # a sequence flow; `element` is its id
    CANCELED = "canceled"  # an activation was interrupted
    ERROR = "error"  # a BPMN error was thrown; facts: code, message, caught_by
    MESSAGE = "message"
    TIMER = "timer"
    DECISION = "decision"  # a business rule task; facts: decision, inputs, matched, output
    TASK = "task"  # a person completed a task; facts: decision, reason
    INCIDENT = "incident"
    REPAIRED = "repaired"  # facts: variables, the names that were corrected; wrote and large as above
    STALE = "stale"  # something arrived for a node that was gone
    MIGRATED = "migrated"  # to another version; facts: from, to, and what changed: nodes, armed, closed, timers
    ENDED = "ended"  # the instance; facts: outcome


class JournalEntry(NamedTuple):
    """One line of history. Inside a called process `process` is its id and `scope` the node that called it.

    A payment has a hundred, and a tuple is made in half the time a dataclass takes.
    """

    kind: JournalKind
    element: str
    node: str = ""
    process: str = ""
    scope: str = ""
    actor: str = ""
    facts: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Step:
    """The whole outcome of letting an instance run until it rests.

    `calls`, `waits`, `tasks` and `incidents` are complete: what is open now, not what changed. `journal` and `thrown`
    are what happened in this step, `stale` the items whose node was gone. `variables` are the process's own.
    """

    status: InstanceStatus
    calls: tuple[Call, ...] = ()
    waits: tuple[Wait, ...] = ()
    tasks: tuple[TaskRequest, ...] = ()
    incidents: tuple[IncidentReport, ...] = ()
    journal: tuple[JournalEntry, ...] = ()
    thrown: tuple[Thrown, ...] = ()
    stale: tuple[Item, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def due_at(self) -> datetime | None:
        """When the next timer fires; None when only messages, people or calls are waited for."""
        return min((wait.due_at for wait in self.waits if wait.due_at is not None), default=None)
