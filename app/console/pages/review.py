"""The review desk and one review: claiming, deciding, and what happens when somebody else was faster."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, request
from sqlalchemy import ColumnElement
from werkzeug.wrappers import Response

from app.access.actor import Actor
from app.console import identity
from app.console.context import transaction
from app.console.read import desk
from app.console.read.desk import Filter, Queue
from app.console.read.review import Review, review
from app.console.security import draws_diagram
from app.console.web import back_to, page, part, refused
from app.engine import people
from app.engine.models import Task
from app.errors import AppError, Forbidden, InvalidInput
from app.kit.database import Tx

pages = Blueprint("review", __name__)

#: Facts of a task that the page shows in places of their own.
ELSEWHERE = {"amount", "currency", "payment", "risk", "expires_at"}
#: A whole number as somebody types it; one that is longer is text, which the form refuses.
_WHOLE = re.compile(r"-?[0-9]{1,18}")


def _filter() -> Filter:
    values = request.args
    queue = values.get("queue", "")
    return Filter(
        queue=Queue(queue) if queue in list(Queue) else Queue.UNCLAIMED,
        process=values.get("process", "")[:100],
        currency=values.get("currency", "")[:3],
        assignee=values.get("assignee", "")[:40],
    )


def _query(chosen: Filter) -> str:
    """The filter as it stands in an address, so that a review leads back to the list it was opened from."""
    parts = {"queue": chosen.queue, "process": chosen.process, "currency": chosen.currency, "assignee": chosen.assignee}
    return urlencode({key: value for key, value in parts.items() if value})


def _desk() -> dict[str, Any]:
    chosen, after = _filter(), request.args.get("after", "")[:40]
    with transaction() as tx:
        view = desk.desk(tx, identity.actor(), chosen, tx.now(), after)
    query = _query(chosen)
    return {
        "desk": view,
        "filter": chosen,
        "queues": list(Queue),
        "query": query,
        "live_query": f"{query}&after={quote(after)}" if after else query,
        "following": f"/review?{query}&after={view.next}" if view.next else "",
        "first": f"/review?{query}" if after else "",
    }


@pages.get("/review")
def index() -> Response:
    return page("review/index.html", area="review", **_desk())


@pages.get("/review/live")
def live() -> Response:
    """Queues and rows alone, asked for again and again by the open page."""
    return part("review/desk.html", **_desk())


@pages.post("/review/next")
def take_next() -> Response:
    """Claim the most urgent task of the queue for this person; the server picks, so two people never get one task."""
    chosen = _filter()
    with transaction() as tx:
        task = people.claim_next(tx, identity.actor(), desk.narrowing(chosen), *_within(chosen, tx.now()))
    if task is None:
        return back_to(f"/review?{_query(chosen)}", "review.nothing_to_take", "info")
    return back_to(f"/review/{task.id}?{_query(chosen)}")


def _within(chosen: Filter, now: datetime) -> list[ColumnElement[bool]]:
    picks = {Queue.SECOND, Queue.OVERDUE, Queue.ESCALATED}
    return [desk.in_queue(chosen.queue, identity.actor(), now)] if chosen.queue in picks else []


@pages.get("/review/<task_id>")
def show(task_id: str) -> Response:
    return _review_page(task_id)


@pages.get("/review/<task_id>/state")
def state(task_id: str) -> Response:
    """The claim and the decision alone: tells an open page that somebody else took or decided the task."""
    with transaction() as tx:
        view = review(tx, identity.actor(), task_id)
        now = tx.now()
    return part("review/state.html", view=view, mine=view.is_claimed_by(identity.actor(), now), lapsed=view.lapsed(now))


@pages.post("/review/<task_id>/claim")
def claim(task_id: str) -> Response:
    return _turn(task_id, people.claim, "review.claimed")


@pages.post("/review/<task_id>/release")
def release(task_id: str) -> Response:
    return _turn(task_id, people.release, "review.released")


def _turn(task_id: str, act: Callable[[Tx, Actor, str], Task], said: str) -> Response:
    target = f"/review/{task_id}?{_query(_filter())}"
    try:
        with transaction() as tx:
            act(tx, identity.actor(), task_id)
    except (people.TaskTaken, people.TaskClosed) as conflict:
        return _review_page(task_id, conflict=conflict)
    except Forbidden as refusal:
        return refused(target, refusal)
    return back_to(target, said)


@pages.post("/review/<task_id>/decide")
def decide(task_id: str) -> Response:
    """Decide, then on to the next of the queue. What was typed comes back whenever the decision is not taken."""
    form, chosen = request.form, _filter()
    try:
        with transaction() as tx:
            shape = people.form_of(tx, people.find(tx, identity.actor(), task_id))
            completion = people.Completion(
                decision=form.get("decision", ""),
                reason=form.get("reason", ""),
                note=form.get("note", ""),
                data={field.name: _typed(field.type, form.get(f"field.{field.name}")) for field in shape.fields},
            )
            people.complete(tx, identity.actor(), task_id, completion)
            following = desk.next_of(tx, identity.actor(), chosen, tx.now(), task_id)
    except (people.TaskTaken, people.TaskClosed) as conflict:
        return _review_page(task_id, conflict=conflict, typed=dict(form))
    except (InvalidInput, Forbidden) as refusal:
        return _review_page(task_id, refusal=refusal, typed=dict(form))
    where = f"/review/{following}?{_query(chosen)}" if following else f"/review?{_query(chosen)}"
    return back_to(where, "review.decided")


def _typed(kind: str, text: str | None) -> object:
    """A form field's text as the engine takes it: numbers and ticks are no texts; nothing typed is no value."""
    if kind == "boolean":
        return text is not None
    if text is None or not text.strip():
        return None
    if kind == "number":
        stripped = text.strip()
        return int(stripped) if _WHOLE.fullmatch(stripped) else stripped
    return text


def _review_page(
    task_id: str,
    *,
    conflict: AppError | None = None,
    refusal: AppError | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    draws_diagram()
    chosen, actor = _filter(), identity.actor()
    with transaction() as tx:
        view: Review = review(tx, actor, task_id)
        now = tx.now()
        following = desk.next_of(tx, actor, chosen, now, task_id)
    query = _query(chosen)
    failed = conflict or refusal
    return page(
        "review/show.html",
        http_status=failed.status if failed else 200,
        area="review",
        view=view,
        told={name: value for name, value in view.task.facts.items() if name not in ELSEWHERE},
        mine=view.is_claimed_by(actor, now),
        lapsed=view.lapsed(now),
        may_decide=desk.may_take(actor, view.task),
        conflict=conflict,
        refusal=refusal,
        typed=typed or {},
        wrong={error.field: identity.language().said(error.message) for error in refusal.errors} if refusal else {},
        query=query,
        following=f"/review/{following}?{query}" if following else "",
    )
