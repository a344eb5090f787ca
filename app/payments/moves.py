"""What people may do about an incident that the domain reported: its legal moves, told from facts alone.

A move that needs a gateway is made by a flow, which writes its attempt ahead as every other. What is legal is told
anew each time: a hold that was given back meanwhile, or that a flow is giving back now, is offered no second time.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import select

from app.access.actor import Actor, Role
from app.engine import inbox
from app.engine.incidents import PARKED
from app.engine.models import Incident, Instance
from app.errors import Conflict, NotFound
from app.events import audit
from app.gateways.port import Outcome
from app.kit.database import Json, Tx
from app.payments.charges import given_back, hold_of, is_open, own_place
from app.payments.models import Attempt, Payment
from app.payments.queries import lock_payment, refundable
from app.payments.service import RELEASE_PROCESS
from app.payments.states import is_terminal

#: Asks the gateway once more about an attempt, whatever is known of it.
ASK_PROCESS: Final = "ask-again"
#: Kinds of incidents whose remedy is to cancel the payment, while it has not ended.
_CANCELED: Final = frozenset({"flow_ended", "request_unheard"})


class Move(StrEnum):
    """`retry` lets what stopped go on, `close` says that a person has dealt with it."""

    RETRY = "retry"
    VOID = "void"
    REFUND = "refund"
    CANCEL = "cancel"
    LOOKUP = "lookup"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Offer:
    """A legal move; where money is concerned with the gateway, the minor units and the attempt it is about.

    `said` is what the gateway answered when it was last asked again, at `asked_at`.
    """

    move: Move
    gateway: str = ""
    amount: int = 0
    currency: str = ""
    attempt: str = ""
    said: str = ""
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the moves depend on. `attempts` are all of the payment, `attempt` the one that the incident names.

    `at_work` are the processes and attempts of the flows that carry out a move now.
    """

    incident: Incident
    payment: Payment | None = None
    attempt: Attempt | None = None
    attempts: Sequence[Attempt] = ()
    at_work: frozenset[tuple[str, str]] = frozenset()
    #: What the gateway said and when, by the attempt that it was asked about again.
    heard: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)

    def says(self, outcome: Outcome) -> bool:
        """Whether the incident is that a gateway said `outcome`."""
        return bool(self.incident.details.get("outcome") == outcome)


class MoveNotLegal(Conflict):
    code = "move_not_legal"
    title = "The incident does not allow this now"


def offers(facts: Facts) -> list[Offer]:
    """The legal moves, the most helpful first; none for an incident that is resolved."""
    incident = facts.incident
    if incident.status != "open":
        return []
    if incident.source != "domain" or incident.kind == PARKED:
        return [Offer(Move.RETRY)]
    found = (_void(facts), _refund(facts), _cancel(facts), _lookup(facts), Offer(Move.CLOSE))
    return [one for one in found if one is not None]


def _void(facts: Facts) -> Offer | None:
    """The attempt's hold is at the gateway and of no use: the payment has another one, or has ended."""
    payment, attempt = facts.payment, facts.attempt
    if payment is None or attempt is None or attempt.operation != "authorize" or not facts.says(Outcome.APPROVED):
        return None
    place = hold_of(attempt)
    if place is None or place[1] != facts.incident.details.get("gateway_reference"):
        return None  # it is about another charge, which nobody but the gateway knows
    if place in given_back(facts.attempts) or (RELEASE_PROCESS, attempt.id) in facts.at_work:
        return None
    if any(one.operation == "void" and (one.gateway, one.charge) == place and is_open(one) for one in facts.attempts):
        return None
    amount = attempt.amount
    if place == own_place(payment):
        amount = payment.amount_capturable + payment.amount_capturing if is_terminal(payment.status) else 0
    return Offer(Move.VOID, attempt.gateway, amount, attempt.currency, attempt.id) if amount else None


def _refund(facts: Facts) -> Offer | None:
    """Money was captured that the payment, which had ended, was not to have."""
    payment, attempt = facts.payment, facts.attempt
    if payment is None or attempt is None or attempt.operation != "capture" or not facts.says(Outcome.APPROVED):
        return None
    same = facts.incident.details.get("gateway_reference") == attempt.gateway_reference
    amount = min(attempt.amount, refundable(payment))
    if attempt.outcome != Outcome.APPROVED or not same or not is_terminal(payment.status) or not amount:
        return None
    return Offer(Move.REFUND, attempt.gateway, amount, attempt.currency, attempt.id)


def _cancel(facts: Facts) -> Offer | None:
    payment, incident = facts.payment, facts.incident
    if payment is None or incident.subject != payment.id or incident.kind not in _CANCELED:
        return None
    if is_terminal(payment.status):
        return None
    amount = payment.amount_capturable + payment.amount_capturing
    return Offer(Move.CANCEL, payment.gateway, amount, payment.currency)


def _lookup(facts: Facts) -> Offer | None:
    """The gateway has heard of the attempt and can be asked how it stands now."""
    attempt = facts.attempt
    if attempt is None or attempt.state == "created" or (ASK_PROCESS, attempt.id) in facts.at_work:
        return None
    known = attempt.gateway, attempt.amount, attempt.currency, attempt.id
    return Offer(Move.LOOKUP, *known, *facts.heard.get(attempt.id, ()))


def moves_of(tx: Tx, incidents: Sequence[Incident]) -> dict[str, list[Offer]]:
    """The legal moves of each incident, by its id."""
    facts = _facts(tx, [one for one in incidents if one.status == "open"])
    return {one.id: offers(facts[one.id]) if one.id in facts else [] for one in incidents}


def take(tx: Tx, actor: Actor, incident_id: str, move: Move) -> Offer:
    """Start the flow that makes the move; MoveNotLegal for one that is not offered, such as one being made already.

    Whoever asks holds the payment's lock, so of two who ask at once the second sees what the first has started.
    """
    actor.require(Role.OPERATOR)
    incident = tx.session.get(Incident, incident_id)
    if incident is None or incident.merchant_id != actor.merchant_id:
        raise NotFound(f"There is no incident {incident_id}")
    payment = _facts(tx, [incident])[incident.id].payment
    if payment is not None:
        lock_payment(tx, payment.merchant_id, payment.id)
    tx.session.refresh(incident, with_for_update=True)
    offered = offers(_facts(tx, [incident])[incident.id])
    offer = next((one for one in offered if one.move == move and move in _CARRIED_OUT), None)
    if offer is None or payment is None:
        legal = [str(one.move) for one in offered]
        raise MoveNotLegal(f"{move} is not possible now, but {' or '.join(legal) or 'nothing'}", extra={"moves": legal})
    process, named = _CARRIED_OUT[move]
    variables: Json = {"payment": payment.id, named: offer.attempt}
    instance = inbox.start_instance(tx, actor, process, payment.id, variables)
    told: Json = {"move": str(move), "attempt": offer.attempt, "gateway": offer.gateway, "instance": instance.id}
    audit.record(tx, actor, "incident.move_taken", incident.id, told)
    return offer


#: The process that makes a move, and its variable that names the attempt.
_CARRIED_OUT: Final = {Move.VOID: (RELEASE_PROCESS, "authorization"), Move.LOOKUP: (ASK_PROCESS, "attempt")}


def _facts(tx: Tx, incidents: Sequence[Incident]) -> dict[str, Facts]:
    """The facts of each incident by its id, as they are now."""
    if not incidents:
        return {}
    named = {one.id: str(one.details.get("attempt", "")) for one in incidents}
    owners = select(Attempt.id, Attempt.payment_id).where(Attempt.id.in_(sorted(set(named.values()))))
    payment_of = {row.id: row.payment_id for row in tx.session.execute(owners)}
    about = {one.id: payment_of.get(named[one.id], one.subject) for one in incidents}
    wanted = select(Payment).where(Payment.id.in_(sorted(set(about.values()))))
    payments = {row.id: row for row in tx.session.scalars(wanted.execution_options(populate_existing=True))}
    attempts = _attempts(tx, payments)
    at_work, heard = _flows(tx, payments)
    return {
        one.id: Facts(
            incident=one,
            payment=payments.get(about[one.id]),
            attempt=next((row for row in attempts[about[one.id]] if row.id == named[one.id]), None),
            attempts=attempts[about[one.id]],
            at_work=at_work,
            heard=heard,
        )
        for one in incidents
    }


def _attempts(tx: Tx, payments: Mapping[str, Payment]) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = defaultdict(list)
    query = select(Attempt).where(Attempt.payment_id.in_(payments)).order_by(Attempt.created_at, Attempt.id)
    for row in tx.session.scalars(query.execution_options(populate_existing=True)):
        found[row.payment_id].append(row)
    return found


def _flows(
    tx: Tx, payments: Mapping[str, Payment]
) -> tuple[frozenset[tuple[str, str]], Mapping[str, tuple[str, datetime]]]:
    """The flows that make moves: which are at work, and what those that asked have heard last."""
    names = dict(_CARRIED_OUT.values())
    made = select(Instance).where(Instance.subject.in_(payments), Instance.process.in_(names))
    at_work: set[tuple[str, str]] = set()
    heard: dict[str, tuple[str, datetime]] = {}
    for flow in tx.session.scalars(made.order_by(Instance.created_at, Instance.id)):
        attempt = str(flow.variables.get(names[flow.process], ""))
        if flow.ended_at is None:
            at_work.add((flow.process, attempt))
        elif said := flow.variables.get("said"):
            heard[attempt] = (str(said), flow.ended_at)
    return frozenset(at_work), heard
