"""Repairs: incidents with the button that lets their flow go on, and what is not known at gateways."""

from typing import Any

from flask import Blueprint, request
from werkzeug.wrappers import Response

from app.access.actor import Role
from app.console import identity
from app.console.context import transaction
from app.console.read import repairs as read
from app.console.web import back_to, page, part, refused
from app.engine import inbox
from app.errors import AppError

pages = Blueprint("repairs", __name__)


def _view() -> dict[str, Any]:
    status = "resolved" if request.args.get("status") == "resolved" else "open"
    with transaction() as tx:
        view = read.repairs(tx, identity.actor(), status)
    return {"view": view, "status": status}


@pages.get("/repairs")
def index() -> Response:
    return page("repairs/index.html", area="repairs", **_view())


@pages.get("/repairs/live")
def live() -> Response:
    return part("repairs/lists.html", **_view())


@pages.post("/repairs/<incident_id>/retry")
def retry(incident_id: str) -> Response:
    target = identity.own_path(request.form.get("back"), "/repairs")
    actor = identity.actor()
    try:
        actor.require(Role.OPERATOR)
        with transaction() as tx:
            inbox.retry_incident(tx, actor, incident_id)
    except AppError as refusal:
        return refused(target, refusal)
    return back_to(target, "repairs.asked")
