"""What gateways tell us: verified and stored raw at once, understood later, outside the request.

A payload is never booked. It says where to look; the gateway is then asked, with no transaction open, and its answer
goes the same way as every other evidence. What matches nothing yet is parked: a webhook may overtake its own answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.engine import inbox
from app.errors import AppError
from app.gateways.port import CouldNotAsk, EventKind
from app.gateways.registry import Registry as Gateways
from app.kit.database import Tx
from app.kit.ids import new_id
from app.payments.models import Attempt, InboundWebhook
from app.payments.recovery import Looking, looking
from app.payments.verbs import WEBHOOK

#: A worker that died while applying loses its hold after this.
_HOLD = timedelta(seconds=60)
#: When to try an unmatched or failed webhook again; after the last one it stays for people to look at.
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (2, 10, 60, 600, 3600, 6 * 3600, 24 * 3600))
_MESSAGE_LASTS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class News:
    """A stored webhook, read out of its row so that it can be worked on with no transaction open."""

    id: str
    gateway: str
    event_id: str
    key: str
    charge: str
    dispute: str


class Application(Protocol):
    """How one webhook is applied: `call` asks the gateway, `finish` books. False from `finish`: it matches nothing."""

    def call(self) -> object: ...
    def finish(self, tx: Tx, answer: object) -> bool: ...


#: Finds out what a webhook is about; None when it matches nothing yet.
Applier = Callable[[Tx, Gateways, News], Application | None]


def receive(tx: Tx, registry: Gateways, gateway_name: str, headers: Mapping[str, str], body: bytes) -> InboundWebhook:
    """Verify and store; the same event again is the row that is already there. InvalidSignature when not authentic."""
    event = registry.get(gateway_name).read_webhook(headers, body, tx.now())
    applied = event.kind is not EventKind.OTHER
    tx.execute(
        insert(InboundWebhook)
        .values(
            id=new_id("inw"),
            gateway=gateway_name,
            event_id=event.id,
            kind=str(event.kind),
            type=event.type,
            body=body,
            key=event.key,
            charge=event.charge,
            dispute=event.dispute,
            occurred_at=event.occurred_at,
            status="new" if applied else "ignored",
            tries=0,
            due_at=tx.now() if applied else None,
            received_at=tx.now(),
        )
        .on_conflict_do_nothing(index_elements=["gateway", "event_id"])
    )
    tx.notify(inbox.CHANNEL)
    return tx.session.scalars(
        select(InboundWebhook).where(InboundWebhook.gateway == gateway_name, InboundWebhook.event_id == event.id)
    ).one()


@dataclass(frozen=True, slots=True)
class Job:
    """One webhook in hand; without an application it matched nothing this time, or `error` says why it cannot."""

    news: News
    application: Application | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking: the gateway's answer, or why it could not be asked."""

    value: object = None
    error: str = ""


class InboundWebhooks:
    """The chore that applies stored webhooks: take what is due, ask with no transaction open, book."""

    name = "inbound_webhooks"

    def __init__(self, registry: Gateways, appliers: Mapping[EventKind, Applier]) -> None:
        self._registry = registry
        self._appliers = appliers

    def take(self, tx: Tx, limit: int) -> list[Job]:
        rows = tx.session.scalars(
            select(InboundWebhook)
            .where(InboundWebhook.due_at <= tx.now())
            .order_by(InboundWebhook.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [self._job(tx, row) for row in rows]

    def do(self, job: Job) -> Answer:
        if job.application is None:
            return Answer(error=job.error)
        try:
            return Answer(job.application.call())
        except AppError as error:
            return Answer(error=error.detail)

    def book(self, tx: Tx, job: Job, answer: Answer) -> None:
        application = job.application
        matched = application is not None and not answer.error and application.finish(tx, answer.value)
        row = tx.session.get_one(InboundWebhook, job.news.id, with_for_update=True)
        if row.status == "applied":
            return
        row.tries += 1
        row.last_error = answer.error or None
        if matched:
            row.status, row.due_at, row.applied_at = "applied", None, tx.now()
        else:
            row.status = "new" if answer.error else "unmatched"
            row.due_at = tx.now() + _DELAYS[row.tries - 1] if row.tries <= len(_DELAYS) else None
        tx.session.flush()

    def _job(self, tx: Tx, row: InboundWebhook) -> Job:
        row.due_at = tx.now() + _HOLD
        news = News(row.id, row.gateway, row.event_id, row.key, row.charge, row.dispute)
        try:
            return Job(news, self._appliers[EventKind(row.kind)](tx, self._registry, news))
        except AppError as error:
            # Such as a gateway that is configured no longer; the others must not wait for it.
            return Job(news, None, error.detail)


@dataclass(frozen=True, slots=True)
class AttemptNews:
    """News about an attempt: look it up, book what that proves, and wake the flow that waits for it."""

    looking: Looking
    news: News

    def call(self) -> object:
        answer = self.looking.call()
        if answer.found is None:
            raise CouldNotAsk(f"{self.news.gateway} could not be asked about {self.looking.lookup.key}")
        return answer

    def finish(self, tx: Tx, answer: object) -> bool:
        attempt = self.looking.take_in(tx, answer, WEBHOOK)
        inbox.publish_message(
            tx,
            attempt.merchant_id,
            "gateway.event",
            attempt.id,
            {"attempt": attempt.id, "outcome": attempt.outcome},
            f"{self.news.gateway}:{self.news.event_id}",
            ttl=_MESSAGE_LASTS,
        )
        return True


def apply_attempt_news(tx: Tx, registry: Gateways, news: News) -> Application | None:
    """By our key, or by the gateway's charge where it names no key."""
    attempt = tx.session.get(Attempt, news.key) if news.key else None
    if attempt is None and news.charge:
        attempt = tx.session.scalar(
            select(Attempt).where(
                Attempt.gateway == news.gateway,
                Attempt.gateway_reference == news.charge,
                Attempt.operation == "authorize",
            )
        )
    if attempt is None or attempt.gateway != news.gateway or attempt.state == "created":
        return None
    return AttemptNews(looking(tx, registry, attempt), news)


APPLIERS: Final[Mapping[EventKind, Applier]] = {
    EventKind.ATTEMPT_UPDATED: apply_attempt_news,
    EventKind.ACTION_COMPLETED: apply_attempt_news,
}
