"""Authorize: one hold per payment. While it is not known whether one was made, no other may be asked for."""

from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from app.errors import Conflict
from app.gateways.port import Authorize, Gateway, GatewayResult, Outcome, Retry
from app.kit.money import Money
from app.operations import Effect, OperationContext, OperationError, Result
from app.payments.attempts import Order, own_attempt, resume, start, unknown, unresolved, write
from app.payments.booking import contradict
from app.payments.canceling import heed_cancel
from app.payments.charges import given_back, place_of
from app.payments.models import Attempt, Payment
from app.payments.outcomes import UNRESOLVED
from app.payments.queries import attempts_of, lock_payment
from app.payments.reviewing import check_reviewed
from app.payments.states import IllegalTransition, PaymentStatus, is_terminal, move
from app.payments.verbs import ANSWER, Case, Verb, decline_facts, register, retry_of

_STARTS_FROM = frozenset({PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION, PaymentStatus.REQUIRES_REVIEW})

#: How long a hold is taken to last when the gateway did not say, as when people read it in its books.
HOLD_LASTS: Final = timedelta(days=7)


class AlreadyAuthorized(Conflict):
    code = "already_authorized"
    title = "The payment already holds an authorization"


class AuthorizeResult(Result):
    """A hold: `attempt` made it at `gateway` for `amount` minor units, until `expires_at`."""

    attempt: str = Field(title="Attempt", description="Id of the attempt")
    gateway: str = Field(title="Gateway", description="Which one holds the amount")
    amount: int = Field(title="Amount", description="Minor units held")
    expires_at: datetime | None = Field(title="Expires at", description="When the hold runs out")


def authorize(context: OperationContext, gateway: str, amount: int | None = None) -> AuthorizeResult | Effect:
    """Begin an authorization of `amount`, by default the payment's, or go on with the one this activation began."""
    payment = lock_payment(context.tx, context.merchant_id, context.subject)
    attempt = own_attempt(context, payment)
    if attempt is None:
        _check(context, payment, amount)
        order = Order("authorize", gateway, payment.amount if amount is None else amount, payment.currency)
        attempt = write(context, payment, order)
        if payment.status != PaymentStatus.PROCESSING:
            move(context.tx, payment, PaymentStatus.PROCESSING, "", Case(context.tx, payment, attempt).actor)
        return start(context, Case(context.tx, payment, attempt))
    outcome = resume(context, Case(context.tx, payment, attempt))
    assert isinstance(outcome, AuthorizeResult | Effect)
    return outcome


def _check(context: OperationContext, payment: Payment, amount: int | None) -> None:
    open_attempt = unresolved(context.tx, payment, ("authorize", "void"))
    if open_attempt is not None:
        raise unknown(context, open_attempt)
    heed_cancel(payment)
    if payment.amount_capturable or payment.amount_capturing or payment.amount_captured:
        raise AlreadyAuthorized(f"{payment.id} is authorized at {payment.gateway}; void that first")
    check_reviewed(context.tx, payment)
    if payment.status not in _STARTS_FROM:
        raise IllegalTransition(f"A payment that is {payment.status} cannot be authorized")
    if amount is not None and not 0 < amount <= payment.amount:
        raise OperationError(
            "HARD_DECLINE",
            f"{amount} is not within the payment's amount of {payment.amount}",
            {"decline_code": "amount_not_allowed", "retry": str(Retry.NEVER)},
        )


class AuthorizeVerb(Verb):
    operation = "authorize"
    declined = "HARD_DECLINE"

    def request(self, case: Case) -> Authorize:
        payment = case.payment
        return Authorize(
            key=case.attempt.id,
            reference=payment.id,
            amount=Money(case.attempt.amount, case.attempt.currency),
            payment_method=payment.payment_method,
            return_url=payment.return_url,
            customer=str(payment.customer.get("id", "")),
        )

    def send(self, gateway: Gateway, request: object) -> GatewayResult:
        assert isinstance(request, Authorize)
        return gateway.authorize(request)

    def old(self, case: Case, result: GatewayResult) -> bool:
        return result.outcome in UNRESOLVED and _void_of(case) is not None

    def book(self, case: Case, result: GatewayResult) -> None:
        payment = case.payment
        void = _void_of(case)
        if void is not None:
            # Whatever it was, it is given back, and the payment has gone on without it.
            if result.outcome is Outcome.APPROVED:
                case.book.authorized(case.attempt.id, case.money)
                case.book.released("attempt", void.id, case.money)
            return
        match result.outcome:
            case Outcome.APPROVED:
                self._approved(case, result)
            case Outcome.NEEDS_ACTION:
                action = result.next_action
                payment.next_action = {"type": action.type, "url": action.url} if action else None
                self._show(case, PaymentStatus.REQUIRES_ACTION, "")
            case Outcome.PENDING:
                self._show(case, PaymentStatus.PROCESSING, "outcome_pending")
            case Outcome.UNKNOWN:
                self._show(case, PaymentStatus.PROCESSING, "outcome_unknown")
            case _:
                self._show(case, PaymentStatus.PROCESSING, "")

    def result(self, case: Case) -> AuthorizeResult:
        attempt = case.attempt
        return AuthorizeResult(
            attempt=attempt.id,
            gateway=attempt.gateway,
            amount=attempt.amount,
            expires_at=case.payment.authorization_expires_at,
        )

    def tell_decline(self, case: Case) -> Result:
        attempt = case.attempt
        hard = retry_of(attempt.decline_code) is Retry.NEVER
        message = attempt.message or f"{attempt.gateway} declined"
        raise OperationError("HARD_DECLINE" if hard else "SOFT_DECLINE", message, decline_facts(attempt))

    def _approved(self, case: Case, result: GatewayResult) -> None:
        payment, attempt = case.payment, case.attempt
        if payment.amount_capturable or payment.amount_capturing or payment.amount_captured:
            message = (
                f"{attempt.gateway} authorized {case.money} (charge {attempt.gateway_reference}) for a payment that "
                f"is already authorized at {payment.gateway}; void it at {attempt.gateway}"
            )
            contradict(case, result, ANSWER, message)
            return
        payment.gateway = attempt.gateway
        payment.gateway_reference = attempt.gateway_reference
        payment.amount_capturable = attempt.amount
        payment.authorization_expires_at = result.expires_at or case.tx.now() + HOLD_LASTS
        case.book.authorized(attempt.id, case.money)
        if is_terminal(payment.status):
            message = (
                f"{attempt.gateway} authorized {case.money} (charge {attempt.gateway_reference}) after the payment "
                f"was {payment.status}; void it"
            )
            contradict(case, result, ANSWER, message)
            return
        self._show(case, PaymentStatus.REQUIRES_CAPTURE, "")

    def _show(self, case: Case, status: PaymentStatus, reason: str) -> None:
        """Show the outcome unless the flow has gone on to where it does not belong, such as a review."""
        payment = case.payment
        if payment.status not in (PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION):
            return
        if (payment.status, payment.status_reason) != (status, reason):
            move(case.tx, payment, status, reason, case.actor)


def _void_of(case: Case) -> Attempt | None:
    return given_back(attempts_of(case.tx, case.payment.id)).get(place_of(case.attempt))


AUTHORIZE = AuthorizeVerb()
register(AUTHORIZE)
