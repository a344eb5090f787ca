"""What the diagram viewer asks for: the drawing of a definition, and where an instance stands in it."""

from urllib.parse import quote

import orjson
from flask import Blueprint, make_response, request
from werkzeug.wrappers import Response

from app.console import identity
from app.console.context import transaction
from app.console.language import LANGUAGES, Language
from app.console.read.flow import drawing_state, find_definition

pages = Blueprint("drawings", __name__)

_ENDINGS = {"form": "form.json"}


@pages.get("/definitions/<definition_id>/source")
def source(definition_id: str) -> Response:
    """The definition exactly as it was deployed; with `?download` as a file, with `?language` as one reads it there."""
    with transaction() as tx:
        definition = find_definition(tx, identity.actor(), definition_id)
    wanted = request.args.get("language", "")
    translated = wanted in LANGUAGES
    response = make_response(Language(wanted).drawn(definition.content) if translated else definition.content)
    response.mimetype = "application/json" if definition.kind == "form" else "application/xml"
    # A definition never changes; its translation does with the next catalogue.
    response.headers["Cache-Control"] = f"private, {'max-age=300' if translated else 'max-age=31536000, immutable'}"
    if "download" in request.args:
        name = f"{definition.key}-{definition.version}.{_ENDINGS.get(definition.kind, definition.kind)}"
        # A key may be written in any letters, a header may not.
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return response


@pages.get("/instances/<instance_id>/state")
def state(instance_id: str) -> Response:
    with transaction() as tx:
        body = drawing_state(tx, identity.actor(), instance_id, request.args.get("process", ""))
    response = make_response(orjson.dumps(body))
    response.mimetype = "application/json"
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    return response.make_conditional(request)
