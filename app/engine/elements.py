"""What stands in a diagram, as values: every element with its extension data compiled, every sequence flow.

`reading.py` makes them from XML; the gate, the specs and the pages read them. Nothing here changes after parsing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.engine.expressions import Formula
from app.errors import AppError


class DiagramError(AppError):
    """The diagram cannot be run; the sentence names the element and what to change."""

    code = "invalid_diagram"
    title = "The diagram cannot be run"
    status = 422


@dataclass(frozen=True, slots=True)
class Flow:
    """A sequence flow. `condition` is None where the flow is taken without asking."""

    id: str
    source: str
    target: str
    condition: Formula | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """One input or output mapping. `target` is a path: `("a",)`, or `("a", "b")` to set inside a context."""

    source: Formula
    target: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A bpmn:message. `correlation` is the key of its zeebe:subscription, None where none is drawn."""

    name: Formula
    correlation: Formula | None


class TimerKind(StrEnum):
    DATE = "timeDate"
    DURATION = "timeDuration"
    CYCLE = "timeCycle"


@dataclass(frozen=True, slots=True)
class Timer:
    kind: TimerKind
    value: Formula


@dataclass(frozen=True, slots=True)
class Event:
    """The one event definition of an event. `kind` is error, timer, message, escalation or terminate.

    `code` is the error's or escalation's code, empty for a boundary event that catches all; `name` its name.
    """

    kind: str
    code: str = ""
    name: str = ""
    timer: Timer | None = None
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class People:
    """Who may work on a user task. Each formula is None where nothing is drawn."""

    candidate_groups: Formula | None = None
    excluded: Formula | None = None
    due: Formula | None = None
    priority: Formula | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """Multi-instance: one instance per item of `collection`."""

    collection: Formula
    sequential: bool = False
    item: str = ""
    output_collection: str = ""
    output: Formula | None = None
    completion: Formula | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """A flow node. `kind` is its BPMN tag, `parent` the embedded sub-process it lies in, empty at the top.

    `incoming` and `outgoing` are flow ids in document order; `boundaries` the ids of the boundary events on it.
    The rest is empty where it does not apply: `operation` and `retries` (service and send tasks), `form` and `people`
    (user tasks), `called` and `all_variables` (call activities), `decision` and `result` (business rule tasks),
    `script` and `result` (script tasks), `event` (events), `message` (receive tasks), `loop` (multi-instance).
    """

    id: str
    name: str
    kind: str
    parent: str = ""
    lane: str = ""
    incoming: tuple[str, ...] = ()
    outgoing: tuple[str, ...] = ()
    default: str = ""
    attached_to: str = ""
    interrupting: bool = True
    boundaries: tuple[str, ...] = ()
    event: Event | None = None
    message: Message | None = None
    inputs: tuple[Assignment, ...] = ()
    outputs: tuple[Assignment, ...] = ()
    operation: str = ""
    retries: Formula | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    form: str = ""
    people: People = field(default_factory=People)
    called: str = ""
    all_variables: bool = True
    decision: str = ""
    result: str = ""
    script: Formula | None = None
    loop: Loop | None = None
