"""What gateways tell us: verified and stored raw at once, understood later, outside the request.

A payload is never booked. It says where to look; the gateway is then asked, with no transaction open, and its answer
goes the same way as every other evidence. What matches nothing yet is kept: a webhook may overtake its own answer.
Every try is counted before it is made, so whatever goes wrong in one, there is an end to them and people see it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol, TypeVar

import structlog
from sqlalchemy import ColumnElement, select
from sqlalchemy.dialects.postgresql import insert

from app.engine import incidents
from app.errors import AppError
from app.gateways.port import CouldNotAsk, EventKind
from app.gateways.registry import Registry as Gateways
from app.kit.database import Tx
from app.kit.ids import new_id
from app.payments.models import Attempt, InboundWebhook
from app.payments.recovery import Looking, looking, wake
from app.payments.verbs import WEBHOOK

CHANNEL: Final = "sluice_inbound"

log = structlog.get_logger()
T = TypeVar("T")

#: A worker that died while applying loses its hold after this, however often it was tried before: the webhook has
#: done nothing wrong.
_HOLD = timedelta(seconds=60)
#: When to try an unmatched or failed webhook again; after the last one it waits for people.
_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (2, 10, 60, 600, 3600, 6 * 3600, 24 * 3600))


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
    tx.notify(CHANNEL)
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
    """The chore that applies stored webhooks: take what is due, ask with no transaction open, book.

    Each serves one gateway, so that one that is slow to answer delays no other's; without a name it serves those
    that are configured no longer.
    """

    name = "inbound_webhooks"
    channels: Sequence[str] = (CHANNEL,)

    def __init__(self, registry: Gateways, appliers: Mapping[EventKind, Applier], gateway: str = "") -> None:
        self._registry = registry
        self._appliers = appliers
        self._gateway = gateway

    def take(self, tx: Tx, limit: int) -> list[Job]:
        rows = tx.session.scalars(
            select(InboundWebhook)
            .where(InboundWebhook.due_at <= tx.now(), self._mine())
            .order_by(InboundWebhook.due_at, InboundWebhook.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        return [job for row in rows if (job := self._job(tx, row)) is not None]

    def do(self, job: Job) -> Answer:
        if job.application is None:
            return Answer(error=job.error)
        return Answer(*_attempted(job.news, job.application.call))

    def book(self, tx: Tx, job: Job, answer: Answer) -> None:
        matched, error = self._finish(tx, job, answer)
        row = tx.session.get_one(InboundWebhook, job.news.id, with_for_update=True)
        if row.status == "applied" or (row.status == "set_aside" and not matched):
            return
        row.last_error = error or None
        if matched:
            row.status, row.due_at, row.applied_at = "applied", None, tx.now()
        elif row.tries <= len(_DELAYS):
            row.status = "new" if error else "unmatched"
            row.due_at = tx.now() + _DELAYS[row.tries - 1]
        else:
            _give_up(tx, row)
        tx.session.flush()

    def _finish(self, tx: Tx, job: Job, answer: Answer) -> tuple[bool, str]:
        """Whether it matched, and what went wrong; what a failed booking had written is undone."""
        application = job.application
        if application is None or answer.error:
            return False, answer.error

        def finish() -> bool:
            with tx.part():
                return application.finish(tx, answer.value)

        matched, error = _attempted(job.news, finish)
        return bool(matched), error

    def _mine(self) -> ColumnElement[bool]:
        if self._gateway:
            return InboundWebhook.gateway == self._gateway
        return InboundWebhook.gateway.not_in(self._registry.names)

    def _job(self, tx: Tx, row: InboundWebhook) -> Job | None:
        if row.tries > len(_DELAYS):
            # The last try ended without a word, such as with its worker.
            row.last_error = row.last_error or "The last try never came to its end"
            _give_up(tx, row)
            return None
        row.tries += 1
        row.due_at = tx.now() + _HOLD
        tx.session.flush()
        news = News(row.id, row.gateway, row.event_id, row.key, row.charge, row.dispute)

        def application() -> Application | None:
            with tx.part():
                return self._appliers[EventKind(row.kind)](tx, self._registry, news)

        # An error is such as a gateway that is configured no longer; the others must not wait for it.
        return Job(news, *_attempted(news, application))


def _attempted(news: News, work: Callable[[], T]) -> tuple[T | None, str]:
    """What `work` gives, or what people are told instead; of what nobody expected only the kind, as its words may
    hold anything.
    """
    try:
        return work(), ""
    except AppError as error:
        return None, error.detail
    except Exception as error:
        log.exception("webhook.failed", webhook=news.id, gateway=news.gateway)
        return None, f"{type(error).__name__}; the worker's log has the rest"


def _give_up(tx: Tx, row: InboundWebhook) -> None:
    """No further try: it waits for people, and where it is known what it is about an incident says so."""
    row.due_at = None
    row.status = "parked" if row.last_error else "unmatched"
    attempt = attempt_of(tx, row)
    if attempt is None or not row.last_error:
        return
    incidents.report(
        tx,
        attempt.merchant_id,
        attempt.instance_id,
        attempt.refund_id or attempt.dispute_id or attempt.payment_id,
        attempt.activation,
        "webhook_parked",
        f"{row.gateway} sent {row.type} ({row.event_id}), which could not be applied in {row.tries} tries: "
        f"{row.last_error}",
        {"webhook": row.id, "attempt": attempt.id},
    )


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
        wake(tx, attempt, f"{self.news.gateway}:{self.news.event_id}")
        return True


def attempt_of(tx: Tx, news: News | InboundWebhook) -> Attempt | None:
    """The attempt it is about, by our key or by the gateway's charge where it names no key."""
    attempt = tx.session.get(Attempt, news.key) if news.key else None
    if attempt is None and news.charge:
        attempt = tx.session.scalar(
            select(Attempt).where(
                Attempt.gateway == news.gateway,
                Attempt.gateway_reference == news.charge,
                Attempt.operation == "authorize",
            )
        )
    return attempt if attempt is not None and attempt.gateway == news.gateway else None


def apply_attempt_news(tx: Tx, registry: Gateways, news: News) -> Application | None:
    attempt = attempt_of(tx, news)
    if attempt is None or attempt.state == "created":
        return None
    return AttemptNews(looking(tx, registry, attempt), news)


APPLIERS: Final[Mapping[EventKind, Applier]] = {
    EventKind.ATTEMPT_UPDATED: apply_attempt_news,
    EventKind.ACTION_COMPLETED: apply_attempt_news,
}
