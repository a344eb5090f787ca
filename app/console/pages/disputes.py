"""Disputes: what needs an answer and by when, the evidence, and handing it in or giving the money up."""

from collections.abc import Callable
from urllib.parse import urlencode

from flask import Blueprint, request
from pydantic import ValidationError
from werkzeug.wrappers import Response

from app.access.actor import Actor
from app.console import identity
from app.console.context import transaction
from app.console.read import dispute as read
from app.console.security import draws_diagram
from app.console.web import back_to, page, refused
from app.disputes import service
from app.disputes.commands import PutEvidence
from app.disputes.models import Dispute
from app.disputes.states import DisputeStatus
from app.errors import AppError, InvalidInput
from app.kit.database import Tx

pages = Blueprint("disputes", __name__)

STATUSES = tuple(str(status) for status in DisputeStatus)


@pages.get("/disputes")
def index() -> Response:
    status = request.args.get("status", "")
    chosen, after = status if status in STATUSES else "", request.args.get("after", "")
    with transaction() as tx:
        rows = read.disputes(tx, identity.actor(), chosen, after)
    return page(
        "disputes/index.html",
        area="disputes",
        rows=rows.rows,
        statuses=STATUSES,
        status=chosen,
        following=f"/disputes?{urlencode({'status': chosen, 'after': rows.next})}" if rows.next else "",
        first=f"/disputes?{urlencode({'status': chosen})}" if after else "",
    )


@pages.get("/disputes/<dispute_id>")
def show(dispute_id: str) -> Response:
    draws_diagram()
    with transaction() as tx:
        view = read.dispute_page(tx, identity.actor(), dispute_id)
        answerable = view.answerable(tx.now())
    return page("disputes/show.html", area="disputes", view=view, dispute=view.dispute, answerable=answerable)


@pages.post("/disputes/<dispute_id>/evidence")
def evidence(dispute_id: str) -> Response:
    """One fact by name; an empty text takes it away."""
    target = f"/disputes/{dispute_id}"
    name, text = request.form.get("name", "").strip(), request.form.get("text", "").strip()
    try:
        command = PutEvidence.model_validate({"evidence": {name: text}})
        with transaction() as tx:
            service.put_evidence(tx, identity.actor(), dispute_id, command.evidence)
    except ValidationError:
        return refused(target, InvalidInput(identity.language().t("dispute.evidence_wrong")))
    except AppError as refusal:
        return refused(target, refusal)
    return back_to(target, "dispute.evidence_kept")


@pages.post("/disputes/<dispute_id>/submit")
def submit(dispute_id: str) -> Response:
    return _ask(dispute_id, service.request_submit, "dispute.submit_asked")


@pages.post("/disputes/<dispute_id>/accept")
def accept(dispute_id: str) -> Response:
    return _ask(dispute_id, service.request_accept, "dispute.accept_asked")


def _ask(dispute_id: str, act: Callable[[Tx, Actor, str], Dispute], said: str) -> Response:
    target = f"/disputes/{dispute_id}"
    try:
        with transaction() as tx:
            act(tx, identity.actor(), dispute_id)
    except AppError as refusal:
        return refused(target, refusal)
    return back_to(target, said)
