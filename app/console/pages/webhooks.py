"""Webhook endpoints: where events are sent, what was delivered, and sending something again."""

from collections.abc import Callable

from flask import Blueprint, request
from werkzeug.wrappers import Response

from app.access.actor import Role
from app.console import identity
from app.console.context import console, transaction
from app.console.web import back_to, page, refused
from app.errors import AppError
from app.events import endpoints, queries
from app.events.catalog import EVENT_TYPES
from app.events.endpoints import Changes, Created
from app.events.models import WebhookEndpoint
from app.kit.database import Tx

pages = Blueprint("webhooks", __name__, url_prefix="/settings/webhooks")


@pages.get("")
def index() -> Response:
    return _index(None)


def _index(created: Created | None, refusal: AppError | None = None) -> Response:
    with transaction() as tx:
        rows = endpoints.endpoints(tx, identity.actor()).rows
    return page(
        "settings/webhooks.html",
        http_status=refusal.status if refusal else 200,
        area="settings",
        rows=rows,
        kinds=sorted({name.partition(".")[0] for name in EVENT_TYPES}),
        created=created,
        refusal=refusal,
        typed=request.form,
    )


@pages.post("")
def create() -> Response:
    """Answers with the page itself: the signing secret is shown this once."""
    types = [f"{kind}.*" for kind in request.form.getlist("kinds")]
    try:
        with transaction() as tx:
            created = console().endpoints.create(
                tx,
                identity.actor(),
                request.form.get("url", "").strip(),
                types,
                request.form.get("description", "").strip(),
            )
    except AppError as refusal:
        return _index(None, refusal)
    return _index(created)


@pages.get("/<endpoint_id>")
def show(endpoint_id: str) -> Response:
    return _show(endpoint_id, None)


def _show(endpoint_id: str, created: Created | None) -> Response:
    actor, after = identity.actor(), request.args.get("after") or None
    actor.require(Role.ADMIN)
    with transaction() as tx:
        endpoint = endpoints.find_endpoint(tx, actor.merchant_id, endpoint_id)
        rows = queries.deliveries(tx, endpoint_id, after=after)
        types = {row.id: queries.find_event(tx, actor.merchant_id, row.event_id).type for row in rows.rows}
    older = f"/settings/webhooks/{endpoint_id}?after={rows.next}" if rows.next else ""
    return page(
        "settings/webhook.html",
        area="settings",
        endpoint=endpoint,
        rows=rows.rows,
        types=types,
        older=older,
        created=created,
    )


@pages.post("/<endpoint_id>/rotate")
def rotate(endpoint_id: str) -> Response:
    """A new signing secret, shown once; the one before works on for a day."""
    with transaction() as tx:
        created = console().endpoints.rotate(tx, identity.actor(), endpoint_id)
    return _show(endpoint_id, created)


@pages.post("/<endpoint_id>/<any(enable,disable):change>")
def switch(endpoint_id: str, change: str) -> Response:
    def act(tx: Tx) -> WebhookEndpoint:
        return console().endpoints.change(tx, identity.actor(), endpoint_id, Changes(enabled=change == "enable"))

    return _act(endpoint_id, act, "settings.saved")


@pages.post("/<endpoint_id>/resend/<delivery_id>")
def resend(endpoint_id: str, delivery_id: str) -> Response:
    return _act(endpoint_id, lambda tx: console().webhooks.resend(tx, identity.actor(), delivery_id), "settings.resent")


def _act(endpoint_id: str, act: Callable[[Tx], object], said: str) -> Response:
    target = f"/settings/webhooks/{endpoint_id}"
    try:
        with transaction() as tx:
            act(tx)
    except AppError as refusal:
        return refused(target, refusal)
    return back_to(target, said)
