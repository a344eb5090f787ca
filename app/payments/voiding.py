"""Void: give a hold back. Nothing to give back is a success; a hold or capture nobody knows about is not."""

from collections.abc import Iterator

from pydantic import Field

from app.access.actor import system
from app.gateways.port import Gateway, GatewayResult, Outcome, Void
from app.gateways.registry import Registry as Gateways
from app.kit.database import Tx
from app.kit.money import Money
from app.ledger.postings import Book
from app.operations import Effect, OperationContext, Result
from app.payments.attempts import (
    Order,
    given_back,
    is_gone,
    own_attempt,
    place_of,
    resume,
    start,
    unknown,
    unresolved,
    write,
)
from app.payments.capturing import drop_requested
from app.payments.models import Attempt, Payment
from app.payments.queries import attempts_of, lock_payment
from app.payments.states import PaymentStatus, is_terminal, move
from app.payments.verbs import Case, Verb, register

_WAITING = ("pending", "needs_action")


class VoidResult(Result):
    """`attempt` gave the hold back; it is empty when there was nothing to give back."""

    attempt: str = Field(title="Attempt", description="Id of the attempt; empty when there was nothing to give back")


def void(context: OperationContext) -> VoidResult | Effect:
    """Begin to give back what is authorized and not captured, or end an authorization that still waits."""
    tx = context.tx
    payment = lock_payment(tx, context.merchant_id, context.subject)
    attempt = own_attempt(context, payment)
    if attempt is not None:
        outcome = resume(context, Case(tx, payment, attempt))
        assert isinstance(outcome, VoidResult | Effect)
        return outcome
    order = _order(context, payment)
    if order is None:
        return VoidResult(attempt="")
    context.use(Gateways).get(order.gateway)
    if drop_requested(tx, payment, "The payment was voided before this capture was begun"):
        # Told now: a void that is declined or not known tells nothing about what is capturable.
        move(tx, payment, payment.status, payment.status_reason, system(payment.merchant_id))
    order = _order(context, payment) or order
    attempt = write(context, payment, order)
    return start(context, Case(tx, payment, attempt))


def _order(context: OperationContext, payment: Payment) -> Order | None:
    """What there is to void; OUTCOME_UNKNOWN while that cannot be told."""
    tx = context.tx
    waiting = waiting_authorization(tx, payment.id)
    but = waiting.id if waiting is not None and waiting.gateway_reference else ""
    open_attempt = unresolved(tx, payment.id, ("authorize", "capture", "void"), but=but)
    if open_attempt is not None:
        raise unknown(context, open_attempt)
    if payment.amount_capturable or payment.amount_capturing:
        amount = payment.amount_capturable + payment.amount_capturing
        return Order("void", payment.gateway, amount, payment.currency, payment.gateway_reference)
    if waiting is not None:
        return Order("void", waiting.gateway, waiting.amount, payment.currency, waiting.gateway_reference)
    return None


def waiting_authorization(tx: Tx, payment_id: str) -> Attempt | None:
    """An authorization the gateway has not decided nor given back: it waits for the customer or for the bank."""
    gone = given_back(tx, payment_id)
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
        payment = case.payment
        release(case.tx, payment, "attempt", case.attempt.id)
        self._ask_what_it_was(case)
        if is_terminal(payment.status):
            return
        if payment.amount_captured:
            move(case.tx, payment, PaymentStatus.SUCCEEDED, "remainder_released", case.actor)
        elif payment.status != PaymentStatus.REQUIRES_REVIEW:
            move(case.tx, payment, PaymentStatus.PROCESSING, "authorization_released", case.actor)

    def result(self, case: Case) -> VoidResult:
        return VoidResult(attempt=case.attempt.id)

    def tell_decline(self, case: Case) -> Result:
        return self.result(case) if is_gone(case.attempt) else super().tell_decline(case)

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
