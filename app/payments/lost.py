"""Nobody's attempts: begun by a flow that went on or ended before the answer came, and a crash lost the answer.

While an instance still waits for its call, the worker that takes it over finds out by itself. Everything else that is
begun and old is found here, looked up, and at least known to be unknown; so is what an authorization was that was
voided while it waited. What is open when its flow ends is given to a flow of its own: somebody always looks after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select

from app.access.actor import system
from app.engine import inbox, incidents
from app.engine.models import Instance
from app.errors import AppError, NotFound
from app.gateways.port import GatewayResult, LookupResult, Outcome
from app.gateways.registry import Registry as Gateways
from app.kit.database import Json, Tx
from app.payments import held
from app.payments.attempts import rungs
from app.payments.booking import settle
from app.payments.held import Held
from app.payments.models import Attempt, Payment
from app.payments.outcomes import UNRESOLVED
from app.payments.queries import lock_payment
from app.payments.recovery import Looking, in_words, looking
from app.payments.service import end_as_asked
from app.payments.states import is_terminal
from app.payments.verbs import LOOKUP, Case

#: Longer than any call may take, its wait for a thread included.
LOST_AFTER: Final = timedelta(minutes=2)
WATCH_PROCESS: Final = "resolve-unknown"
#: Looks after an authorization that waits for the customer, and gives it back when they do not come.
CUSTOMER_PROCESS: Final = "authenticate-customer"


@dataclass(frozen=True, slots=True)
class Search:
    """A lost attempt in hand, read out of its row."""

    attempt_id: str
    looking: Looking | None


class LostAnswers:
    """The chore that finds out about begun attempts nobody waits for."""

    name = "lost_answers"
    channels: Sequence[str] = ()

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    def take(self, tx: Tx, limit: int) -> Sequence[Search]:
        waited_for = select(Instance.id).where(
            Instance.id == Attempt.instance_id, Instance.calls.has_key(Attempt.activation)
        )
        # An instance that stopped at the call goes on with it once it is repaired.
        stopped = select(Instance.id).where(Instance.id == Attempt.instance_id, Instance.status == "incident")
        lost = tx.session.scalars(
            select(Attempt)
            .where(
                Attempt.state == "begun",
                Attempt.begun_at < tx.now() - LOST_AFTER,
                ~waited_for.exists(),
                ~stopped.exists(),
            )
            .order_by(Attempt.begun_at, Attempt.id)
            .limit(limit)
        )
        return [self._search(tx, attempt) for attempt in lost]

    def do(self, job: Search) -> LookupResult:
        return job.looking.call() if job.looking is not None else LookupResult(None)

    def book(self, tx: Tx, job: Search, answer: LookupResult) -> None:
        row = tx.session.get_one(Attempt, job.attempt_id)
        payment = lock_payment(tx, row.merchant_id, row.payment_id)
        attempt = held.attempt(tx, payment.id, row.id)
        if attempt is None or attempt.state != "begun":
            return
        found = answer.result if answer.found else None
        result = found or GatewayResult(Outcome.UNKNOWN, message="The answer to the call was lost")
        settle(Case(tx, payment, attempt), result, LOOKUP)
        if tx.session.get_one(Instance, attempt.instance_id).ended_at is not None:
            watch(tx, self._gateways, attempt)

    def _search(self, tx: Tx, attempt: Attempt) -> Search:
        try:
            return Search(attempt.id, looking(tx, self._gateways, attempt))
        except AppError:
            return Search(attempt.id, None)  # its gateway is configured no longer: unknown it is


def flow_ended(tx: Tx, gateways: Gateways, instance_id: str, subject: str) -> None:
    """An instance has ended: what it left open at gateways is watched on, and a payment left half-way is shown.

    One that somebody had asked to cancel ends now when nothing is held for it.
    """
    if subject.startswith("pay_"):
        held.take_up(tx, [subject])
    for attempt in _attempts_for(tx, instance_id, subject):
        watch(tx, gateways, attempt)
    payment = tx.own(Held).payments.get(subject)
    if payment is None or payment.instance_id != instance_id or is_terminal(payment.status):
        return
    if payment.cancel_reason and _ends_as_asked(tx, payment):
        return
    amount = payment.amount_capturable + payment.amount_capturing
    message = (
        f"The flow has ended and the payment is {payment.status}, with {amount} {payment.currency} held at "
        f"{payment.gateway or 'no gateway'}; cancel the payment to give it back"
    )
    incidents.report(tx, payment.merchant_id, instance_id, payment.id, "", "flow_ended", message, {"held": amount})


def _ends_as_asked(tx: Tx, payment: Payment) -> bool:
    """Whether the payment could end as somebody had asked; it cannot while money is held or may be somewhere."""
    try:
        end_as_asked(tx, payment, system(payment.merchant_id))
    except AppError:
        return False
    return True


def _attempts_for(tx: Tx, instance_id: str, subject: str) -> Sequence[Attempt]:
    """Those the instance made and left open; a flow about a payment makes them for that payment alone."""
    if held.holds(tx, subject):
        made = [one for one in held.attempts(tx, subject).values() if one.instance_id == instance_id]
        return [one for one in made if one.state == "finished" and one.outcome in UNRESOLVED]
    open_ones = select(Attempt).where(
        Attempt.instance_id == instance_id, Attempt.state == "finished", Attempt.outcome.in_(UNRESOLVED)
    )
    return tx.session.scalars(open_ones).all()


def watch(tx: Tx, gateways: Gateways, attempt: Attempt) -> None:
    """Start a flow that looks after an open attempt whose own flow has ended; when such a flow gave up, an incident."""
    if attempt.state != "finished" or attempt.outcome not in UNRESOLVED:
        return
    process = CUSTOMER_PROCESS if in_words(attempt) == "needs_action" else WATCH_PROCESS
    if _gave_up(tx, attempt, process):
        # Another one would end in the same way, and so on for ever.
        _unwatched(tx, attempt, f"{process} has ended without finding out; look into the gateway's books")
        return
    try:
        ladder = rungs(gateways.get(attempt.gateway), attempt)
        variables: Json = {"payment": attempt.payment_id, "attempt": attempt.id, "ladder": ladder}
        actor = system(attempt.merchant_id)
        subject = attempt.refund_id or attempt.dispute_id or attempt.payment_id
        attempt.instance_id = inbox.start_instance(tx, actor, process, subject, variables).id
    except NotFound as missing:
        _unwatched(tx, attempt, missing.detail)
    tx.session.flush()


def _gave_up(tx: Tx, attempt: Attempt, process: str) -> bool:
    """Whether a flow of `process` that was started to look after the attempt came to its own end."""
    watched = select(Instance.id).where(
        Instance.id == attempt.instance_id, Instance.process == process, Instance.status == "completed"
    )
    return tx.session.scalar(watched) is not None


def _unwatched(tx: Tx, attempt: Attempt, why: str) -> None:
    message = f"Nobody looks after the {attempt.operation} at {attempt.gateway}, which is {attempt.outcome}: {why}"
    subject = attempt.refund_id or attempt.dispute_id or attempt.payment_id
    details: Json = {"attempt": attempt.id}
    incidents.report(
        tx, attempt.merchant_id, attempt.instance_id, subject, attempt.activation, "unwatched", message, details
    )
