"""Human tasks: who may take one, who has it, and what was decided. The rules are kept here, not in the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from app.access.actor import Actor, Role
from app.access.models import User
from app.engine import inbox
from app.engine.forms import Form
from app.engine.models import Task
from app.engine.pins import load_form
from app.engine.step import Item, ItemKind
from app.errors import Conflict, FieldError, Forbidden, FourEyes, InvalidInput, NotFound
from app.events import audit
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch, narrowed

CLAIM_MINUTES = 15
NOTE_LIMIT = 4000
_OPEN = ("open", "claimed")


class TaskTaken(Conflict):
    code = "task_taken"
    title = "Somebody else has this task"


class TaskClosed(Conflict):
    code = "task_closed"
    title = "This task is already closed"


@dataclass(frozen=True, slots=True)
class Completion:
    """What a person decided: a decision of the form, its reason code where one is needed, a note, the form's fields."""

    decision: str
    reason: str = ""
    note: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def claim(tx: Tx, actor: Actor, task_id: str) -> Task:
    """Take the task for a quarter of an hour, or take it longer when it is already yours."""
    task = _lock(tx, actor, task_id)
    _check_may_act(tx, actor, task)
    task.status = "claimed"
    task.assignee = actor.id
    task.claimed_at = task.claimed_at or tx.now()
    task.claim_until = tx.now() + timedelta(minutes=CLAIM_MINUTES)
    tx.session.flush()
    return task


def claim_next(tx: Tx, actor: Actor, *conditions: ColumnElement[bool]) -> Task | None:
    """Take the most urgent open task the actor may act on; two people never get the same one."""
    query = (
        select(Task)
        .where(Task.merchant_id == actor.merchant_id, available(tx.now()), may_act(actor), *conditions)
        .order_by(Task.priority.desc(), Task.due_at.asc().nulls_last(), Task.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    task = tx.session.scalar(query)
    return claim(tx, actor, task.id) if task is not None else None


def release(tx: Tx, actor: Actor, task_id: str) -> Task:
    """Give the task back; an operator may take it away from somebody."""
    task = _lock(tx, actor, task_id)
    _check_open(tx, task)
    if task.assignee not in (None, actor.id) and Role.OPERATOR not in actor.roles:
        raise _taken(tx, task)
    task.status, task.assignee, task.claimed_at, task.claim_until = "open", None, None, None
    tx.session.flush()
    return task


def complete(tx: Tx, actor: Actor, task_id: str, completion: Completion) -> Task:
    """Decide. The decision goes to the instance through its inbox; whoever comes second is told who was first."""
    task = _lock(tx, actor, task_id)
    _check_may_act(tx, actor, task)
    data = _check_completion(form_of(tx, task), completion)
    now = tx.now()
    task.status = "completed"
    task.assignee = task.completed_by = actor.id
    task.completed_at = now
    task.decision, task.reason, task.note = completion.decision, completion.reason or None, completion.note or None
    task.data = data
    payload = {
        "decision": completion.decision,
        "reason": completion.reason,
        "note": completion.note,
        "data": data,
        "actor": actor.id,
        "actor_name": actor.name,
    }
    item = Item(ItemKind.TASK_COMPLETED, task.node, payload, actor.id)
    inbox.put(tx, task.instance_id, item, f"task:{task.id}")
    facts = {"subject": task.subject, "decision": completion.decision, "reason": completion.reason}
    audit.record(tx, actor, "task.completed", task.id, facts)
    tx.session.flush()
    return task


def escalate(tx: Tx, instance_id: str, groups: Sequence[str], priority: int) -> int:
    """Show the instance's open tasks to more people and put them further up; how many were open."""
    tasks = tx.session.scalars(
        select(Task).where(Task.instance_id == instance_id, Task.status.in_(_OPEN)).with_for_update()
    ).all()
    for task in tasks:
        task.candidate_groups = [*task.candidate_groups, *(g for g in groups if g not in task.candidate_groups)]
        task.priority = max(task.priority, priority)
    tx.session.flush()
    return len(tasks)


def tasks(
    tx: Tx,
    actor: Actor,
    *,
    status: str | None = None,
    process: str | None = None,
    subject: str | None = None,
    assignee: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Page[Task]:
    query = select(Task).where(Task.merchant_id == actor.merchant_id)
    wanted = {Task.status: status, Task.process: process, Task.subject: subject, Task.assignee: assignee}
    return fetch(tx, narrowed(query, wanted), Task.id, limit, after)


def decisions(tx: Tx, *conditions: ColumnElement[bool]) -> dict[str, Task]:
    """What people really decided, for rules that ask for more than one of them: each person's last completed task."""
    completed = select(Task).where(Task.status == "completed", *conditions).order_by(Task.completed_at, Task.id)
    return {task.completed_by: task for task in tx.session.scalars(completed) if task.completed_by}


def find(tx: Tx, actor: Actor, task_id: str) -> Task:
    task = tx.session.get(Task, task_id)
    if task is None or task.merchant_id != actor.merchant_id:
        raise NotFound(f"There is no task {task_id}")
    return task


def form_of(tx: Tx, task: Task) -> Form:
    """The form as it was when the instance started."""
    return load_form(tx, task.form_id)


def available(now: datetime) -> ColumnElement[bool]:
    """Open, or claimed by somebody whose claim has run out."""
    return or_(Task.status == "open", and_(Task.status == "claimed", Task.claim_until < now))


def may_act(actor: Actor) -> ColumnElement[bool]:
    """Tasks offered to one of the actor's groups from which the diagram does not exclude this person."""
    return and_(
        func.jsonb_exists_any(Task.candidate_groups, sorted(actor.roles)),
        ~func.jsonb_exists(Task.excluded, actor.id),
    )


def _lock(tx: Tx, actor: Actor, task_id: str) -> Task:
    find(tx, actor, task_id)
    return tx.session.get_one(Task, task_id, with_for_update=True, populate_existing=True)


def _check_open(tx: Tx, task: Task) -> None:
    if task.status in _OPEN:
        return
    name = _name(tx, task.completed_by) if task.completed_by else "Sluice"
    at = task.completed_at.isoformat() if task.completed_at else None
    done = f"{name} decided “{task.decision}”" if task.decision else "The flow has moved on"
    extra = {"by": task.completed_by, "name": name, "at": at, "decision": task.decision, "status": task.status}
    raise TaskClosed(f"{done}{f' at {at}' if at else ''}", extra=extra)


def _check_may_act(tx: Tx, actor: Actor, task: Task) -> None:
    _check_open(tx, task)
    if not actor.is_person:
        raise Forbidden("Only a person may decide a task; use a personal token")
    if actor.roles.isdisjoint(task.candidate_groups):
        wanted = ", ".join(task.candidate_groups)
        raise Forbidden(f"This task is for {wanted}", extra={"roles": task.candidate_groups})
    if actor.id in task.excluded:
        raise FourEyes(_why_excluded(tx, actor, task), extra={"task": task.id})
    if task.status == "claimed" and task.assignee != actor.id and task.claim_until and task.claim_until > tx.now():
        raise _taken(tx, task)


def _why_excluded(tx: Tx, actor: Actor, task: Task) -> str:
    if actor.id in decisions(tx, Task.instance_id == task.instance_id):
        return "You took part in this already; the rules ask for another person"
    return "You asked for this, or made the key that did; the rules ask for another person"


def _taken(tx: Tx, task: Task) -> TaskTaken:
    name = _name(tx, task.assignee) if task.assignee else ""
    since = task.claimed_at.isoformat() if task.claimed_at else ""
    extra = {"by": task.assignee, "name": name, "at": since}
    return TaskTaken(f"{name} has had this task since {since}", extra=extra)


def _name(tx: Tx, user_id: str) -> str:
    user = tx.session.get(User, user_id)
    return user.name if user else user_id


def _check_completion(form: Form, completion: Completion) -> Json:
    """The form's rules: a decision it offers, a reason and a note where it wants them, fields of the right type."""
    errors: list[FieldError] = []
    decision = next((option for option in form.decisions if option.value == completion.decision), None)
    if decision is None:
        offered = ", ".join(option.value for option in form.decisions)
        errors.append(FieldError("decision", f"must be one of {offered}"))
    elif decision.reason_required and not completion.reason:
        errors.append(FieldError("reason", f"is required to {decision.value}"))
    if decision is not None and decision.note_required and not completion.note.strip():
        errors.append(FieldError("note", f"is required to {decision.value}"))
    if completion.reason and completion.reason not in {reason.value for reason in form.reasons}:
        errors.append(FieldError("reason", "is not one of the form's reasons"))
    if len(completion.note) > NOTE_LIMIT:
        errors.append(FieldError("note", f"may have at most {NOTE_LIMIT} characters"))
    data, wrong = form.clean(completion.data)
    errors.extend(wrong)
    if errors:
        raise InvalidInput("The decision is not complete", errors=errors)
    return data
