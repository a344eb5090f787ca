"""Refunds: create and read."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.access.actor import Role
from app.api.resources.payments import READERS
from app.api.route import Answer, Call, Listing, Resource, Rest, View
from app.kit.database import Json
from app.payments.queries import PaymentNotFound
from app.refunds import queries, service
from app.refunds.commands import CreateRefund
from app.refunds.queries import RefundNotFound, find_refund, refund_view
from app.refunds.states import RefundStatus

resource = Resource(
    "Refunds", "Giving captured money back, above the merchant's limit with a second person's approval."
)


class RefundView(View):
    id: str
    object: Literal["refund"]
    payment: str
    amount: int = Field(description="Minor units of `currency`")
    currency: str
    status: RefundStatus
    status_reason: str | None
    reason: str
    created_at: datetime
    updated_at: datetime


class ListRefunds(Listing):
    payment: str | None = Field(None, max_length=100)
    status: RefundStatus | None = None


@resource.route(
    "POST",
    "/v1/refunds",
    summary="Create a refund",
    body=CreateRefund,
    example={"payment": "pay_01m82x9tk06syyp3tae25759da", "amount": 500},
    response=RefundView,
    status=201,
    roles=(Role.INTEGRATOR, Role.OPERATOR, Role.REVIEWER),
    needs_key=True,
    waits=True,
    errors=(PaymentNotFound, service.RefundExceedsCaptured),
)
def create_refund(call: Call, body: CreateRefund) -> Answer:
    """Reserves the amount at once, so that two refunds can never give back more than was captured."""
    refund = service.create_refund(call.tx, call.actor, body)
    refund_id, merchant_id = refund.id, refund.merchant_id
    rest = (
        Rest(refund.instance_id, lambda tx: refund_view(find_refund(tx, merchant_id, refund_id)))
        if refund.instance_id
        else None
    )
    return Answer(refund_view(refund), rest=rest)


@resource.route(
    "GET", "/v1/refunds", summary="List refunds", query=ListRefunds, response=RefundView, listed=True, roles=READERS
)
def list_refunds(call: Call, query: ListRefunds) -> Json:
    """The newest first."""
    page = queries.refunds(
        call.tx, call.actor, payment=query.payment, status=query.status, limit=query.limit, after=query.after
    )
    return page.view(refund_view)


@resource.route(
    "GET",
    "/v1/refunds/{refund}",
    summary="Get a refund",
    response=RefundView,
    roles=READERS,
    errors=(RefundNotFound,),
)
def get_refund(call: Call, refund: str) -> Json:
    return refund_view(find_refund(call.tx, call.actor.merchant_id, refund))
