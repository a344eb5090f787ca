"""Disputes: read them, put evidence, hand it in, or accept."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.access.actor import Role
from app.api.resources.payments import READERS
from app.api.route import Call, Listing, Resource, View
from app.disputes import queries, service
from app.disputes.commands import PutEvidence
from app.disputes.queries import DisputeNotFound, dispute_view, find_dispute
from app.disputes.states import DisputeStatus, Stage
from app.kit.database import Json

ANSWERERS = (Role.INTEGRATOR, Role.OPERATOR, Role.REVIEWER)

resource = Resource("Disputes", "A customer's bank asks for money back; `due_by` is the gateway's deadline.")


class DisputeView(View):
    id: str
    object: Literal["dispute"]
    payment: str
    stage: Stage
    status: DisputeStatus
    amount: int = Field(description="Minor units of `currency`")
    currency: str
    reason: str
    due_by: datetime | None
    evidence: dict[str, str]
    created_at: datetime
    updated_at: datetime


class ListDisputes(Listing):
    payment: str | None = Field(None, max_length=100)
    stage: Stage | None = None
    status: DisputeStatus | None = None


@resource.route(
    "GET",
    "/v1/disputes",
    summary="List disputes",
    query=ListDisputes,
    response=DisputeView,
    listed=True,
    roles=READERS,
)
def list_disputes(call: Call, query: ListDisputes) -> Json:
    """The newest first."""
    page = queries.disputes(
        call.tx,
        call.actor,
        payment=query.payment,
        stage=query.stage,
        status=query.status,
        limit=query.limit,
        after=query.after,
    )
    return page.view(dispute_view)


@resource.route(
    "GET",
    "/v1/disputes/{dispute}",
    summary="Get a dispute",
    response=DisputeView,
    roles=READERS,
    errors=(DisputeNotFound,),
)
def get_dispute(call: Call, dispute: str) -> Json:
    return dispute_view(find_dispute(call.tx, call.actor.merchant_id, dispute))


@resource.route(
    "POST",
    "/v1/disputes/{dispute}/evidence",
    summary="Put evidence",
    body=PutEvidence,
    example={"evidence": {"shipping_tracking": "https://track.example/1", "shipped_at": "2026-11-20"}},
    response=DisputeView,
    roles=ANSWERERS,
    errors=(DisputeNotFound, service.NotAnswerable),
)
def put_evidence(call: Call, dispute: str, body: PutEvidence) -> Json:
    """Adds or replaces facts; an empty one is removed. Nothing is sent until it is submitted."""
    return dispute_view(service.put_evidence(call.tx, call.actor, dispute, body.evidence))


@resource.route(
    "POST",
    "/v1/disputes/{dispute}/submit",
    summary="Submit the evidence",
    response=DisputeView,
    roles=ANSWERERS,
    needs_key=True,
    errors=(DisputeNotFound, service.NotAnswerable),
)
def submit_evidence(call: Call, dispute: str) -> Json:
    """Asks the flow to hand the evidence in, which a gateway takes once per stage."""
    return dispute_view(service.request_submit(call.tx, call.actor, dispute))


@resource.route(
    "POST",
    "/v1/disputes/{dispute}/accept",
    summary="Accept a dispute",
    response=DisputeView,
    roles=ANSWERERS,
    needs_key=True,
    errors=(DisputeNotFound, service.NotAnswerable),
)
def accept_dispute(call: Call, dispute: str) -> Json:
    """Asks the flow to accept, which gives the amount up for good."""
    return dispute_view(service.request_accept(call.tx, call.actor, dispute))
