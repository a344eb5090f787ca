"""Sending a refund to the gateway that holds the charge, and booking what became of it, also much later."""

from pydantic import Field

from app.access.actor import system
from app.gateways.port import Gateway, GatewayResult, Outcome
from app.gateways.port import Refund as Order
from app.gateways.redact import redacted
from app.gateways.registry import Registry as Gateways
from app.kit.money import Money
from app.operations import Effect, OperationContext, Result
from app.payments import attempts
from app.payments.queries import moment
from app.payments.states import IllegalTransition
from app.payments.verbs import Case, Verb, register
from app.refunds.models import Refund
from app.refunds.queries import lock_refund
from app.refunds.service import book_of, tell_payment, unresolved_attempt
from app.refunds.states import LATE_FAILURE, RefundStatus, move


class SentResult(Result):
    """The refund arrived at the gateway by this attempt."""

    attempt: str = Field(title="Attempt", description="Id of the attempt")


def send(context: OperationContext) -> SentResult | Effect:
    """Begin to send the refund the instance is about, or go on with what this activation began."""
    payment, refund = lock_refund(context.tx, context.merchant_id, context.subject)
    attempt = attempts.own_attempt(context, payment)
    if attempt is not None:
        outcome = attempts.resume(context, Case(context.tx, payment, attempt))
        assert isinstance(outcome, SentResult | Effect)
        return outcome
    open_attempt = unresolved_attempt(context.tx, refund.id)
    if open_attempt is not None:
        raise attempts.unknown(context, open_attempt)
    if refund.status != RefundStatus.PENDING:
        raise IllegalTransition(f"The refund is {refund.status}; only a pending one can be sent")
    gateway = context.use(Gateways).get(payment.gateway)
    order = attempts.Order(
        "refund", gateway.name, refund.amount, refund.currency, payment.gateway_reference, refund_id=refund.id
    )
    attempt = attempts.write(context, payment, order)
    return attempts.start(context, Case(context.tx, payment, attempt))


class RefundVerb(Verb):
    operation = "refund"
    declined = "REFUND_DECLINED"

    def request(self, case: Case) -> Order:
        attempt = case.attempt
        amount = Money(attempt.amount, attempt.currency)
        return Order(attempt.id, attempt.charge, amount, _refund(case).reason)

    def send(self, gateway: Gateway, request: object) -> GatewayResult:
        assert isinstance(request, Order)
        return gateway.refund(request)

    def book(self, case: Case, result: GatewayResult) -> None:
        refund = _refund(case)
        match result.outcome:
            case Outcome.APPROVED:
                self._succeeded(case, refund)
            case Outcome.PENDING:
                self._show(case, refund, "outcome_pending")
            case Outcome.UNKNOWN | Outcome.NEEDS_ACTION:
                self._show(case, refund, "outcome_unknown")
            case _:
                self._show(case, refund, "")

    def result(self, case: Case) -> SentResult:
        return SentResult(attempt=case.attempt.id)

    def late(self, case: Case, result: GatewayResult) -> bool:
        """A refund that had arrived came back: the amount is ours again and the customer has nothing."""
        refund, attempt, payment = _refund(case), case.attempt, case.payment
        if result.outcome is not Outcome.DECLINED or refund.status != RefundStatus.SUCCEEDED:
            return False
        attempt.outcome = "declined"
        attempt.decline_code = str(result.decline or "")
        attempt.message = redacted(result.message)
        attempt.evidence = {
            **(attempt.evidence or {}),
            "source": LATE_FAILURE,
            "before": "approved",
            "at": moment(case.tx.now()),
        }
        payment.amount_refunded -= refund.amount
        payment.updated_at = case.tx.now()
        book_of(case.tx, payment).refund_failed_late(refund.id, Money(refund.amount, refund.currency))
        move(case.tx, refund, RefundStatus.FAILED, LATE_FAILURE, case.actor, late=LATE_FAILURE)
        tell_payment(case.tx, payment, case.actor)
        return True

    def _succeeded(self, case: Case, refund: Refund) -> None:
        payment = case.payment
        refund.gateway_reference = case.attempt.gateway_reference
        payment.amount_refunding -= refund.amount
        payment.amount_refunded += refund.amount
        payment.updated_at = case.tx.now()
        book_of(case.tx, payment).refund_succeeded(refund.id, Money(refund.amount, refund.currency))
        move(case.tx, refund, RefundStatus.SUCCEEDED, "", case.actor)
        tell_payment(case.tx, payment, case.actor)

    def _show(self, case: Case, refund: Refund, reason: str) -> None:
        if refund.status_reason != reason:
            move(case.tx, refund, refund.status, reason, system(refund.merchant_id))


def _refund(case: Case) -> Refund:
    return case.tx.session.get_one(Refund, case.attempt.refund_id, populate_existing=True)


REFUND = RefundVerb()
register(REFUND)
