"""Payments: create, read, confirm, capture, cancel."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.access.actor import Role
from app.api.route import Answer, Call, Listing, Resource, Rest, View
from app.kit.database import Json
from app.payments import queries, service
from app.payments.commands import CancelPayment, CapturePayment, ConfirmPayment, CreatePayment
from app.payments.models import Payment
from app.payments.queries import PaymentNotFound, find_payment, payment_view
from app.payments.states import IllegalTransition, PaymentStatus

READERS = (Role.INTEGRATOR, Role.OPERATOR, Role.REVIEWER, Role.ANALYST, Role.ADMIN)
CREATORS = (Role.INTEGRATOR, Role.OPERATOR, Role.ADMIN)
MOVERS = (Role.INTEGRATOR, Role.OPERATOR)

resource = Resource("Payments", "One payment is one running flow; its status says what it waits for.")


class NextAction(View):
    """What the customer must do."""

    type: Literal["redirect"]
    url: str


class InstanceRef(View):
    id: str
    process: str
    version: int


class AttemptView(View):
    """One try of one operation at one gateway."""

    id: str
    operation: str
    gateway: str
    outcome: str | None = Field(
        description="None while the gateway has yet to answer; `unknown` when it may have acted"
    )
    gateway_reference: str | None
    decline_code: str | None
    created_at: datetime


class PaymentView(View):
    id: str
    object: Literal["payment"]
    status: PaymentStatus
    status_reason: str | None = Field(description="Such as `outcome_unknown` or a decline")
    amount: int = Field(description="Minor units of `currency`")
    amount_capturable: int
    amount_captured: int
    amount_refunded: int
    amount_disputed: int
    currency: str
    payment_method: str | None
    capture_method: Literal["automatic", "manual"]
    reference: str
    customer: dict[str, Any]
    metadata: dict[str, str]
    next_action: NextAction | None
    instance: InstanceRef | None
    attempts: list[AttemptView]
    created_at: datetime
    updated_at: datetime


class ListPayments(Listing):
    status: PaymentStatus | None = None
    search: str = Field("", max_length=255, description="An id, a reference, a customer's id or e-mail, or a charge")


@resource.route(
    "POST",
    "/v1/payments",
    summary="Create a payment",
    body=CreatePayment,
    example={
        "amount": 1250,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        "reference": "order-1001",
        "customer": {"id": "cus_7", "email": "ada@example.com", "country": "DE"},
    },
    response=PaymentView,
    status=201,
    roles=CREATORS,
    needs_key=True,
    waits=True,
    errors=(service.NotForPayments,),
)
def create_payment(call: Call, body: CreatePayment) -> Answer:
    """Stores the payment and starts its flow, unless `confirm` is false. It is safe once this has answered."""
    return _answer(call, service.create_payment(call.tx, call.actor, body))


@resource.route(
    "GET",
    "/v1/payments",
    summary="List payments",
    query=ListPayments,
    response=PaymentView,
    listed=True,
    roles=READERS,
)
def list_payments(call: Call, query: ListPayments) -> Json:
    """The newest first."""
    page = queries.payments(
        call.tx,
        call.actor,
        status=query.status,
        search=query.search,
        limit=query.limit,
        after=query.after,
    )
    return page.view(lambda payment: payment_view(call.tx, payment))


@resource.route(
    "GET",
    "/v1/payments/{payment}",
    summary="Get a payment",
    response=PaymentView,
    roles=READERS,
    errors=(PaymentNotFound,),
)
def get_payment(call: Call, payment: str) -> Json:
    return payment_view(call.tx, find_payment(call.tx, call.actor.merchant_id, payment))


@resource.route(
    "POST",
    "/v1/payments/{payment}/confirm",
    summary="Confirm a payment",
    body=ConfirmPayment,
    example={"payment_method": "pm_card_visa"},
    response=PaymentView,
    roles=CREATORS,
    needs_key=True,
    waits=True,
    errors=(PaymentNotFound, IllegalTransition),
)
def confirm_payment(call: Call, payment: str, body: ConfirmPayment) -> Answer:
    """Starts the flow of a payment that was created with `confirm: false`."""
    return _answer(call, service.confirm(call.tx, call.actor, payment, body.payment_method))


@resource.route(
    "POST",
    "/v1/payments/{payment}/capture",
    summary="Capture a payment",
    body=CapturePayment,
    example={"amount": 500, "final": False},
    response=PaymentView,
    roles=MOVERS,
    needs_key=True,
    waits=True,
    errors=(PaymentNotFound, service.CaptureExceedsAuthorized, service.NotCapturable),
)
def capture_payment(call: Call, payment: str, body: CapturePayment) -> Answer:
    """Reserves the amount and asks the flow to capture it; by default everything that is capturable."""
    service.request_capture(call.tx, call.actor, payment, body.amount, final=body.final)
    return _answer(call, find_payment(call.tx, call.actor.merchant_id, payment))


@resource.route(
    "POST",
    "/v1/payments/{payment}/cancel",
    summary="Cancel a payment",
    body=CancelPayment,
    example={"reason": "requested_by_customer"},
    response=PaymentView,
    roles=MOVERS,
    needs_key=True,
    waits=True,
    errors=(PaymentNotFound, IllegalTransition, service.OutcomeOpen),
)
def cancel_payment(call: Call, payment: str, body: CancelPayment) -> Answer:
    """Asks the flow to cancel, which releases what is authorized and begins no capture by itself from now on.

    What was captured, or is being captured, is given back by a refund.
    """
    return _answer(call, service.request_cancel(call.tx, call.actor, payment, body.reason))


def _answer(call: Call, payment: Payment) -> Answer:
    payment_id, merchant_id = payment.id, payment.merchant_id
    rest = (
        Rest(payment.instance_id, lambda tx: payment_view(tx, find_payment(tx, merchant_id, payment_id)))
        if payment.instance_id
        else None
    )
    return Answer(payment_view(call.tx, payment), rest=rest)
