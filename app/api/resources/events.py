"""Events: what happened, for systems that ask instead of listening."""

from pydantic import Field

from app.access.actor import Role
from app.api.route import Call, Listing, Resource
from app.api.shapes import EventView
from app.events import queries
from app.events.queries import EventNotFound, event_view, find_event
from app.kit.database import Json

READERS = (Role.INTEGRATOR, Role.OPERATOR, Role.ADMIN)

resource = Resource("Events", "What happened to an object, as it was then. Webhook endpoints are sent the same.")


class ListEvents(Listing):
    type: str | None = Field(None, max_length=100)
    object_id: str | None = Field(None, max_length=100, description="Only events of this object")


@resource.route(
    "GET", "/v1/events", summary="List events", query=ListEvents, response=EventView, listed=True, roles=READERS
)
def list_events(call: Call, query: ListEvents) -> Json:
    """The newest first."""
    page = queries.events(
        call.tx, call.actor, type_=query.type, object_id=query.object_id, limit=query.limit, after=query.after
    )
    return page.view(event_view)


@resource.route(
    "GET", "/v1/events/{event}", summary="Get an event", response=EventView, roles=READERS, errors=(EventNotFound,)
)
def get_event(call: Call, event: str) -> Json:
    return event_view(find_event(call.tx, call.actor.merchant_id, event))
