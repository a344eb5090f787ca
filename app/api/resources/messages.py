"""Messages that name no instance: whoever waits for one gets it, else it starts the process that begins with it."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.api.resources.instances import (
    READERS,
    STARTERS,
    MessageReserved,
    MessageView,
    SendMessage,
    publish,
    refuse_reserved,
)
from app.api.route import Call, Listing, Resource, View, by_name
from app.engine import occasions
from app.engine.models import Occasion
from app.kit.database import Json

resource = Resource("Messages", "What happened elsewhere, told by name: flows wait for it, or start with it.")


class PublishMessage(SendMessage):
    """`correlation` finds the flow that waits for it, and is what a flow that it starts is about."""


class OccasionView(View):
    """What starts a process by itself. `due_at` is empty for a message, and when no round is left."""

    object: Literal["occasion"]
    process: str
    definition: str
    element: str
    kind: Literal["message", "timer"]
    text: str = Field(description="The message's name, the date, or the repeating interval")
    due_at: datetime | None
    rounds_left: int | None


@resource.route(
    "POST",
    "/v1/messages",
    summary="Publish a message",
    body=PublishMessage,
    example={"name": "order.placed", "correlation": "order-1001", "variables": {"total": 1200}, "dedupe": "shop:1001"},
    response=MessageView,
    status=202,
    roles=STARTERS,
    errors=(MessageReserved,),
)
def publish_message(call: Call, body: PublishMessage) -> Json:
    """Goes to the flow that waits for this name and correlation, else starts the published process that begins with
    it, else is kept until somebody waits.
    """
    refuse_reserved(body.name)
    return publish(call, body, body.correlation, body.correlation or body.name)


@resource.route(
    "GET",
    "/v1/occasions",
    summary="List what starts by itself",
    query=Listing,
    response=OccasionView,
    listed=True,
    roles=READERS,
)
def list_occasions(call: Call, query: Listing) -> Json:
    """The published processes that begin with a message or at a time, by name, and when they start next."""
    standing = occasions.standing(call.tx, call.actor.merchant_id)
    return by_name(standing, lambda one: one.process, query).view(_occasion_view)


def _occasion_view(one: Occasion) -> Json:
    return {
        "object": "occasion",
        "process": one.process,
        "definition": one.definition_id,
        "element": one.element,
        "kind": one.kind,
        "text": one.text,
        "due_at": one.due_at,
        "rounds_left": one.rounds_left,
    }
