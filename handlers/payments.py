"""Operations on the payment that an instance is about."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.access.actor import system
from app.operations import Effect, OperationContext, OperationError, Params, Result, operation
from app.payments import authorizing, capturing, recovery, routing, service, voiding
from app.payments.queries import find_payment, lock_payment

UNAVAILABLE = "The gateway could not be reached; surely nothing was sent"
PENDING = "The gateway accepted it and decides later; wait for its message or look it up"
CANCELED = "Somebody has asked to cancel the payment; facts: reason"
UNKNOWN = "Nobody knows whether it took effect; look it up before anything else is tried"


class ValidResult(Result):
    amount: int = Field(title="Amount", description="Minor units")
    currency: str = Field(title="Currency")
    capture_method: str = Field(title="Capture method", description="automatic or manual")
    payment_method: str = Field(title="Payment method", description="The gateway's token")
    customer: dict[str, str] = Field(title="Customer", description="id, email, name, country, ip; each optional")


@operation(
    "payment.validate",
    title="Validate the payment",
    errors={"INVALID_REQUEST": "Something that every gateway needs is missing"},
)
def validate(context: OperationContext, params: Params) -> ValidResult:
    """Checks that the payment can be sent to a gateway at all, and gives its facts to the flow."""
    payment = find_payment(context.tx, context.merchant_id, context.subject)
    if not payment.payment_method:
        raise OperationError("INVALID_REQUEST", "The payment has no payment method", {"field": "payment_method"})
    return ValidResult(
        amount=payment.amount,
        currency=payment.currency,
        capture_method=payment.capture_method,
        payment_method=payment.payment_method,
        customer=payment.customer,
    )


class RankParams(Params):
    preferred: list[str] = Field(default=[], title="Preferred gateways", description="Names, best first")


@operation(
    "routing.rank",
    title="Rank the gateways",
    errors={"NO_ELIGIBLE_GATEWAY": "The merchant has no configured gateway"},
)
def rank(context: OperationContext, params: RankParams) -> routing.Ranking:
    """Orders the merchant's gateways: the preferred ones first, then the others."""
    return routing.rank(context, params.preferred)


class AuthorizeParams(Params):
    gateway: str = Field(title="Gateway", description="Name of the gateway to ask")
    amount: int | None = Field(default=None, title="Amount", description="Minor units; empty: the payment's amount")


@operation(
    "payment.authorize",
    title="Authorize",
    moves_money=True,
    errors={
        "SOFT_DECLINE": "Declined; another try, later or elsewhere, may succeed",
        "HARD_DECLINE": "Declined for good; do not try again",
        "AUTHENTICATION_REQUIRED": "The customer must authenticate first; facts: attempt, url",
        "CANCEL_REQUESTED": CANCELED,
        "GATEWAY_UNAVAILABLE": UNAVAILABLE,
        "OUTCOME_PENDING": PENDING,
        "OUTCOME_UNKNOWN": UNKNOWN,
    },
)
def authorize(context: OperationContext, params: AuthorizeParams) -> authorizing.AuthorizeResult | Effect:
    """Asks a gateway to hold the amount. Refuses while the outcome of an earlier try is open, at whatever gateway."""
    return authorizing.authorize(context, params.gateway, params.amount)


class LookupParams(Params):
    attempt: str = Field(title="Attempt", description="Id of the attempt to look up")
    again: bool = Field(
        default=False, title="Ask again", description="Ask even if the outcome is known: it may have changed since"
    )


@operation("payment.lookup", title="Look up an attempt")
def lookup(context: OperationContext, params: LookupParams) -> recovery.Answered | Effect:
    """Asks the gateway what became of an attempt and books what it proves. `absent` means: surely no effect."""
    return recovery.lookup(context, params.attempt, again=params.again)


class CaptureParams(Params):
    attempt: str | None = Field(default=None, title="Requested capture", description="Attempt made by an API request")
    amount: int | None = Field(default=None, title="Amount", description="Minor units; empty: all that is left")
    final: bool = Field(default=True, title="Final", description="Give back what is not captured")


@operation(
    "payment.capture",
    title="Capture",
    moves_money=True,
    errors={
        "CAPTURE_DECLINED": "The gateway refused the capture",
        "CAPTURE_EXCEEDS_AUTHORIZED": "More was asked for than is left of the authorization",
        "CANCEL_REQUESTED": CANCELED,
        "GATEWAY_UNAVAILABLE": UNAVAILABLE,
        "OUTCOME_PENDING": PENDING,
        "OUTCOME_UNKNOWN": UNKNOWN,
    },
)
def capture(context: OperationContext, params: CaptureParams) -> capturing.CaptureResult | Effect:
    """Collects what is authorized, in whole or in part."""
    return capturing.capture(context, params.attempt or "", params.amount, final=params.final)


class VoidParams(Params):
    authorization: str | None = Field(
        default=None, title="Authorization", description="Attempt whose hold to give back; empty: the payment's own"
    )


@operation(
    "payment.void",
    title="Void",
    moves_money=True,
    errors={
        "VOID_DECLINED": "The gateway refused to give the hold back",
        "GATEWAY_UNAVAILABLE": UNAVAILABLE,
        "OUTCOME_PENDING": PENDING,
        "OUTCOME_UNKNOWN": UNKNOWN,
    },
)
def void(context: OperationContext, params: VoidParams) -> voiding.VoidResult | Effect:
    """Gives back what is authorized and not captured. Succeeds at once when there is nothing to give back."""
    return voiding.void(context, params.authorization or "")


class TransitionParams(Params):
    to: Literal[
        "requires_review",
        "processing",
        "requires_capture",
        "partially_captured",
        "succeeded",
        "canceled",
        "failed",
        "expired",
    ] = Field(title="Status")
    reason: str = Field(default="", title="Reason", description="Shown as status_reason", max_length=200)


class TransitionResult(Result):
    status: str = Field(title="Status", description="The payment's status now")


@operation("payment.transition", title="Change the payment's status")
def transition(context: OperationContext, params: TransitionParams) -> TransitionResult:
    """Moves the payment along its states. It cannot end while an outcome is open or a gateway holds money for it."""
    payment = lock_payment(context.tx, context.merchant_id, context.subject)
    service.transition(context.tx, payment, params.to, params.reason, system(context.merchant_id))
    return TransitionResult(status=payment.status)


class FactsResult(Result):
    status: str = Field(title="Status")
    amount_capturable: int = Field(title="Capturable", description="Minor units held, those asked for included")
    amount_captured: int = Field(title="Captured", description="Minor units")
    amount_refunded: int = Field(title="Refunded", description="Minor units")
    expires_at: datetime | None = Field(title="Expires at", description="When the hold runs out; empty: nothing held")


@operation("payment.facts", title="Read the payment")
def facts(context: OperationContext, params: Params) -> FactsResult:
    """Tells how the payment stands now."""
    payment = find_payment(context.tx, context.merchant_id, context.subject)
    return FactsResult(
        status=payment.status,
        amount_capturable=payment.amount_capturable + payment.amount_capturing,
        amount_captured=payment.amount_captured,
        amount_refunded=payment.amount_refunded,
        expires_at=payment.authorization_expires_at,
    )


class ResolveParams(Params):
    attempt: str = Field(title="Attempt", description="Id of the attempt nobody knew about")
    charged: bool = Field(title="It took effect", description="What the gateway's books show")
    by: list[str] = Field(title="By", description="User ids of the two people who looked")
    note: str = Field(title="Note", description="What was found, and where")
    gateway_reference: str = Field(default="", title="Gateway reference", description="As both read in its books")


@operation(
    "payment.resolve",
    title="Resolve an unknown outcome",
    errors={"REFERENCE_MISSING": "It took effect, and nobody gave the charge's reference that a capture needs"},
)
def resolve(context: OperationContext, params: ResolveParams) -> recovery.LookupResolution:
    """Books what two different people found in the gateway's books. `resolution` is approved or absent.

    Both must have decided `charged` and written the same `gateway_reference`, or both `not_charged`, in tasks of this
    flow that were given `attempt`.
    """
    reference = params.gateway_reference.strip()
    finding = recovery.Finding(params.attempt, params.charged, params.by, params.note, reference)
    return recovery.resolve(context.tx, context.merchant_id, context.instance_id, finding)
