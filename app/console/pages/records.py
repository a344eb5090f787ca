"""Records: what was told to the world, and who did what."""

from urllib.parse import urlencode

from flask import Blueprint, request
from werkzeug.wrappers import Response

from app.access.actor import Role
from app.console import identity
from app.console.context import transaction
from app.console.read import records as read
from app.console.web import page

pages = Blueprint("records", __name__)


def _object() -> str:
    return request.args.get("object", "").strip()[:60]


def _more(path: str, after: object, object_id: str) -> str:
    return f"{path}?{urlencode({'object': object_id, 'after': after})}" if after else ""


@pages.get("/events")
def events() -> Response:
    wanted = _object()
    with transaction() as tx:
        rows = read.events(tx, identity.actor(), wanted, request.args.get("after") or None)
        names = read.names(tx, rows.rows)
    older = _more("/events", rows.next, wanted)
    return page("records/events.html", area="records", rows=rows.rows, names=names, older=older, object=wanted)


@pages.get("/audit")
def audit() -> Response:
    """The audit log; for those who answer for it."""
    actor = identity.actor()
    actor.require(Role.ADMIN, Role.OPERATOR)
    wanted, after = _object(), request.args.get("after", "")
    with transaction() as tx:
        rows = read.audit(tx, actor, wanted, int(after) if after.isdecimal() else None)
        names = read.names(tx, rows.rows)
    older = _more("/audit", rows.next, wanted)
    return page("records/audit.html", area="records", rows=rows.rows, names=names, older=older, object=wanted)
