"""Webhook endpoints: where events are sent, what was delivered, and sending it again."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.api.route import Body, Call, Listing, Resource, View
from app.events import endpoints, queries
from app.events.address import LONGEST_URL, UrlRefused
from app.events.endpoints import MANAGERS, Changes, EndpointNotFound, TooManyEndpoints, endpoint_view, find_endpoint
from app.events.queries import DeliveryNotFound, delivery_view, find_delivery
from app.events.webhooks import EndpointDisabled
from app.kit.database import Json

resource = Resource("Webhook endpoints", "Where events are sent, signed as Standard Webhooks describes.")


class WebhookEndpointView(View):
    id: str
    object: Literal["webhook_endpoint"]
    url: str
    description: str
    event_types: list[str] = Field(description="Empty: all")
    status: Literal["enabled", "disabled"]
    previous_secret_until: datetime | None = Field(description="Until then the secret before the rotation signs too")
    created_at: datetime
    updated_at: datetime


class WebhookEndpointWithSecret(WebhookEndpointView):
    """`secret` is shown this once."""

    secret: str


class DeliveryView(View):
    """One event on its way to one endpoint, with the log of its latest tries."""

    id: str
    object: Literal["delivery"]
    event: str
    endpoint: str
    status: Literal["pending", "delivered", "dead"]
    tries: int
    next_try_at: datetime | None
    last_status: int | None
    last_error: str | None
    log: list[dict[str, Any]]
    created_at: datetime
    delivered_at: datetime | None


class CreateWebhookEndpoint(Body):
    url: str = Field(max_length=LONGEST_URL)
    event_types: list[str] = Field(default_factory=list, max_length=100, description="Empty: all; `payment.*`: a kind")
    description: str = Field("", max_length=200)


class ChangeWebhookEndpoint(Body):
    """What is left out stays as it is."""

    url: str | None = Field(None, max_length=LONGEST_URL)
    event_types: list[str] | None = Field(None, max_length=100)
    description: str | None = Field(None, max_length=200)
    enabled: bool | None = None


class ListDeliveries(Listing):
    status: Literal["pending", "delivered", "dead"] | None = None


@resource.route(
    "POST",
    "/v1/webhook_endpoints",
    summary="Create a webhook endpoint",
    body=CreateWebhookEndpoint,
    example={"url": "https://shop.example/webhooks", "event_types": ["payment.*", "refund.succeeded"]},
    response=WebhookEndpointWithSecret,
    status=201,
    roles=MANAGERS,
    errors=(UrlRefused, TooManyEndpoints),
)
def create_webhook_endpoint(call: Call, body: CreateWebhookEndpoint) -> Json:
    """Answers with the signing secret, which is never shown again."""
    made = call.context.endpoints.create(call.tx, call.actor, body.url, body.event_types, body.description)
    return {**endpoint_view(made.endpoint), "secret": made.secret}


@resource.route(
    "GET",
    "/v1/webhook_endpoints",
    summary="List webhook endpoints",
    query=Listing,
    response=WebhookEndpointView,
    listed=True,
    roles=MANAGERS,
)
def list_webhook_endpoints(call: Call, query: Listing) -> Json:
    """The newest first, disabled ones included."""
    return endpoints.endpoints(call.tx, call.actor, limit=query.limit, after=query.after).view(endpoint_view)


@resource.route(
    "GET",
    "/v1/webhook_endpoints/{endpoint}",
    summary="Get a webhook endpoint",
    response=WebhookEndpointView,
    roles=MANAGERS,
    errors=(EndpointNotFound,),
)
def get_webhook_endpoint(call: Call, endpoint: str) -> Json:
    return endpoint_view(find_endpoint(call.tx, call.actor.merchant_id, endpoint))


@resource.route(
    "PATCH",
    "/v1/webhook_endpoints/{endpoint}",
    summary="Change a webhook endpoint",
    body=ChangeWebhookEndpoint,
    example={"event_types": ["payment.*"]},
    response=WebhookEndpointView,
    roles=MANAGERS,
    errors=(EndpointNotFound, UrlRefused, TooManyEndpoints),
)
def change_webhook_endpoint(call: Call, endpoint: str, body: ChangeWebhookEndpoint) -> Json:
    """With `enabled: false` nothing more is sent, and what was waiting is given up."""
    changes = Changes(body.url, body.event_types, body.description, body.enabled)
    return endpoint_view(call.context.endpoints.change(call.tx, call.actor, endpoint, changes))


@resource.route(
    "POST",
    "/v1/webhook_endpoints/{endpoint}/rotate_secret",
    summary="Rotate the secret",
    response=WebhookEndpointWithSecret,
    roles=MANAGERS,
    errors=(EndpointNotFound,),
)
def rotate_webhook_secret(call: Call, endpoint: str) -> Json:
    """For a day both secrets sign, so that you can change yours without losing anything."""
    made = call.context.endpoints.rotate(call.tx, call.actor, endpoint)
    return {**endpoint_view(made.endpoint), "secret": made.secret}


@resource.route(
    "GET",
    "/v1/webhook_endpoints/{endpoint}/deliveries",
    summary="List deliveries",
    query=ListDeliveries,
    response=DeliveryView,
    listed=True,
    roles=MANAGERS,
    errors=(EndpointNotFound,),
)
def list_deliveries(call: Call, endpoint: str, query: ListDeliveries) -> Json:
    """What was sent to this endpoint, the newest first."""
    found = find_endpoint(call.tx, call.actor.merchant_id, endpoint)
    page = queries.deliveries(call.tx, found.id, status=query.status, limit=query.limit, after=query.after)
    return page.view(delivery_view)


@resource.route(
    "GET",
    "/v1/deliveries/{delivery}",
    summary="Get a delivery",
    response=DeliveryView,
    roles=MANAGERS,
    errors=(DeliveryNotFound,),
)
def get_delivery(call: Call, delivery: str) -> Json:
    return delivery_view(find_delivery(call.tx, call.actor.merchant_id, delivery))


@resource.route(
    "POST",
    "/v1/deliveries/{delivery}/resend",
    summary="Send a delivery again",
    response=DeliveryView,
    status=202,
    roles=MANAGERS,
    errors=(DeliveryNotFound, EndpointDisabled),
)
def resend_delivery(call: Call, delivery: str) -> Json:
    """From the start of the schedule, whatever became of it before."""
    return delivery_view(call.context.webhooks.resend(call.tx, call.actor, delivery))
