"""The list of payments: searched, filtered, paged by key, or as rows for a file."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Select, func, or_, select

from app.access.actor import Actor
from app.kit.cells import harmless
from app.kit.database import Tx
from app.kit.money import Money
from app.kit.paging import Page, fetch
from app.payments.models import Payment
from app.payments.states import PaymentStatus

STATUSES = tuple(str(status) for status in PaymentStatus)
PAGE = 50
EXPORT = 10_000
_CUT = '"There are more: this file ends after the newest {}; POST /v1/exports writes all to a file"\r\n'
_COLUMNS = (
    "id,reference,status,status_reason,currency,amount,captured,refunded,disputed,customer,email,method,gateway,"
    "created_at"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """What the list is narrowed to; empty text narrows nothing."""

    search: str = ""
    status: str = ""

    @property
    def active(self) -> bool:
        return bool(self.search or self.status)


def _query(actor: Actor, filter_: Filter) -> Select[Payment]:
    query = select(Payment).where(Payment.merchant_id == actor.merchant_id)
    if filter_.status:
        query = query.where(Payment.status == filter_.status)
    if filter_.search:
        term = filter_.search.strip()
        email = Payment.customer["email"].astext
        query = query.where(
            or_(
                Payment.id == term,
                Payment.gateway_reference == term,
                Payment.reference.istartswith(term, autoescape=True),
                Payment.customer["id"].astext == term,
                email.icontains(term, autoescape=True),
                Payment.customer["name"].astext.icontains(term, autoescape=True),
            )
        )
    return query


def payments(tx: Tx, actor: Actor, filter_: Filter, after: str | None) -> Page[Payment]:
    return fetch(tx, _query(actor, filter_), Payment.id, PAGE, after)


def counts(tx: Tx, actor: Actor) -> dict[str, int]:
    """How many payments stand in each status."""
    query = select(Payment.status, func.count()).where(Payment.merchant_id == actor.merchant_id)
    rows = tx.session.execute(query.group_by(Payment.status)).all()
    return {row[0]: row[1] for row in rows}


def export(tx: Tx, actor: Actor, filter_: Filter) -> Iterator[str]:
    """The same list as lines of CSV, newest first. Amounts in major units. A list that is longer ends by saying so."""
    yield _COLUMNS + "\r\n"
    query = _query(actor, filter_).order_by(Payment.id.desc()).limit(EXPORT + 1)
    for number, row in enumerate(tx.session.scalars(query.execution_options(yield_per=500))):
        yield _line(row) if number < EXPORT else _CUT.format(EXPORT)


def _line(row: Payment) -> str:
    customer = row.customer
    amounts = (row.amount, row.amount_captured, row.amount_refunded, row.amount_disputed)
    cells = [
        row.id,
        row.reference,
        row.status,
        row.status_reason,
        row.currency,
        *(Money(minor, row.currency).major() for minor in amounts),
        customer.get("id", ""),
        customer.get("email", ""),
        row.payment_method,
        row.gateway,
        row.created_at.isoformat(),
    ]
    buffer = io.StringIO()
    csv.writer(buffer).writerow(harmless(str(cell)) for cell in cells)
    return buffer.getvalue()
