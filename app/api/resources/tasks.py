"""Human tasks over HTTP: the same rules as on the review desk, since the engine keeps them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.access.actor import Role
from app.api.route import Body, Call, Listing, Resource, View
from app.engine import people, queries
from app.engine.people import Completion, TaskClosed, TaskTaken
from app.errors import FourEyes
from app.kit.database import Json

READERS = tuple(Role)
PEOPLE = (Role.REVIEWER, Role.OPERATOR, Role.ANALYST, Role.ADMIN)

resource = Resource("Tasks", "What people decide. Only a personal token may act; the diagram says whose task it is.")


class TaskView(View):
    id: str
    object: Literal["task"]
    status: Literal["open", "claimed", "completed", "canceled"]
    process: str
    element: str
    name: str
    payment: str | None
    candidate_groups: list[str]
    assignee: str | None
    due_at: datetime | None
    form: str | None
    decisions: list[str]
    reasons: list[str]


class ListTasks(Listing):
    status: Literal["open", "claimed", "completed", "canceled"] | None = None
    process: str | None = Field(None, max_length=100)
    subject: str | None = Field(None, max_length=100, description="What the flow is about: a payment's id, for example")
    assignee: str | None = Field(None, max_length=100)


class CompleteTask(Body):
    """`decision` and `reason` are values the task offers; `data` holds the fields of its form."""

    decision: str = Field(min_length=1, max_length=60)
    reason: str = Field("", max_length=60)
    note: str = Field("", max_length=people.NOTE_LIMIT)
    data: dict[str, Any] = Field(default_factory=dict)


@resource.route(
    "GET", "/v1/tasks", summary="List tasks", query=ListTasks, response=TaskView, listed=True, roles=READERS
)
def list_tasks(call: Call, query: ListTasks) -> Json:
    """The newest first."""
    page = people.tasks(
        call.tx,
        call.actor,
        status=query.status,
        process=query.process,
        subject=query.subject,
        assignee=query.assignee,
        limit=query.limit,
        after=query.after,
    )
    return page.view(lambda task: queries.task_view(call.tx, task))


@resource.route("GET", "/v1/tasks/{task}", summary="Get a task", response=TaskView, roles=READERS)
def get_task(call: Call, task: str) -> Json:
    return queries.task_view(call.tx, people.find(call.tx, call.actor, task))


@resource.route(
    "POST",
    "/v1/tasks/{task}/claim",
    summary="Claim a task",
    response=TaskView,
    roles=PEOPLE,
    errors=(TaskTaken, TaskClosed, FourEyes),
)
def claim_task(call: Call, task: str) -> Json:
    """Yours for a quarter of an hour; claiming it again prolongs that."""
    return queries.task_view(call.tx, people.claim(call.tx, call.actor, task))


@resource.route(
    "POST",
    "/v1/tasks/{task}/release",
    summary="Release a task",
    response=TaskView,
    roles=PEOPLE,
    errors=(TaskTaken, TaskClosed),
)
def release_task(call: Call, task: str) -> Json:
    """Gives it back to everybody; an operator may release somebody else's."""
    return queries.task_view(call.tx, people.release(call.tx, call.actor, task))


@resource.route(
    "POST",
    "/v1/tasks/{task}/complete",
    summary="Complete a task",
    body=CompleteTask,
    example={"decision": "approve", "note": "The customer called."},
    response=TaskView,
    roles=PEOPLE,
    errors=(TaskTaken, TaskClosed, FourEyes),
)
def complete_task(call: Call, task: str, body: CompleteTask) -> Json:
    """Decides. Whoever comes second is told who decided what, and when."""
    completion = Completion(body.decision, body.reason, body.note, body.data)
    return queries.task_view(call.tx, people.complete(call.tx, call.actor, task, completion))
