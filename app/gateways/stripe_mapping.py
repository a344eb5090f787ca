"""What Stripe's answers mean for an attempt: its objects read strictly, its errors sorted by what surely happened.

An answer that is not of the documented shape, is about something else than was asked, or has a status we do not know
is UNKNOWN. Shapes: docs.stripe.com/api (payment_intents, refunds, disputes, errors).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app.errors import AppError
from app.gateways.port import DeclineCode, GatewayDispute, GatewayResult, NextAction, Outcome
from app.gateways.redact import redacted
from app.gateways.stripe_amounts import from_stripe
from app.gateways.stripe_declines import declined_by_bank, refused_by_stripe
from app.gateways.wire import JsonAnswer, unknown
from app.kit.money import Money

#: The names under which our key and the payment's id stand in the metadata of what we make.
KEY: Final = "sluice_attempt"
PAYMENT: Final = "sluice_payment"
#: The key of the attempt that handed evidence in, on the dispute.
EVIDENCE: Final = "sluice_evidence"

#: Errors documented as raised before anything is done: another try is safe once the reason is gone.
_NOT_TAKEN: Final = frozenset({401, 403, 429})
_MOVED: Final = frozenset({"requires_capture", "succeeded", "processing"})
_STAGES: Final[Mapping[str, tuple[str, str]]] = {
    "warning_needs_response": ("inquiry", "needs_response"),
    "warning_under_review": ("inquiry", "under_review"),
    "warning_closed": ("inquiry", "canceled"),
    "needs_response": ("chargeback", "needs_response"),
    "under_review": ("chargeback", "under_review"),
    "won": ("chargeback", "won"),
    "lost": ("chargeback", "lost"),
    "prevented": ("chargeback", "prevented"),
    "appeal_needs_response": ("pre_arbitration", "needs_response"),
    "appeal_under_review": ("pre_arbitration", "under_review"),
}
#: Statuses of a dispute in which Stripe keeps the amount, for now or for good.
_KEEPS_AMOUNT: Final = frozenset(
    {"needs_response", "under_review", "lost", "appeal_needs_response", "appeal_under_review"}
)
_GIVEN_UP: Final = frozenset({"lost", "warning_closed"})


class _Shown(BaseModel):
    """Part of an answer; fields we do not need may come and go."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


_Model = TypeVar("_Model", bound=_Shown)


class _Card(_Shown):
    capture_before: int | None = None


class _MethodDetails(_Shown):
    card: _Card | None = None


class Refunded(_Shown):
    object: Literal["refund"]
    id: str = Field(min_length=1)
    status: str
    amount: int
    currency: str
    metadata: dict[str, str]
    payment_intent: str | None = None
    failure_reason: str | None = None


class _Refunds(_Shown):
    data: list[Refunded]
    has_more: bool


class Charge(_Shown):
    id: str = Field(min_length=1)
    status: str
    amount: int
    disputed: bool = False
    refunds: _Refunds | None = None
    payment_method_details: _MethodDetails | None = None

    @property
    def held_until(self) -> datetime | None:
        card = self.payment_method_details and self.payment_method_details.card
        return datetime.fromtimestamp(card.capture_before, UTC) if card and card.capture_before else None


class _Redirect(_Shown):
    url: str = Field(pattern="^https?://")


class _NextAction(_Shown):
    redirect_to_url: _Redirect | None = None


class Intent(_Shown):
    """A PaymentIntent, the thing we call a charge; `latest_charge` must have been expanded."""

    object: Literal["payment_intent"]
    id: str = Field(min_length=1)
    status: str
    amount: int
    currency: str
    metadata: dict[str, str]
    amount_capturable: int | None = None
    amount_received: int | None = None
    latest_charge: Charge | None = None
    cancellation_reason: str | None = None
    last_payment_error: dict[str, Any] | None = None
    next_action: _NextAction | None = None

    @property
    def money(self) -> Money:
        return from_stripe(self.amount, self.currency)

    @property
    def is_captured(self) -> bool:
        return self.status in ("succeeded", "processing")

    @property
    def is_canceled(self) -> bool:
        return self.status == "canceled"

    @property
    def captured(self) -> Money:
        """What was captured. Test servers that do not tell it make a refund of no payment of what is left over."""
        if self.amount_received is not None:
            return from_stripe(self.amount_received, self.currency)
        charge = self.latest_charge
        if charge is None or not self.is_captured:
            return from_stripe(0, self.currency)
        refunds = charge.refunds.data if charge.refunds else []
        left_over = sum(each.amount for each in refunds if not each.payment_intent)
        return from_stripe(charge.amount - left_over, self.currency)


class _BalanceTransaction(_Shown):
    fee: int
    currency: str


class _EvidenceDetails(_Shown):
    due_by: int | None = None
    submission_count: int = 0


class Disputed(_Shown):
    object: Literal["dispute"]
    id: str = Field(min_length=1)
    status: str
    reason: str
    amount: int
    currency: str
    payment_intent: str | None = None
    charge: str
    metadata: dict[str, str]
    evidence_details: _EvidenceDetails
    balance_transactions: list[_BalanceTransaction] = []

    @property
    def is_answered(self) -> bool:
        return self.evidence_details.submission_count > 0

    @property
    def keeps_amount(self) -> bool:
        """Whether Stripe keeps the amount; ValueError for a status Stripe did not document when this was written."""
        if self.status not in _STAGES:
            raise ValueError(self.status)
        return self.status in _KEEPS_AMOUNT

    @property
    def is_given_up(self) -> bool:
        return self.status in _GIVEN_UP


def understood(
    answer: JsonAnswer | GatewayResult,
    model: type[_Model],
    read: Callable[[_Model], GatewayResult],
    asked: Mapping[str, Any],
) -> GatewayResult:
    """What `read` makes of the object in a 200 that is about what was `asked`, or what the error says."""
    if isinstance(answer, GatewayResult):
        return answer
    if answer.status != 200:
        return refusal(answer)
    if not _is_about(answer.body, asked):
        return unknown(answer, f"The answer is not about what was asked: {', '.join(asked)}")
    try:
        result = read_object(answer.body, model, read)
    except (ValueError, AppError):
        return unknown(answer, "The answer does not have the documented shape")
    assert result is not None
    return result


def read_object(
    shown: Mapping[str, Any], model: type[_Model], read: Callable[[_Model], GatewayResult | None]
) -> GatewayResult | None:
    """What `read` makes of an object, with the object kept; ValueError or AppError for another shape."""
    result = read(model.model_validate(shown))
    return result and replace(result, raw=redacted(shown))


def _is_about(shown: Any, asked: Mapping[str, Any]) -> bool:
    """Whether every part of `asked` stands in `shown`; numbers and truth values are not taken for each other."""
    if not isinstance(shown, Mapping):
        return False
    for name, value in asked.items():
        if isinstance(value, Mapping):
            if not _is_about(shown.get(name), value):
                return False
        elif type(shown.get(name)) is not type(value) or shown[name] != value:
            return False
    return True


def refusal(answer: JsonAnswer) -> GatewayResult:
    error = answer.body.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    if not isinstance(error, dict) or not isinstance(kind, str):
        return unknown(answer, f"HTTP {answer.status} is not an answer Stripe documents")
    raw = redacted(answer.body)
    if answer.status in _NOT_TAKEN:
        message = f"HTTP {answer.status}, documented as without effect: {error.get('message', '')}"
        return GatewayResult(Outcome.NOT_SENT, gateway_code=_code(error), message=message[:300], raw=raw)
    if answer.status == 402:
        return replace(_card_error(answer, error), raw=raw)
    if answer.status in (400, 404) and kind == "invalid_request_error":
        return replace(_contradicted(error) or refused_by_stripe(error), raw=raw)
    return unknown(answer, f"HTTP {answer.status}, {kind}: what became of the request is not said", _code(error))


def _card_error(answer: JsonAnswer, error: Mapping[str, Any]) -> GatewayResult:
    intent = error.get("payment_intent")
    if not isinstance(intent, dict):
        return declined_by_bank(error)
    if intent.get("status") in _MOVED:
        return unknown(answer, f"A decline that shows a payment which is {intent['status']}", _code(error))
    return declined_by_bank(error, str(intent.get("id", "")))


def _contradicted(error: Mapping[str, Any]) -> GatewayResult | None:
    """A capture or void of what has ended otherwise; Stripe shows the payment as it is."""
    intent = error.get("payment_intent")
    if error.get("code") != "payment_intent_unexpected_state" or not isinstance(intent, dict):
        return None
    ended = {"succeeded": DeclineCode.ALREADY_DONE, "canceled": DeclineCode.AUTHORIZATION_EXPIRED}
    decline = ended.get(str(intent.get("status")), DeclineCode.NOT_PERMITTED)
    return replace(refused_by_stripe(error), decline=decline)


def _code(error: Mapping[str, Any]) -> str:
    return str(error.get("code") or error.get("type") or "")[:100]


def authorization(intent: Intent) -> GatewayResult:
    """What became of the authorization; what was captured or canceled later had been given."""
    charge = intent.latest_charge
    expires_at = charge.held_until if charge else None
    approved = GatewayResult(Outcome.APPROVED, intent.id, amount=intent.money, expires_at=expires_at)
    match intent.status:
        case "requires_capture" if intent.amount_capturable in (None, intent.amount):
            return approved
        case "succeeded":
            return approved
        case "canceled" if charge and charge.status == "succeeded":
            return approved
        case "canceled":
            message = "Canceled before it was authorized"
            return GatewayResult(Outcome.DECLINED, intent.id, DeclineCode.ALREADY_DONE, "canceled", message)
        case "processing":
            return replace(approved, outcome=Outcome.PENDING)
        case "requires_action":
            return _action(intent)
        case "requires_payment_method" if intent.last_payment_error:
            return declined_by_bank(intent.last_payment_error, intent.id)
    return _odd(intent.id, intent.status)


def _action(intent: Intent) -> GatewayResult:
    redirect = intent.next_action and intent.next_action.redirect_to_url
    result = GatewayResult(Outcome.NEEDS_ACTION, intent.id, amount=intent.money)
    if not redirect:
        message = "The customer must authenticate, and Stripe names no page for it; give the payment a return_url"
        return replace(result, message=message)
    return replace(result, next_action=NextAction("redirect", redirect.url))


def capture(intent: Intent) -> GatewayResult:
    reference = intent.latest_charge.id if intent.latest_charge else intent.id
    match intent.status:
        case "succeeded":
            return GatewayResult(Outcome.APPROVED, reference, amount=intent.captured)
        case "processing":
            return GatewayResult(Outcome.PENDING, reference, amount=intent.captured)
    return _odd(reference, intent.status)


def void(intent: Intent) -> GatewayResult:
    if intent.is_canceled:
        return GatewayResult(Outcome.APPROVED, intent.id)
    return _odd(intent.id, intent.status)


def refund(refunded: Refunded) -> GatewayResult:
    amount = from_stripe(refunded.amount, refunded.currency)
    match refunded.status:
        case "succeeded":
            return GatewayResult(Outcome.APPROVED, refunded.id, amount=amount)
        case "pending" | "requires_action":
            return GatewayResult(Outcome.PENDING, refunded.id, gateway_code=refunded.status, amount=amount)
        case "failed" | "canceled":
            code = refunded.failure_reason or refunded.status
            message = f"The refund {refunded.status}: {code.replace('_', ' ')}"
            return GatewayResult(Outcome.DECLINED, refunded.id, DeclineCode.REFUND_REFUSED, code, message)
    return _odd(refunded.id, refunded.status)


def evidence(disputed: Disputed) -> GatewayResult:
    if disputed.is_answered:
        return GatewayResult(Outcome.APPROVED, disputed.id)
    return _odd(disputed.id, disputed.status)


def acceptance(disputed: Disputed) -> GatewayResult:
    if disputed.is_given_up:
        return GatewayResult(Outcome.APPROVED, disputed.id)
    return _odd(disputed.id, disputed.status)


def dispute(disputed: Disputed) -> GatewayDispute:
    """In our words; ValueError for a status Stripe did not document when this was written."""
    if disputed.status not in _STAGES:
        raise ValueError(disputed.status)
    stage, status = _STAGES[disputed.status]
    details = disputed.evidence_details
    return GatewayDispute(
        id=disputed.id,
        charge=disputed.payment_intent or disputed.charge,
        amount=from_stripe(disputed.amount, disputed.currency),
        fee=_fee(disputed),
        reason=disputed.reason,
        stage=stage,
        status=status,
        due_by=datetime.fromtimestamp(details.due_by, UTC) if details.due_by else None,
        evidence_submitted=disputed.is_answered,
    )


def _fee(disputed: Disputed) -> Money | None:
    """What the dispute cost so far, where it is charged in the dispute's currency; the books hold no other."""
    charged = [each for each in disputed.balance_transactions if each.fee]
    if any(each.currency != disputed.currency for each in charged):
        return None
    return from_stripe(sum(each.fee for each in charged), disputed.currency)


def _odd(reference: str, status: str) -> GatewayResult:
    return GatewayResult(Outcome.UNKNOWN, reference, gateway_code=status, message=f"{status!r} is no answer to this")
