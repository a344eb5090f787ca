"""Instances: start any flow, watch it, send it messages, and end it."""

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from app.access.actor import Role
from app.api.resources.incidents import IncidentView, incident_views
from app.api.route import Answer, Body, Call, Listing, Resource, Rest, View
from app.engine import inbox, pins, queries
from app.engine.inbox import InstanceEnded, find_instance
from app.engine.models import Instance
from app.engine.reserved import about_money, is_own_message
from app.engine.step import InstanceStatus
from app.errors import FieldError, Forbidden, InvalidInput, NotFound
from app.events import audit
from app.kit.database import Json, Tx
from app.kit.ids import new_id

READERS = tuple(Role)
STARTERS = (Role.INTEGRATOR, Role.OPERATOR)
KEEP_MESSAGES_SECONDS = 86_400


class MessageReserved(Forbidden):
    code = "message_reserved"
    title = "Only Sluice itself sends messages of this name"


class ProcessNeedsSubject(InvalidInput):
    code = "process_needs_subject"
    title = "This process is about a payment, a refund or a dispute, and starts with it"


def refuse_reserved(name: str) -> None:
    if is_own_message(name):
        raise MessageReserved(f"{name!r} is told by Sluice; use the request of the payment, refund or dispute")


resource = Resource("Instances", "Running flows: where each one is, what it waits for, and which way it came.")


class WaitView(View):
    """Why a flow rests at an element."""

    element: str
    kind: Literal["timer", "message", "task", "call"]
    due_at: datetime | None
    task: str | None
    message: str | None


class PathEntry(View):
    """An element or a sequence flow the instance came through."""

    element: str
    kind: str
    entered_at: datetime
    left_at: datetime | None
    wrote: dict[str, Any] | None = Field(default=None, description="The variables that the element wrote")
    large: dict[str, int] | None = Field(default=None, description="Bytes of those that are too long to be kept")


class InstanceView(View):
    id: str
    object: Literal["instance"]
    status: InstanceStatus
    process: str
    version: int
    waits: list[WaitView]
    path: list[PathEntry]
    incidents: list[IncidentView]


class MessageView(View):
    object: Literal["message"]
    name: str
    correlation: str
    accepted: bool = Field(description="False when a message with the same `dedupe` came before")
    instance: str | None = Field(description="The flow that got it or was started by it; empty while it is kept")


class ListInstances(Listing):
    status: InstanceStatus | None = None
    process: str | None = Field(None, max_length=100)
    subject: str | None = Field(None, max_length=100, description="What the flow is about: a payment's id, for example")


class StartInstance(Body):
    """`variables` are what the flow starts with."""

    process: str = Field(min_length=1, max_length=100)
    variables: dict[str, Any] = Field(default_factory=dict)


class SendMessage(Body):
    """`correlation` is by default what the flow is about. The same `dedupe`, your own name of it, is taken once."""

    name: str = Field(min_length=1, max_length=200)
    correlation: str = Field("", max_length=200)
    variables: dict[str, Any] = Field(default_factory=dict)
    dedupe: str = Field("", max_length=200)
    keep_seconds: int = Field(KEEP_MESSAGES_SECONDS, ge=1, le=7 * KEEP_MESSAGES_SECONDS)


class CancelInstance(Body):
    reason: str = Field(min_length=1, max_length=500)


def _view(tx: Tx, instance: Instance) -> Json:
    return queries.instance_view(tx, instance) | {"incidents": incident_views(tx, queries.incidents(tx, instance.id))}


@resource.route(
    "POST",
    "/v1/instances",
    summary="Start an instance",
    body=StartInstance,
    example={"process": "greeting", "variables": {"name": "Ada"}},
    response=InstanceView,
    status=201,
    roles=STARTERS,
    waits=True,
    errors=(ProcessNeedsSubject, NotFound),
)
def start_instance(call: Call, body: StartInstance) -> Answer:
    """Starts the published version of a process that is about nothing but its variables."""
    instance = inbox.start_instance(call.tx, call.actor, body.process, None, body.variables)
    money = about_money(pins.operations_of(call.tx, instance.pins))
    if money:
        remedy = "Create a payment or a refund instead, naming the process where it is not the usual one"
        free = sorted(
            name for name, used in pins.entries(call.tx, call.actor.merchant_id).items() if not about_money(used)
        )
        message = f"must be one of {', '.join(free)}" if free else "is about money, as all that are published"
        errors = [FieldError("process", message)]
        raise ProcessNeedsSubject(f"{body.process} calls {money[0]}. {remedy}", errors=errors)
    audit.record(call.tx, call.actor, "instance.started", instance.id, {"process": body.process})
    instance_id, merchant_id = instance.id, instance.merchant_id
    rest = Rest(instance_id, lambda tx: _view(tx, find_instance(tx, merchant_id, instance_id)))
    return Answer(_view(call.tx, instance), rest=rest)


@resource.route(
    "GET",
    "/v1/instances",
    summary="List instances",
    query=ListInstances,
    response=InstanceView,
    listed=True,
    roles=READERS,
)
def list_instances(call: Call, query: ListInstances) -> Json:
    """The newest first."""
    page = queries.instances(
        call.tx,
        call.actor,
        status=query.status,
        process=query.process,
        subject=query.subject,
        limit=query.limit,
        after=query.after,
    )
    return page.view(lambda instance: _view(call.tx, instance))


@resource.route("GET", "/v1/instances/{instance}", summary="Get an instance", response=InstanceView, roles=READERS)
def get_instance(call: Call, instance: str) -> Json:
    """Its state, what it waits for, and the path it took."""
    return _view(call.tx, find_instance(call.tx, call.actor.merchant_id, instance))


@resource.route(
    "POST",
    "/v1/instances/{instance}/messages",
    summary="Send a message",
    body=SendMessage,
    example={"name": "parcel.delivered", "variables": {"signed": True}},
    response=MessageView,
    status=202,
    roles=STARTERS,
    errors=(InstanceEnded, MessageReserved),
)
def send_message(call: Call, instance: str, body: SendMessage) -> Json:
    """Goes to whoever waits for this name and correlation, or is kept until somebody does."""
    refuse_reserved(body.name)
    found = find_instance(call.tx, call.actor.merchant_id, instance)
    if InstanceStatus(found.status).ended:
        raise InstanceEnded(f"The instance is {found.status}")
    return publish(call, body, body.correlation or found.subject, instance)


def publish(call: Call, body: SendMessage, correlation: str, about: str) -> Json:
    """Hand the message over; `about` is what the audit log names."""
    merchant_id, dedupe = call.actor.merchant_id, body.dedupe or new_id("msg")
    ttl = timedelta(seconds=body.keep_seconds)
    accepted = inbox.publish_message(
        call.tx, merchant_id, body.name, correlation, body.variables, dedupe, call.actor.id, ttl
    )
    audit.record(call.tx, call.actor, "message.sent", about, {"name": body.name, "correlation": correlation})
    found = inbox.find_message(call.tx, merchant_id, body.name, correlation, dedupe)
    return {
        "object": "message",
        "name": body.name,
        "correlation": correlation,
        "accepted": accepted,
        "instance": found.delivered_to,
    }


@resource.route(
    "POST",
    "/v1/instances/{instance}/cancel",
    summary="Cancel an instance",
    body=CancelInstance,
    example={"reason": "Started by mistake"},
    response=InstanceView,
    roles=(Role.OPERATOR,),
    errors=(InstanceEnded,),
)
def cancel_instance(call: Call, instance: str, body: CancelInstance) -> Json:
    """Ends the flow where it is. What it has done at gateways stays done."""
    return _view(call.tx, inbox.cancel_instance(call.tx, call.actor, instance, body.reason))
