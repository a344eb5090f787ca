"""Attempts nobody will ask about any more: their instance ended, or its worker died with it, before the outcome came.

They are looked up here, with growing delays, until the gateway says what became of them. What turns out to hold money
is shown to people, since there is no flow left to decide.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import or_, select

from app.engine.models import Instance
from app.errors import AppError
from app.gateways.port import GatewayResult, LookupResult, Outcome
from app.gateways.registry import Registry as Gateways
from app.kit.database import Tx
from app.payments.booking import report, settle
from app.payments.models import Attempt
from app.payments.queries import lock_payment
from app.payments.recovery import Looking, looking
from app.payments.verbs import LOOKUP, UNRESOLVED, Case

#: A call that was under way when its instance ended gets this long to be answered and booked by itself.
GRACE: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(days=1)


class OrphanedAttempts:
    """The chore that looks them up: take what is due, ask with no transaction open, book."""

    name = "orphaned_attempts"

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    def take(self, tx: Tx, limit: int) -> list[Looking]:
        now = tx.now()
        rows = tx.session.scalars(
            select(Attempt)
            .join(Instance, Instance.id == Attempt.instance_id)
            .where(
                or_(Attempt.state == "begun", Attempt.outcome.in_(UNRESOLVED)),
                Attempt.begun_at < now - GRACE,
                Instance.ended_at < now - GRACE,
                or_(Attempt.look_up_at.is_(None), Attempt.look_up_at <= now),
            )
            .order_by(Attempt.begun_at)
            .limit(limit)
            .with_for_update(of=Attempt, skip_locked=True)
        ).all()
        for attempt in rows:
            attempt.look_up_at = now + min(GRACE * 2 ** min(attempt.lookups, 20), _LONGEST)
        return [looking(tx, self._gateways, attempt) for attempt in rows]

    def do(self, job: Looking) -> LookupResult:
        try:
            return job.call()
        except AppError:
            return LookupResult(None)

    def book(self, tx: Tx, job: Looking, answer: LookupResult) -> None:
        attempt = job.take_in(tx, answer, LOOKUP)
        case = Case(tx, lock_payment(tx, attempt.merchant_id, attempt.payment_id), attempt)
        if attempt.state == "begun":
            settle(case, GatewayResult(Outcome.UNKNOWN, message="The answer to the call was lost"), LOOKUP)
        elif attempt.operation == "authorize" and attempt.outcome == "approved":
            message = (
                f"{attempt.gateway} holds {case.money} (charge {attempt.gateway_reference}) and the flow that asked "
                "for it has ended; capture or void it at the gateway"
            )
            report(case, "orphaned_hold", message, {"gateway_reference": attempt.gateway_reference})
