"""Repairs: incidents with the button that lets their flow go on, what is not known at gateways, and their webhooks
that could not be applied.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, request
from werkzeug.wrappers import Response

from app.access.actor import Actor, Role
from app.console import identity
from app.console.context import transaction
from app.console.read import repairs as read
from app.console.web import back_to, page, part, refused, say, sentence
from app.engine import inbox
from app.engine.incidents import PARKED
from app.errors import AppError, InvalidInput
from app.kit import strict_json
from app.kit.database import Json, Tx
from app.payments import inbound, moves
from app.payments.moves import Move

pages = Blueprint("repairs", __name__)

#: The moves that are asked for here, with what is said then.
_ASKED: Final = {"void": "moves.void_asked", "lookup": "moves.lookup_asked"}


def _view(typed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """`typed` are the corrections that were refused, by the incident they are for."""
    status = "resolved" if request.args.get("status") == "resolved" else "open"
    cursors = {"after": request.args.get("after", ""), "unknown": request.args.get("unknown", "")}
    with transaction() as tx:
        view = read.repairs(tx, identity.actor(), status, cursors["after"], cursors["unknown"])

    def at(**changed: str | None) -> str:
        """The query of this page with one of the lists moved."""
        return urlencode({name: value for name, value in {"status": status, **cursors, **changed}.items() if value})

    pages_of = (("after", view.troubles.next), ("unknown", view.unknowns.next))
    return {
        "view": view,
        "status": status,
        "query": at(),
        "typed": typed or {},
        "following": {name: f"/repairs?{at(**{name: cursor})}" if cursor else "" for name, cursor in pages_of},
        "first": {name: f"/repairs?{at(**{name: ''})}" if cursor else "" for name, cursor in cursors.items()},
    }


@pages.get("/repairs")
def index() -> Response:
    return page("repairs/index.html", area="repairs", **_view())


@pages.get("/repairs/live")
def live() -> Response:
    return part("repairs/lists.html", **_view())


@pages.post("/repairs/<incident_id>/retry")
def retry(incident_id: str) -> Response:
    target = identity.own_path(request.form.get("back"), "/repairs")
    actor, typed = identity.actor(), request.form.get("variables", "").strip()
    try:
        actor.require(Role.OPERATOR)
        with transaction() as tx:
            note = request.form.get("note", "").strip()[:500]
            closed = inbox.retry_incident(tx, actor, incident_id, _corrected(typed), note)
            done = "moves.closed" if closed.status == "resolved" and closed.kind != PARKED else "repairs.asked"
    except AppError as refusal:
        if typed:
            say(sentence(refusal), "bad")
            return page("repairs/index.html", http_status=refusal.status, area="repairs", **_view({incident_id: typed}))
        return refused(target, refusal)
    return back_to(target, done)


@pages.post("/repairs/<incident_id>/moves")
def take_move(incident_id: str) -> Response:
    target, move = identity.own_path(request.form.get("back"), "/repairs"), request.form.get("move", "")
    try:
        if move not in _ASKED:
            raise InvalidInput("Choose one of the moves on offer")
        with transaction() as tx:
            moves.take(tx, identity.actor(), incident_id, Move(move))
    except AppError as refusal:
        return refused(target, refusal)
    return back_to(target, _ASKED[move])


def _corrected(typed: str) -> Json:
    """Variables as somebody typed them, a JSON object; nothing typed corrects nothing."""
    values = strict_json.parse(typed.encode()) if typed else {}
    if not isinstance(values, dict):
        raise InvalidInput(identity.language().t("repairs.not_an_object"))
    return values


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
