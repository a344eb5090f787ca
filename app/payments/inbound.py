"""Webhooks of gateways that were not applied: shown to people, and tried again or set aside at their word.

A webhook nobody can place belongs to no merchant yet: those who use its gateway see it. One that names an attempt is
seen by that attempt's merchant alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import ColumnElement, and_, func, or_, select, true

from app.access.actor import Actor, Role
from app.access.merchants import settings_of
from app.errors import Conflict, NotFound
from app.events import audit
from app.gateways.redact import redacted
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch
from app.payments.models import Attempt, InboundWebhook
from app.payments.webhooks import CHANNEL, attempt_of

#: What is not applied, by the words that people filter by; `retrying` was tried and will be again.
STATUSES: Final = ("retrying", "unmatched", "parked", "set_aside")
_OPEN: Final = ("new", "unmatched", "parked")
_LONGEST_BODY: Final = 64 * 1024


class WebhookNotFound(NotFound):
    code = "inbound_webhook_not_found"
    title = "There is no such webhook"


class WebhookApplied(Conflict):
    code = "inbound_webhook_applied"
    title = "The webhook was applied meanwhile"


@dataclass(frozen=True, slots=True)
class Unapplied:
    """One webhook with what it is about, as far as that is known; `facts` are its body without secrets."""

    webhook: InboundWebhook
    status: str
    payment: str | None
    facts: Json


def unapplied(
    tx: Tx, actor: Actor, *, status: str = "", gateway: str = "", limit: int = 50, after: str | None = None
) -> Page[Unapplied]:
    """One page, newest first; without a status all that still asks for somebody."""
    query = select(InboundWebhook).where(_seen_by(tx, actor), _standing(status))
    if gateway:
        query = query.where(InboundWebhook.gateway == gateway)
    page = fetch(tx, query, InboundWebhook.id, limit, after)
    return Page([_shown(tx, row) for row in page.rows], page.next)


def counts(tx: Tx, actor: Actor) -> dict[str, int]:
    """How many stand in each of STATUSES."""
    columns = [func.count().filter(_standing(status)) for status in STATUSES]
    row = tx.session.execute(select(*columns).where(_seen_by(tx, actor), or_(*map(_standing, STATUSES)))).one()
    return dict(zip(STATUSES, row, strict=True))


def gateways(tx: Tx, actor: Actor) -> Sequence[str]:
    """The gateways of those that still ask for somebody."""
    query = select(InboundWebhook.gateway).where(_seen_by(tx, actor), _standing("")).distinct()
    return tx.session.scalars(query.order_by(InboundWebhook.gateway)).all()


def replay(tx: Tx, actor: Actor, webhook_id: str) -> InboundWebhook:
    """Try it again from the first delay on, as if it had just arrived."""
    row = _lock(tx, actor, webhook_id)
    row.status, row.tries, row.due_at = "new", 0, tx.now()
    tx.session.flush()
    tx.notify(CHANNEL)
    audit.record(tx, actor, "inbound_webhook.replayed", row.id, _named(row))
    return row


def set_aside(tx: Tx, actor: Actor, webhook_id: str) -> InboundWebhook:
    """A person has looked and it asks for nothing, such as a charge that was made by hand in the gateway's pages."""
    row = _lock(tx, actor, webhook_id)
    row.status, row.due_at = "set_aside", None
    tx.session.flush()
    audit.record(tx, actor, "inbound_webhook.set_aside", row.id, _named(row))
    return row


def _lock(tx: Tx, actor: Actor, webhook_id: str) -> InboundWebhook:
    actor.require(Role.OPERATOR)
    query = select(InboundWebhook).where(InboundWebhook.id == webhook_id, _seen_by(tx, actor))
    row = tx.session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if row is None:
        raise WebhookNotFound(f"There is no webhook {webhook_id!r}")
    if row.status in ("applied", "ignored"):
        raise WebhookApplied(f"The webhook is {row.status}; there is nothing to try again")
    return row


def _seen_by(tx: Tx, actor: Actor) -> ColumnElement[bool]:
    by_charge = and_(
        InboundWebhook.charge != "",
        Attempt.gateway_reference == InboundWebhook.charge,
        Attempt.operation == "authorize",
    )
    about = select(Attempt.id).where(
        Attempt.gateway == InboundWebhook.gateway, or_(Attempt.id == InboundWebhook.key, by_charge)
    )
    used = settings_of(tx, actor.merchant_id).gateways
    shared = InboundWebhook.gateway.in_(used) if used else true()
    return or_(about.where(Attempt.merchant_id == actor.merchant_id).exists(), and_(shared, ~about.exists()))


def _standing(status: str) -> ColumnElement[bool]:
    if status == "retrying":
        return and_(InboundWebhook.status == "new", InboundWebhook.tries > 0)
    if status:
        return InboundWebhook.status == status
    return and_(InboundWebhook.status.in_(_OPEN), InboundWebhook.tries > 0)


def _shown(tx: Tx, row: InboundWebhook) -> Unapplied:
    attempt = attempt_of(tx, row)
    status = "retrying" if row.status == "new" else row.status
    return Unapplied(row, status, attempt.payment_id if attempt else None, _facts(row))


def _facts(row: InboundWebhook) -> Json:
    """The body without what must not be shown; one that is no JSON object, or very long, is not shown at all."""
    try:
        told = orjson.loads(row.body) if len(row.body) <= _LONGEST_BODY else None
    except orjson.JSONDecodeError:
        told = None
    shown = redacted(told) if isinstance(told, dict) else {}
    assert isinstance(shown, dict)
    return shown


def _named(row: InboundWebhook) -> Json:
    return {"gateway": row.gateway, "event": row.event_id, "type": row.type}
