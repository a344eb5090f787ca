"""Repairs: incidents with the button that lets their flow go on, what is not known at gateways, and their webhooks
that could not be applied.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, request
from werkzeug.wrappers import Response

from app.access.actor import Actor, Role
from app.console import identity
from app.console.context import transaction
from app.console.read import repairs as read
from app.console.web import back_to, page, part, refused
from app.engine import inbox
from app.errors import AppError
from app.kit.database import Tx
from app.payments import inbound

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


@pages.get("/repairs/webhooks")
def webhooks() -> Response:
    status, gateway = request.args.get("status", ""), request.args.get("gateway", "")[:40]
    status = status if status in inbound.STATUSES else ""
    after, actor = request.args.get("after") or None, identity.actor()
    with transaction() as tx:
        rows = inbound.unapplied(tx, actor, status=status, gateway=gateway, after=after)
        counts, gateways = inbound.counts(tx, actor), inbound.gateways(tx, actor)
    query = {name: value for name, value in (("status", status), ("gateway", gateway)) if value}
    newest = "/repairs/webhooks" + (f"?{urlencode(query)}" if query else "")
    return page(
        "repairs/webhooks.html",
        area="repairs",
        rows=rows.rows,
        counts=counts,
        gateways=gateways,
        statuses=inbound.STATUSES,
        chosen={"status": status, "gateway": gateway},
        here=newest,
        older=f"/repairs/webhooks?{urlencode({**query, 'after': rows.next})}" if rows.next else "",
        newest=newest if after else "",
    )


@pages.post("/repairs/webhooks/<webhook_id>/replay")
def replay_webhook(webhook_id: str) -> Response:
    return _with_webhook(inbound.replay, webhook_id, "inbound.replayed")


@pages.post("/repairs/webhooks/<webhook_id>/set-aside")
def set_webhook_aside(webhook_id: str) -> Response:
    return _with_webhook(inbound.set_aside, webhook_id, "inbound.was_set_aside")


def _with_webhook(act: Callable[[Tx, Actor, str], object], webhook_id: str, done: str) -> Response:
    target = identity.own_path(request.form.get("back"), "/repairs/webhooks")
    try:
        with transaction() as tx:
            act(tx, identity.actor(), webhook_id)
    except AppError as refusal:
        return refused(target, refusal)
    return back_to(target, done)
