"""Telling merchants' endpoints what happened, as Standard Webhooks describes it.

An event becomes one delivery per endpoint that wants it. A delivery is tried over three days with growing delays,
then kept as dead until somebody sends it again. Order is not promised; `sequence` in the body lets receivers sort.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
from sqlalchemy import select, text, update

from app.access.actor import Actor, system
from app.errors import Conflict
from app.events import audit
from app.events.address import AddressRefused, UrlRefused, check_url, checked_address
from app.events.endpoints import ENABLED, MANAGERS, Endpoints, disable, lock_endpoint
from app.events.models import Delivery, Event, WebhookEndpoint
from app.events.queries import event_view, find_delivery
from app.kit.bulk import insert_rows
from app.kit.clock import Clock, SystemClock, rfc3339
from app.kit.crypto import signed_headers
from app.kit.database import Json, Tx
from app.kit.http import Answer, HttpClient
from app.kit.ids import new_id

_MINUTE, _HOUR = 60, 3600
#: Seconds before each try; after the last one the delivery is dead. About 75 hours in all.
SCHEDULE_SECONDS = (
    0,
    5,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
LONGEST_RETRY_AFTER_SECONDS = 24 * _HOUR
#: A claimed delivery whose sender died is due again after this; longer than sending a whole batch takes.
LEASE = timedelta(minutes=5)
_JITTER = 0.2
_LOG_LENGTH = 20
PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"

_DRAIN = text("""
UPDATE events SET drained_at = :now FROM (
    SELECT id FROM events WHERE drained_at IS NULL ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
) batch WHERE events.id = batch.id RETURNING events.id
""")
# An endpoint takes everything, this type, or this kind (`payment.*`). Whoever disables one meanwhile could not give up
# what is being written.
_PAIRS = text("""
SELECT event.id, event.merchant_id, endpoint.id AS endpoint_id
FROM events event JOIN webhook_endpoints endpoint ON endpoint.merchant_id = event.merchant_id
WHERE event.id = ANY(:ids) AND endpoint.status = :enabled AND endpoint.created_at <= event.created_at AND (
    jsonb_array_length(endpoint.event_types) = 0
    OR jsonb_exists(endpoint.event_types, event.type)
    OR jsonb_exists(endpoint.event_types, split_part(event.type, '.', 1) || '.*')
)
ORDER BY event.id, endpoint.id
FOR SHARE OF endpoint
""")
_DUE = text("""
SELECT id FROM deliveries WHERE due_at <= :now ORDER BY due_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
""")


class EndpointDisabled(Conflict):
    code = "webhook_endpoint_disabled"
    title = "The endpoint is disabled; enable it before sending anything again"


@dataclass(frozen=True, slots=True)
class DeliveryJob:
    """One try to make, with everything that is needed for it and no transaction."""

    id: str
    merchant_id: str
    endpoint_id: str
    event_id: str
    url: str
    body: bytes
    secrets: tuple[str, ...]
    lease: datetime
    tries: int
    log: tuple[Json, ...]
    trace: str


@dataclass(frozen=True, slots=True)
class DeliveryAnswer:
    """What the endpoint said: `status` is None when it said nothing, then `error` says why."""

    status: int | None
    error: str
    retry_after_seconds: int
    milliseconds: int

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Webhooks:
    """`clock` dates signatures: receivers compare them with their own clock, so it is the real one."""

    def __init__(
        self,
        endpoints: Endpoints,
        client: HttpClient,
        *,
        allow_private: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._client = client
        self._allow_private = allow_private
        self._clock = clock or SystemClock()

    def drain(self, tx: Tx, limit: int = 500) -> int:
        """Turn new events into deliveries; how many events were taken."""
        ids = tx.column(_DRAIN, {"now": tx.now(), "limit": limit})
        if ids:
            pairs = tx.rows(_PAIRS, {"ids": ids, "enabled": ENABLED})
            insert_rows(
                tx, Delivery, [_new_delivery(tx, row.id, row.merchant_id, row.endpoint_id) for row in pairs], once=True
            )
        return len(ids)

    def claim_due(self, tx: Tx, limit: int = 20) -> list[DeliveryJob]:
        """Take deliveries whose time has come; each is due again after LEASE unless it is booked."""
        ids = tx.column(_DUE, {"now": tx.now(), "limit": limit})
        if not ids:
            return []
        due = tx.session.execute(
            select(Delivery, Event, WebhookEndpoint)
            .join(Event, Event.id == Delivery.event_id)
            .join(WebhookEndpoint, WebhookEndpoint.id == Delivery.endpoint_id)
            .where(Delivery.id.in_(ids))
            .order_by(Delivery.due_at, Delivery.id)
        ).all()
        jobs = []
        for delivery, event, endpoint in due:
            delivery.due_at = tx.now() + LEASE
            jobs.append(
                DeliveryJob(
                    id=delivery.id,
                    merchant_id=delivery.merchant_id,
                    endpoint_id=endpoint.id,
                    event_id=event.id,
                    url=endpoint.url,
                    body=orjson.dumps(event_view(event)),
                    secrets=self._endpoints.secrets(endpoint, tx.now()),
                    lease=delivery.due_at,
                    tries=delivery.tries,
                    log=tuple(delivery.log["tries"]),
                    trace=event.trace,
                )
            )
        tx.session.flush()
        return jobs

    def send(self, job: DeliveryJob) -> DeliveryAnswer:
        """Make the try, with no transaction open. Whatever goes wrong is part of the answer."""
        begun = time.monotonic()
        status, error, retry_after = self._send(job)
        return DeliveryAnswer(status, error, retry_after, int((time.monotonic() - begun) * 1000))

    def book(self, tx: Tx, job: DeliveryJob, answer: DeliveryAnswer) -> None:
        """Write down what came of it: delivered, due again, or dead. 410 disables the endpoint.

        Nothing is written when somebody else tried it after our lease was over; theirs is the newer answer.
        """
        # Whoever changes an endpoint locks it before its deliveries; every delivery would queue for that lock.
        gone = lock_endpoint(tx, job.merchant_id, job.endpoint_id) if answer.status == 410 else None
        tries = job.tries + 1
        values: dict[str, Any] = {
            "tries": tries,
            "last_status": answer.status,
            "last_error": answer.error or None,
            "log": {"tries": [*job.log, _line(tx, answer)][-_LOG_LENGTH:]},
        }
        if answer.accepted:
            values |= {"status": DELIVERED, "due_at": None, "delivered_at": tx.now()}
        elif tries >= len(SCHEDULE_SECONDS) or gone is not None:
            values |= {"status": DEAD, "due_at": None}
        else:
            values |= {"due_at": tx.now() + delay(job.id, tries, answer.retry_after_seconds)}
        ours = (Delivery.id == job.id, Delivery.status == PENDING, Delivery.due_at == job.lease)
        booked = tx.changed(update(Delivery).where(*ours).values(values))
        if booked and gone is not None:
            disable(tx, system(job.merchant_id), gone, "The endpoint answered 410 Gone")

    def resend(self, tx: Tx, actor: Actor, delivery_id: str) -> Delivery:
        """Send a delivery again from the start of the schedule, whatever became of it before."""
        actor.require(*MANAGERS)
        found = find_delivery(tx, actor.merchant_id, delivery_id)
        endpoint = lock_endpoint(tx, actor.merchant_id, found.endpoint_id)
        if endpoint.status != ENABLED:
            raise EndpointDisabled
        delivery = tx.session.get_one(Delivery, delivery_id, with_for_update=True, populate_existing=True)
        delivery.status, delivery.tries, delivery.due_at, delivery.delivered_at = PENDING, 0, tx.now(), None
        tx.session.flush()
        audit.record(tx, actor, "delivery.resent", delivery.id, {"event": delivery.event_id})
        return delivery

    def _send(self, job: DeliveryJob) -> tuple[int | None, str, int]:
        try:
            target = check_url(job.url, allow_private=self._allow_private)
            address = checked_address(target, allow_private=self._allow_private)
        except UrlRefused as error:
            return None, error.detail, 0
        except AddressRefused as error:
            return None, str(error), 0
        now = self._clock.now()
        headers = {
            **signed_headers(job.secrets, job.event_id, now, job.body),
            "content-type": "application/json",
            "user-agent": "Sluice-Webhooks/1",
        }
        answer = self._client.exchange("POST", job.url, headers, job.body, address=address)
        if not isinstance(answer, Answer):
            return None, answer.message, 0
        refusal = "" if 200 <= answer.status < 300 else f"The endpoint answered {answer.status}"
        return answer.status, refusal, _retry_after(answer, now)


def delay(delivery_id: str, tries: int, retry_after_seconds: int = 0) -> timedelta:
    """How long to wait after `tries` tries: the schedule, spread by up to a fifth, and never less than was asked for.

    The spread depends on the delivery alone, so that deliveries which failed together are not tried together again.
    """
    spread = int.from_bytes(hashlib.sha256(f"{delivery_id}/{tries}".encode()).digest()[:4]) / 2**32
    seconds = SCHEDULE_SECONDS[tries] * (1 + _JITTER * spread)
    return timedelta(seconds=max(seconds, min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS)))


def _new_delivery(tx: Tx, event_id: str, merchant_id: str, endpoint_id: str) -> dict[str, Any]:
    return {
        "id": new_id("dlv"),
        "merchant_id": merchant_id,
        "event_id": event_id,
        "endpoint_id": endpoint_id,
        "status": PENDING,
        "tries": 0,
        "due_at": tx.now(),
        "log": {"tries": []},
        "created_at": tx.now(),
    }


def _line(tx: Tx, answer: DeliveryAnswer) -> dict[str, Any]:
    return {
        "at": rfc3339(tx.now()),
        "status": answer.status,
        "error": answer.error or None,
        "milliseconds": answer.milliseconds,
    }


def _retry_after(answer: Answer, now: datetime) -> int:
    """The seconds in `Retry-After`, given as a number or as a date; 0 without a usable one."""
    if answer.status not in (429, 503):
        return 0
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0
    return max(0, int(((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()))
