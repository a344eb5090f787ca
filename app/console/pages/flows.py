"""Flows: what runs, what waits to be published, and uploading diagrams past the gate.

An upload that is refused loses nothing: its diagrams come back drawn, each finding at the element it is about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, request
from werkzeug.wrappers import Response

from app.console import identity
from app.console.context import transaction
from app.console.read import flows as read
from app.console.security import draws_diagram
from app.console.web import back_to, page, refused
from app.engine import definitions
from app.engine.lint import Upload
from app.errors import AppError, InvalidInput

pages = Blueprint("flows", __name__)

MAX_FILES = 50


@dataclass(frozen=True, slots=True)
class Drawn:
    """An uploaded diagram as text for the page to draw, with its own findings."""

    name: str
    content: str
    findings: Sequence[dict[str, str]]


@pages.get("/flows")
def index() -> Response:
    draws_diagram()
    with transaction() as tx:
        view = read.flows(tx, identity.actor())
    return page("flows/index.html", area="flows", view=view)


@pages.get("/flows/new")
def new() -> Response:
    return page("flows/new.html", area="flows", findings=[], drawn=[], elsewhere=[], refusal=None)


@pages.post("/flows/new")
def upload() -> Response:
    draws_diagram()
    uploads = [Upload(file.filename or "unnamed", file.read()) for file in request.files.getlist("files") if file]
    try:
        if len(uploads) > MAX_FILES:
            raise InvalidInput(f"These are {len(uploads)} files; send at most {MAX_FILES} at once")
        with transaction() as tx:
            made = definitions.deploy(tx, identity.actor(), uploads)
            warnings = sum(len(one.warnings["findings"]) for one in made)
    except AppError as refusal:
        findings = refusal.extra.get("findings", [])
        drawn = [_drawn(one, findings) for one in uploads if one.name.endswith((".bpmn", ".xml"))]
        return page(
            "flows/new.html",
            http_status=refusal.status,
            area="flows",
            findings=findings,
            drawn=drawn,
            elsewhere=[one for one in findings if one["file"] not in {diagram.name for diagram in drawn}],
            refusal=refusal,
        )
    first = next((one for one in made if one.kind == "bpmn"), made[0])
    return back_to(f"/flows/{first.key}?kind={first.kind}", "flows.stored", count=len(made), warnings=warnings)


def _drawn(one: Upload, findings: Sequence[dict[str, str]]) -> Drawn:
    own = [finding for finding in findings if finding["file"] == one.name]
    return Drawn(one.name, one.content.decode("utf-8", "replace"), own)


@pages.get("/flows/<key>")
def show(key: str) -> Response:
    draws_diagram()
    kind = request.args.get("kind", "bpmn")
    with transaction() as tx:
        view = read.flow_page(tx, identity.actor(), key, kind, request.args.get("version", ""))
    return page("flows/show.html", area="flows", view=view, flow=view.flow, chosen=view.chosen)


@pages.post("/flows/publish")
def publish_together() -> Response:
    """Publish drafts that need each other as one unit."""
    try:
        with transaction() as tx:
            done = definitions.publish_together(tx, identity.actor(), request.form.getlist("definitions"))
    except AppError as refusal:
        return refused("/flows", refusal)
    return back_to("/flows", "flows.published_together", names=", ".join(f"{one.key} {one.version}" for one in done))


@pages.post("/flows/<key>/publish")
def publish(key: str) -> Response:
    """Publish one version; the engine refuses whoever deployed it, in words."""
    target = f"/flows/{key}?kind={request.form.get('kind', 'bpmn')}"
    try:
        with transaction() as tx:
            done = definitions.publish(tx, identity.actor(), request.form.get("definition", ""))
    except AppError as refusal:
        return refused(target, refusal)
    return back_to(target, "flows.published", name=done.key, n=done.version)
