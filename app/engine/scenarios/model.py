"""What a scenario file may say. One YAML document tells the scenarios of one process.

The words are chosen for analysts: a process `start`s, its operations give `answers`, things `happen`, and the
scenario says what it `expect`s. Elements are named by id; `process/element` names one of a called process.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.engine.step import InstanceStatus

Text = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]
Values = dict[str, Any]

MAX_SCENARIOS = 200
MAX_EVENTS = 200


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _exactly_one(part: BaseModel, names: tuple[str, ...]) -> None:
    given = [name for name in names if getattr(part, name) is not None]
    if len(given) != 1:
        raise ValueError(f"give exactly one of {', '.join(names)}")


class Answer(_Part):
    """What an operation answers: its `result`, a BPMN `error` with `facts`, or `fails` (a technical failure).

    Fields that a result leaves out come from the default. `times` repeats the answer.
    """

    result: Values | None = None
    error: Text | None = None
    fails: Text | None = None
    message: Text | None = None
    facts: Values | None = None
    times: int = Field(default=1, ge=1, le=100)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, ("result", "error", "fails"))
        if self.error is None and (self.facts is not None or self.message is not None):
            raise ValueError("facts and message belong to an error")
        return self


class Arriving(_Part):
    """A message for whoever waits for it; `to` says which element where several do, `key` checks the correlation."""

    name: Text
    to: Text | None = None
    key: Text | None = None
    variables: Values = Field(default_factory=dict)


class Decide(_Part):
    """A person completes a task. With `refused` the rules must not let this person act."""

    task: Text
    decision: Text
    by: Text
    reason: str = ""
    note: str = ""
    data: Values = Field(default_factory=dict)
    refused: bool = False


class Repair(_Part):
    """An operator lets an element with an incident go on, with `variables` corrected first."""

    element: Text
    variables: Values = Field(default_factory=dict)


class Event(_Part):
    """One thing that happens while the flow rests. `wait` is a duration or a moment; timers on the way fire."""

    wait: Text | None = None
    message: Arriving | None = None
    decide: Decide | None = None
    repair: Repair | None = None
    cancel: Text | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, ("wait", "message", "decide", "repair", "cancel"))
        return self


class ExpectedTask(_Part):
    """Who may work on a task and what they are shown; only what is given is compared, `facts` in part."""

    groups: list[str] | None = None
    excluded: list[str] | None = None
    priority: int | None = None
    due: Text | None = None
    facts: Values | None = None


class Expect(_Part):
    """How the scenario must end. What is not given is not compared, except that incidents must be expected.

    `asks` are the parameters of an element's last call, `tasks` what a user task asked for last, `sends` the names
    of messages sent, in order. `waits` are all elements at which the flow rests at the end.
    """

    status: Literal["running", "waiting", "incident", "completed", "canceled"] | None = None
    ends: list[str] | None = None
    variables: Values = Field(default_factory=dict)
    visits: list[str] = Field(default_factory=list)
    avoids: list[str] = Field(default_factory=list)
    waits: list[str] | None = None
    incidents: list[str] = Field(default_factory=list)
    asks: dict[str, Values] = Field(default_factory=dict)
    tasks: dict[str, ExpectedTask] = Field(default_factory=dict)
    sends: list[str] | None = None

    @property
    def wanted_status(self) -> InstanceStatus | None:
        return InstanceStatus(self.status) if self.status is not None else None


class Scenario(_Part):
    name: Text
    start: Values = Field(default_factory=dict)
    answers: dict[str, list[Answer]] = Field(default_factory=dict)
    happens: list[Event] = Field(default_factory=list, max_length=MAX_EVENTS)
    expect: Expect


class Suite(_Part):
    """The scenarios of one process. `start` are variables of all of them; the clock begins at `begins_at`."""

    process: Text
    begins_at: Text = "2026-03-02T09:00:00Z"
    start: Values = Field(default_factory=dict)
    defaults: dict[str, Answer] = Field(default_factory=dict)
    scenarios: list[Scenario] = Field(min_length=1, max_length=MAX_SCENARIOS)

    def variables_of(self, scenario: Scenario) -> Mapping[str, Any]:
        return {**self.start, **scenario.start}
