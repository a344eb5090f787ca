"""Webhook endpoints: where a merchant wants events sent, which ones, and the secrets they are signed with.

Secrets are sealed at rest and shown once, when they are made. After a rotation both are used for a day, so that a
receiver can change its own at leisure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from app.access.actor import Actor, Role
from app.errors import Conflict, FieldError, InvalidInput, NotFound
from app.events import audit
from app.events.address import check_url
from app.events.catalog import EVENT_TYPES
from app.events.models import Delivery, WebhookEndpoint
from app.events.outbox import emit
from app.kit.clock import rfc3339
from app.kit.crypto import new_signing_secret
from app.kit.database import Json, Tx
from app.kit.ids import new_id
from app.kit.paging import Page, fetch
from app.kit.sealing import Sealer

OVERLAP = timedelta(hours=24)
MAX_ENDPOINTS = 20
ENABLED, DISABLED = "enabled", "disabled"
MANAGERS = (Role.ADMIN, Role.INTEGRATOR)


class EndpointNotFound(NotFound):
    code = "webhook_endpoint_not_found"
    title = "There is no such webhook endpoint"


class TooManyEndpoints(Conflict):
    code = "too_many_webhook_endpoints"
    title = f"A merchant can have {MAX_ENDPOINTS} enabled webhook endpoints; disable one first"


@dataclass(frozen=True, slots=True)
class Changes:
    """None leaves a field as it is."""

    url: str | None = None
    event_types: Sequence[str] | None = None
    description: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """`secret` is shown to whoever asked and never again."""

    endpoint: WebhookEndpoint
    secret: str


class Endpoints:
    """`allow_private` lets URLs lead to this machine and its network; for development only."""

    def __init__(self, sealer: Sealer, *, allow_private: bool = False) -> None:
        self._sealer = sealer
        self._allow_private = allow_private

    def create(self, tx: Tx, actor: Actor, url: str, event_types: Sequence[str] = (), description: str = "") -> Created:
        actor.require(*MANAGERS)
        self._check_room(tx, actor)
        check_url(url, allow_private=self._allow_private)
        secret = new_signing_secret()
        endpoint = WebhookEndpoint(
            id=new_id("whe"),
            merchant_id=actor.merchant_id,
            url=url,
            description=description,
            event_types=_checked_types(event_types),
            secrets={},
            status=ENABLED,
            created_by=actor.id,
            created_at=tx.now(),
            updated_at=tx.now(),
        )
        endpoint.secrets = {"current": self._seal(endpoint, secret)}
        tx.session.add(endpoint)
        tx.session.flush()
        audit.record(tx, actor, "webhook_endpoint.created", endpoint.id, {"url": url})
        return Created(endpoint, secret)

    def change(self, tx: Tx, actor: Actor, endpoint_id: str, changes: Changes) -> WebhookEndpoint:
        actor.require(*MANAGERS)
        endpoint = lock_endpoint(tx, actor.merchant_id, endpoint_id)
        if changes.url is not None:
            check_url(changes.url, allow_private=self._allow_private)
            endpoint.url = changes.url
        if changes.event_types is not None:
            endpoint.event_types = _checked_types(changes.event_types)
        if changes.description is not None:
            endpoint.description = changes.description
        if changes.enabled is True and endpoint.status != ENABLED:
            self._check_room(tx, actor)
            endpoint.status = ENABLED
        if changes.enabled is False:
            disable(tx, actor, endpoint, "The endpoint was disabled")
        endpoint.updated_at = tx.now()
        tx.session.flush()
        audit.record(tx, actor, "webhook_endpoint.changed", endpoint.id, {"url": endpoint.url})
        return endpoint

    def rotate(self, tx: Tx, actor: Actor, endpoint_id: str) -> Created:
        """A new secret; the present one keeps signing as well for OVERLAP."""
        actor.require(*MANAGERS)
        endpoint = lock_endpoint(tx, actor.merchant_id, endpoint_id)
        secret = new_signing_secret()
        endpoint.secrets = {
            "current": self._seal(endpoint, secret),
            "previous": endpoint.secrets["current"],
            "previous_until": rfc3339(tx.now() + OVERLAP),
        }
        endpoint.updated_at = tx.now()
        tx.session.flush()
        audit.record(tx, actor, "webhook_endpoint.secret_rotated", endpoint.id)
        return Created(endpoint, secret)

    def secrets(self, endpoint: WebhookEndpoint, now: datetime) -> tuple[str, ...]:
        """Those to sign with now, the current one first."""
        sealed = [endpoint.secrets["current"]]
        until = endpoint.secrets.get("previous_until")
        if until is not None and datetime.fromisoformat(until) > now:
            sealed.append(endpoint.secrets["previous"])
        return tuple(self._sealer.open(one, _place(endpoint)).decode() for one in sealed)

    def _seal(self, endpoint: WebhookEndpoint, secret: str) -> str:
        return self._sealer.seal(secret.encode(), _place(endpoint))

    def _check_room(self, tx: Tx, actor: Actor) -> None:
        mine = select(WebhookEndpoint.id).where(
            WebhookEndpoint.merchant_id == actor.merchant_id, WebhookEndpoint.status == ENABLED
        )
        if len(tx.session.scalars(mine.limit(MAX_ENDPOINTS)).all()) >= MAX_ENDPOINTS:
            raise TooManyEndpoints


def find_endpoint(tx: Tx, merchant_id: str, endpoint_id: str) -> WebhookEndpoint:
    endpoint = tx.session.get(WebhookEndpoint, endpoint_id)
    if endpoint is None or endpoint.merchant_id != merchant_id:
        raise EndpointNotFound(f"There is no webhook endpoint {endpoint_id!r}")
    return endpoint


def lock_endpoint(tx: Tx, merchant_id: str, endpoint_id: str) -> WebhookEndpoint:
    find_endpoint(tx, merchant_id, endpoint_id)
    # New deliveries refer to the row meanwhile; only its own changes exclude each other.
    lock = {"key_share": True}
    return tx.session.get_one(WebhookEndpoint, endpoint_id, with_for_update=lock, populate_existing=True)


def endpoints(tx: Tx, actor: Actor, *, limit: int = 50, after: str | None = None) -> Page[WebhookEndpoint]:
    """The merchant's endpoints, newest first, disabled ones included."""
    actor.require(*MANAGERS)
    query = select(WebhookEndpoint).where(WebhookEndpoint.merchant_id == actor.merchant_id)
    return fetch(tx, query, WebhookEndpoint.id, limit, after)


def disable(tx: Tx, actor: Actor, endpoint: WebhookEndpoint, reason: str) -> None:
    """Send it nothing more; what was still to be sent is given up. The caller holds the endpoint's row lock."""
    if endpoint.status == DISABLED:
        return
    endpoint.status = DISABLED
    endpoint.updated_at = tx.now()
    tx.execute(
        update(Delivery)
        .where(Delivery.endpoint_id == endpoint.id, Delivery.status == "pending")
        .values(status="dead", due_at=None, last_error=reason)
    )
    tx.session.flush()
    audit.record(tx, actor, "webhook_endpoint.disabled", endpoint.id, {"reason": reason})
    emit(tx, endpoint.merchant_id, "webhook_endpoint.disabled", endpoint.id, endpoint_view(endpoint), actor.id)


def endpoint_view(endpoint: WebhookEndpoint) -> Json:
    """The endpoint in the API's shape, without any secret."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "url": endpoint.url,
        "description": endpoint.description,
        "event_types": endpoint.event_types,
        "status": endpoint.status,
        "previous_secret_until": endpoint.secrets.get("previous_until"),
        "created_at": rfc3339(endpoint.created_at),
        "updated_at": rfc3339(endpoint.updated_at),
    }


def _place(endpoint: WebhookEndpoint) -> str:
    return f"webhook_endpoints/{endpoint.id}/secrets"


def _checked_types(types: Sequence[str]) -> list[str]:
    """Names from the catalog, or all of one kind such as `payment.*`."""
    kinds = {f"{name.partition('.')[0]}.*" for name in EVENT_TYPES}
    errors = [
        FieldError(f"event_types.{number}", "is not a type of event; /docs#event-types lists them", "unknown_type")
        for number, name in enumerate(types)
        if name not in EVENT_TYPES and name not in kinds
    ]
    if errors:
        raise InvalidInput("Some event types do not exist", errors=errors)
    return list(dict.fromkeys(types))
