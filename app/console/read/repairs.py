"""What a person must look at: incidents that stop a flow, and attempts whose outcome nobody knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select

from app.access.actor import Actor
from app.console.read.flow import names_in
from app.console.read.ordered import ordered
from app.console.read.people import Names, names_of
from app.engine import archive
from app.engine.models import Incident, Instance, WaitRow
from app.engine.reserved import is_money
from app.kit.database import Tx
from app.kit.paging import Page, fetch
from app.payments.models import Attempt, Payment
from app.payments.moves import Offer, moves_of

PAGE = 50


@dataclass(frozen=True, slots=True)
class Trouble:
    """An incident with the name of its element and what may be done about it."""

    incident: Incident
    instance: Instance
    element: str
    moves: Sequence[Offer]

    @property
    def correctable(self) -> bool:
        """Whether the element may be tried again with other variables, as `inbox.retry_incident` has it."""
        return self.incident.source == "engine" and not is_money(self.incident.subject)


@dataclass(frozen=True, slots=True)
class Unknown:
    """An attempt without a known outcome; `next_look` is when its flow looks again, None when it waits for people."""

    attempt: Attempt
    payment: Payment
    next_look: datetime | None


@dataclass(frozen=True, slots=True)
class Repairs:
    """`at_stake` is the money of all unknown attempts, in minor units by currency."""

    troubles: Page[Trouble]
    unknowns: Page[Unknown]
    open_incidents: int
    at_stake: Mapping[str, int]
    names: Names


def repairs(tx: Tx, actor: Actor, status: str, after: str, after_unknown: str) -> Repairs:
    """`status` of the incidents: open or resolved. Each of the two lists has a cursor of its own."""
    mine = Incident.merchant_id == actor.merchant_id
    page = fetch(tx, select(Incident).where(mine, Incident.status == status), Incident.id, PAGE, after)
    wanted = select(Instance).where(Instance.id.in_({row.instance_id for row in page.rows}))
    instances = {row.id: row for row in tx.session.scalars(wanted)}
    return Repairs(
        troubles=Page(troubles(tx, [(row, instances[row.instance_id]) for row in page.rows]), page.next),
        unknowns=_unknowns(tx, actor, after_unknown),
        open_incidents=tx.session.scalar(select(func.count()).where(mine, Incident.status == "open")) or 0,
        at_stake=_at_stake(tx, actor),
        names=names_of(tx, {row.resolved_by for row in page.rows}),
    )


def troubles(tx: Tx, incidents: Sequence[tuple[Incident, Instance]]) -> list[Trouble]:
    """The incidents with the names of their elements and their legal moves."""
    # A node without a stroke is at the top, where no journal is needed to tell the process.
    inside = {row.instance_id for row, _ in incidents if "/" in row.node}
    names = names_in(tx, [instance for _, instance in incidents], archive.lines(tx, sorted(inside)))
    moves = moves_of(tx, [row for row, _ in incidents])
    return [
        Trouble(row, instance, names[instance.id].at(row.node, row.element), moves[row.id])
        for row, instance in incidents
    ]


def _unknown(actor: Actor) -> ColumnElement[bool]:
    return and_(Attempt.merchant_id == actor.merchant_id, Attempt.outcome == "unknown")


def _at_stake(tx: Tx, actor: Actor) -> dict[str, int]:
    query = select(Attempt.currency, func.sum(Attempt.amount)).where(_unknown(actor))
    rows = tx.session.execute(query.group_by(Attempt.currency).order_by(Attempt.currency)).all()
    return {row[0]: int(row[1]) for row in rows}


def _unknowns(tx: Tx, actor: Actor, after: str) -> Page[Unknown]:
    page = ordered(tx, select(Attempt).where(_unknown(actor)), Attempt, _oldest, PAGE, after)
    payments = {
        row.id: row
        for row in tx.session.scalars(select(Payment).where(Payment.id.in_({row.payment_id for row in page.rows})))
    }
    looks = (
        select(WaitRow.instance_id, func.min(WaitRow.due_at))
        .where(WaitRow.instance_id.in_({row.instance_id for row in page.rows}), WaitRow.kind == "timer")
        .group_by(WaitRow.instance_id)
    )
    next_look: dict[str, datetime | None] = {row[0]: row[1] for row in tx.session.execute(looks).all()}
    return Page(
        [Unknown(row, payments[row.payment_id], next_look.get(row.instance_id or "")) for row in page.rows], page.next
    )


def _oldest(attempt: type[Attempt]) -> list[ColumnElement[Any]]:
    """The longer nobody knows, the more it matters."""
    return [attempt.created_at.expression, attempt.id.expression]
