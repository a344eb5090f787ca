"""Void: give a hold back. Nothing to give back is a success; a hold or capture nobody knows about is not."""

from collections.abc import Iterator

from pydantic import Field

from app.access.actor import system
from app.engine import incidents
from app.engine.models import Instance
from app.events import audit
from app.gateways.port import Gateway, GatewayResult, Outcome, Void
from app.gateways.registry import Registry as Gateways
from app.kit.database import Tx
from app.kit.money import Money
from app.ledger.postings import Book
from app.ledger.service import posting_id
from app.operations import Effect, InvalidParameters, OperationContext, Result
from app.payments import held
from app.payments.attempts import Order, own_attempt, resume, start, unknown, unresolved, write
from app.payments.booking import CONTRADICTION
from app.payments.capturing import drop_requested
from app.payments.charges import given_back, hold_of, is_gone, is_open, orphans, own_place, place_of
from app.payments.models import Attempt, Payment
from app.payments.outcomes import WITHOUT_EFFECT
from app.payments.queries import attempts_of, lock_payment
from app.payments.recovery import AttemptNotFound
from app.payments.states import PaymentStatus, is_terminal, move
from app.payments.verbs import Case, Verb, register

_WAITING = ("pending", "needs_action")


class VoidResult(Result):
    """`attempt` gave the hold back; it is empty when there was nothing to give back."""

    attempt: str = Field(title="Attempt", description="Id of the attempt; empty when there was nothing to give back")


def void(context: OperationContext, authorization: str = "") -> VoidResult | Effect:
    """Begin to give back what is authorized and not captured, or end an authorization that still waits.

    `authorization` names the attempt whose hold is meant. Without it that is the payment's own.
    """
    tx = context.tx
    payment = lock_payment(tx, context.merchant_id, context.subject)
    _check_meant(context, authorization)
    attempt = own_attempt(context, payment)
    if attempt is not None:
        outcome = resume(context, Case(tx, payment, attempt))
        assert isinstance(outcome, VoidResult | Effect)
        return outcome
    order = _order(context, payment, authorization)
    if order is None:
        return VoidResult(attempt="")
    context.use(Gateways).get(order.gateway)
    if (order.gateway, order.charge) == own_place(payment):
        order = _without_requests(context, payment, authorization) or order
    attempt = write(context, payment, order)
    return start(context, Case(tx, payment, attempt))


def _check_meant(context: OperationContext, authorization: str) -> None:
    """A flow started for one authorization gives back no other: its diagram might not pass on which one is meant."""
    started_for = context.tx.session.get_one(Instance, context.instance_id).variables.get("authorization")
    if started_for and started_for != authorization:
        raise InvalidParameters(
            f"payment.void: this flow was started to give back {started_for}; its diagram must pass it on as "
            "`authorization`, as the shipped one does"
        )


def _without_requests(context: OperationContext, payment: Payment, authorization: str) -> Order | None:
    """What there is to void once captures that nobody has begun are dropped."""
    if drop_requested(context.tx, payment, "The payment was voided before this capture was begun"):
        # Told now: a void that is declined or not known tells nothing about what is capturable.
        move(context.tx, payment, payment.status, payment.status_reason, system(payment.merchant_id))
    return _order(context, payment, authorization)


def _order(context: OperationContext, payment: Payment, authorization: str) -> Order | None:
    """What there is to void; OUTCOME_UNKNOWN while that cannot be told."""
    if authorization:
        return _named(context, payment, authorization)
    waiting = _check_known(context, payment)
    own = _own(payment)
    if own is None and waiting is not None:
        return Order("void", waiting.gateway, waiting.amount, payment.currency, waiting.gateway_reference)
    return own


def _check_known(context: OperationContext, payment: Payment) -> Attempt | None:
    """OUTCOME_UNKNOWN while it cannot be told what the payment's own hold is; the authorization that still waits."""
    waiting = waiting_authorization(context.tx, payment.id)
    but = waiting.id if waiting is not None and waiting.gateway_reference else ""
    open_attempt = unresolved(context.tx, payment, ("authorize", "capture", "void"), but=but)
    if open_attempt is not None:
        raise unknown(context, open_attempt)
    return waiting


def _own(payment: Payment) -> Order | None:
    amount = payment.amount_capturable + payment.amount_capturing
    return Order("void", payment.gateway, amount, payment.currency, payment.gateway_reference) if amount else None


def _named(context: OperationContext, payment: Payment, authorization: str) -> Order | None:
    """What there is to void of one authorization of the payment. What is open of another hold does not matter."""
    attempts = attempts_of(context.tx, payment.id)
    named = next((one for one in attempts if one.id == authorization and one.operation == "authorize"), None)
    if named is None:
        raise AttemptNotFound(f"{payment.id} has no authorization {authorization!r}")
    if is_open(named):
        raise unknown(context, named)
    place = hold_of(named)
    if place is None or place in given_back(attempts):
        return None
    if place == own_place(payment):
        _check_known(context, payment)
        return _own(payment)
    open_void = next((one for one in attempts if (one.gateway, one.charge) == place and is_open(one)), None)
    if open_void is not None:
        raise unknown(context, open_void)
    return Order("void", named.gateway, named.amount, named.currency, place[1])


def waiting_authorization(tx: Tx, payment_id: str) -> Attempt | None:
    """An authorization the gateway has not decided nor given back: it waits for the customer or for the bank."""
    gone = given_back(attempts_of(tx, payment_id))
    return next((one for one in _waiting(tx, payment_id) if place_of(one) not in gone), None)


def _waiting(tx: Tx, payment_id: str) -> Iterator[Attempt]:
    attempts = attempts_of(tx, payment_id)
    return (one for one in attempts if one.operation == "authorize" and one.outcome in _WAITING)


def release(tx: Tx, payment: Payment, source_type: str, source_id: str) -> None:
    """Book that the hold is gone; the caller says whether a void (`attempt`) or time (`payment`) took it."""
    if payment.amount_capturable:
        amount = Money(payment.amount_capturable, payment.currency)
        Book(tx, payment.merchant_id, payment.id, payment.gateway).released(source_type, source_id, amount)
        payment.amount_capturable = 0
    payment.authorization_expires_at = None
    tx.session.flush()


class VoidVerb(Verb):
    operation = "void"
    declined = "VOID_DECLINED"
    moves_amount = False

    def request(self, case: Case) -> Void:
        return Void(case.attempt.id, case.attempt.charge)

    def send(self, gateway: Gateway, request: object) -> GatewayResult:
        assert isinstance(request, Void)
        return gateway.void(request)

    def book(self, case: Case, result: GatewayResult) -> None:
        if result.outcome is not Outcome.APPROVED and not is_gone(case.attempt):
            return
        payment, place = case.payment, (case.attempt.gateway, case.attempt.charge)
        orphan = orphans(payment, attempts_of(case.tx, payment.id)).get(place)
        if orphan is not None:
            self._book_orphan(case, orphan)
            self._settle(case)
            return
        if place == own_place(payment):
            release(case.tx, payment, "attempt", case.attempt.id)
        self._ask_what_it_was(case)
        if is_terminal(payment.status):
            self._settle(case)
        elif payment.amount_captured:
            move(case.tx, payment, PaymentStatus.SUCCEEDED, "remainder_released", case.actor)
        elif payment.status != PaymentStatus.REQUIRES_REVIEW:
            move(case.tx, payment, PaymentStatus.PROCESSING, "authorization_released", case.actor)

    def result(self, case: Case) -> VoidResult:
        return VoidResult(attempt=case.attempt.id)

    def tell_decline(self, case: Case) -> Result:
        return self.result(case) if is_gone(case.attempt) else super().tell_decline(case)

    def _book_orphan(self, case: Case, authorization: Attempt) -> None:
        """A hold the payment never counted on is not in the ledger: it comes and goes, and its attempt is known to
        have had an effect after all. One that it counted on before has come and gone there when it ran out.
        """
        if posting_id(case.tx, "attempt", authorization.id, "authorized") is None:
            amount = Money(authorization.amount, authorization.currency)
            case.book.authorized(authorization.id, amount)
            case.book.released("attempt", case.attempt.id, amount)
        if authorization.outcome not in WITHOUT_EFFECT:
            return
        changed = held.attempt(case.tx, case.payment.id, authorization.id)
        assert changed is not None
        changed.evidence = {**(changed.evidence or {}), "before": changed.outcome, "void": case.attempt.id}
        changed.outcome, changed.gateway_reference = str(Outcome.APPROVED), case.attempt.charge
        case.tx.session.flush()

    def _settle(self, case: Case) -> None:
        """The incident that said so is dealt with, and the payment is told as it is now."""
        tx, payment, charge = case.tx, case.payment, case.attempt.charge
        for one in attempts_of(tx, payment.id):
            if one.operation == "authorize" and hold_of(one) == (case.attempt.gateway, charge):
                said = {"attempt": one.id, "outcome": str(Outcome.APPROVED), "gateway_reference": charge}
                for incident in incidents.settle(tx, payment.merchant_id, payment.id, CONTRADICTION, said):
                    audit.record(tx, case.actor, "incident.repaired", incident, {"void": case.attempt.id})
        move(tx, payment, payment.status, payment.status_reason, case.actor)

    def _ask_what_it_was(self, case: Case) -> None:
        """Until the void the customer or the bank could still say yes, so only the gateway knows whether they did.

        As an attempt whose answer is lost it is looked up by the chore for such.
        """
        for waiting in _waiting(case.tx, case.payment.id):
            if place_of(waiting) == (case.attempt.gateway, case.attempt.charge):
                waiting.state, waiting.outcome = "begun", None
        case.tx.session.flush()


VOID = VoidVerb()
register(VOID)
