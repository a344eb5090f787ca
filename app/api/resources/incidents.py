"""Incidents: what keeps a flow or a payment from going on, what may be done about it, and doing it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.access.actor import Role
from app.api.route import Body, Call, Resource, View
from app.engine import inbox, queries
from app.engine.models import Incident
from app.errors import Conflict, NotFound
from app.kit.database import Json, Tx
from app.payments import moves
from app.payments.moves import Move, MoveNotLegal

resource = Resource("Incidents", "What a person must look at. The incidents of a flow are told with its instance.")


class MoveView(View):
    """One thing that may be done now.

    `void` and `lookup` are asked for with the incident's `moves`; `retry` and `close` with its `retry`; `refund` by
    making a refund, `cancel` with the payment's `cancel`.
    """

    move: Move
    gateway: str | None = Field(description="Where the money is")
    amount: int | None = Field(description="Minor units of `currency`")
    currency: str | None
    attempt: str | None = Field(description="What it is about")
    said: str | None = Field(description="What the gateway said when it was last asked again")
    asked_at: datetime | None


class IncidentView(View):
    """Why something cannot go on by itself."""

    id: str
    element: str
    kind: str
    message: str
    status: Literal["open", "resolved"]
    created_at: datetime
    moves: list[MoveView] = Field(description="What may be done about it now; empty once it is resolved")


class RetryIncident(Body):
    """`variables` are corrected before the element is tried again."""

    variables: dict[str, Any] = Field(default_factory=dict)
    note: str = Field("", max_length=500)


class TakeMove(Body):
    move: Literal["void", "lookup"] = Field(description="One of the incident's `moves` that a flow makes")


def incident_views(tx: Tx, rows: Sequence[Incident]) -> list[Json]:
    offered = moves.moves_of(tx, rows)
    return [{**queries.incident_view(row), "moves": [_move(one) for one in offered[row.id]]} for row in rows]


def _move(offer: moves.Offer) -> Json:
    return {name: value or None for name, value in asdict(offer).items()}


@resource.route(
    "POST",
    "/v1/incidents/{incident}/retry",
    summary="Retry an incident",
    body=RetryIncident,
    example={"variables": {"address": "Main Street 1"}, "note": "It was missing"},
    response=IncidentView,
    roles=(Role.OPERATOR,),
    errors=(Conflict, inbox.VariablesFixed),
)
def retry_incident(call: Call, incident: str, body: RetryIncident) -> Json:
    """Lets the element go on, with corrected variables where they were the cause; or says that it is dealt with."""
    row = inbox.retry_incident(call.tx, call.actor, incident, body.variables, body.note)
    return incident_views(call.tx, [row])[0]


@resource.route(
    "POST",
    "/v1/incidents/{incident}/moves",
    summary="Make a move about an incident",
    body=TakeMove,
    example={"move": "void"},
    response=IncidentView,
    status=202,
    roles=(Role.OPERATOR,),
    needs_key=True,
    errors=(NotFound, MoveNotLegal),
)
def take_move(call: Call, incident: str, body: TakeMove) -> Json:
    """Starts the flow that gives a hold back, or asks the gateway again; a hold that is gone resolves the incident."""
    moves.take(call.tx, call.actor, incident, Move(body.move))
    return incident_views(call.tx, [call.tx.session.get_one(Incident, incident)])[0]
