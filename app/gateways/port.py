"""The port every gateway adapter fills: five verbs, disputes, its books, and one way to read its webhooks.

An adapter is a translator. It never retries, never stores, never decides; it tells what surely happened and says
UNKNOWN for everything else: whatever is not mapped, and whatever failed after bytes had left.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from app.errors import AppError, Unavailable
from app.kit.money import Money


class Outcome(StrEnum):
    APPROVED = "approved"
    DECLINED = "declined"
    PENDING = "pending"
    NEEDS_ACTION = "needs_action"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Retry(StrEnum):
    """What a decline allows: never again, another try later or elsewhere, or a try with the customer authenticated."""

    NEVER = "never"
    LATER = "later"
    AUTHENTICATE = "authenticate"


class DeclineCode(StrEnum):
    """Normalised decline reasons; `retry` says what each one allows."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    LIMIT_EXCEEDED = "limit_exceeded"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    DO_NOT_HONOR = "do_not_honor"
    PROCESSING_ERROR = "processing_error"
    AUTHENTICATION_REQUIRED = "authentication_required"
    AUTHENTICATION_FAILED = "authentication_failed"
    LOST_CARD = "lost_card"
    STOLEN_CARD = "stolen_card"
    EXPIRED_CARD = "expired_card"
    INVALID_PAYMENT_METHOD = "invalid_payment_method"
    INCORRECT_CVC = "incorrect_cvc"
    FRAUD_SUSPECTED = "fraud_suspected"
    NOT_PERMITTED = "not_permitted"
    CURRENCY_NOT_SUPPORTED = "currency_not_supported"
    AMOUNT_NOT_ALLOWED = "amount_not_allowed"
    AUTHORIZATION_EXPIRED = "authorization_expired"
    ALREADY_DONE = "already_done"
    REFUND_REFUSED = "refund_refused"
    INVALID_REQUEST = "invalid_request"
    OTHER = "other"

    @property
    def retry(self) -> Retry:
        if self is DeclineCode.AUTHENTICATION_REQUIRED:
            return Retry.AUTHENTICATE
        return Retry.LATER if self in _SOFT else Retry.NEVER


_SOFT = frozenset(
    {
        DeclineCode.INSUFFICIENT_FUNDS,
        DeclineCode.LIMIT_EXCEEDED,
        DeclineCode.ISSUER_UNAVAILABLE,
        DeclineCode.DO_NOT_HONOR,
        DeclineCode.PROCESSING_ERROR,
    }
)


class Capability(StrEnum):
    """What a gateway can do beyond authorize, capture, void, refund and lookup; the core asks, it never assumes."""

    IDEMPOTENT = "idempotent"  # the same key never has a second effect, so a begun call may be sent again
    LOOKUP_BY_KEY = "lookup_by_key"  # an operation can be found by our own key even when no answer arrived
    MULTIPLE_CAPTURES = "multiple_captures"
    DISPUTES = "disputes"
    BOOKS = "books"  # it lists what was charged at it, so both books can be compared


@dataclass(frozen=True, slots=True)
class NextAction:
    """What the customer must do: `type` is `redirect`; `url` is where."""

    type: str
    url: str


@dataclass(frozen=True, slots=True)
class Authorize:
    """`key` names this one operation for ever; `reference` is what a person reads at the gateway (the payment's id)."""

    key: str
    reference: str
    amount: Money
    payment_method: str
    return_url: str = ""
    customer: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capture:
    """`charge` is the gateway's reference of the authorization; `final` releases what is not captured."""

    key: str
    charge: str
    amount: Money
    final: bool = True


@dataclass(frozen=True, slots=True)
class Void:
    key: str
    charge: str


@dataclass(frozen=True, slots=True)
class Refund:
    key: str
    charge: str
    amount: Money
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Find an operation: by the key we gave it and, when we have one, by the gateway's reference.

    `operation` is the verb that was tried: authorize, capture, void, refund, evidence or accept. `charge` is what it
    was tried on (the dispute for the last two). Nothing of it can be older than `begun_at`.
    """

    operation: str
    key: str
    gateway_reference: str = ""
    charge: str = ""
    begun_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is handed in against a dispute: plain facts by name, each value a text."""

    key: str
    dispute: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GatewayResult:
    """What one call told us.

    `gateway_reference` names the charge (authorize), the capture, the void or the refund. `raw` is the answer with
    secrets and personal data taken out, small enough to keep for ever. `amount` is what the gateway says it did;
    a difference from what was asked is an incident, not a success.
    """

    outcome: Outcome
    gateway_reference: str = ""
    decline: DeclineCode | None = None
    gateway_code: str = ""
    message: str = ""
    next_action: NextAction | None = None
    amount: Money | None = None
    expires_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LookupResult:
    """`found` is None when the gateway could not be asked; False means it answered that it knows no such operation."""

    found: bool | None
    result: GatewayResult | None = None


class EventKind(StrEnum):
    """What an inbound webhook is about; everything else a gateway sends is `OTHER` and kept."""

    ATTEMPT_UPDATED = "attempt_updated"  # an authorization, capture, void or refund has news: look it up
    ACTION_COMPLETED = "action_completed"  # the customer came back from authentication
    DISPUTE_UPDATED = "dispute_updated"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class GatewayEvent:
    """One verified webhook. Its payload is a hint to look, never a fact to book.

    `key` and `charge` tell whom it concerns where the gateway names them; `dispute` is the gateway's dispute id.
    """

    id: str
    kind: EventKind
    occurred_at: datetime
    key: str = ""
    charge: str = ""
    dispute: str = ""
    type: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GatewayDispute:
    """A dispute as the gateway tells it now; stage and status in our words (DESIGN §2)."""

    id: str
    charge: str
    amount: Money
    fee: Money | None
    reason: str
    stage: str
    status: str
    due_by: datetime | None
    evidence_submitted: bool = False


@dataclass(frozen=True, slots=True)
class BookedCharge:
    """One charge in the gateway's own books, with all that has taken effect on it by now in minor units.

    `charge` is the gateway's reference, `key` and `reference` are those of the authorization. Without a key somebody
    else made the charge, and nothing more is told of it. A hold counts as `authorized` whatever became of it, `voided`
    is what was given back before it was captured, `disputed` what disputes keep back now or have cost for good. What
    the gateway cannot tell is None and is not compared.
    """

    charge: str
    key: str = ""
    reference: str = ""
    currency: str = ""
    authorized: int | None = None
    captured: int | None = None
    refunded: int | None = None
    voided: int | None = None
    disputed: int | None = None


class InvalidSignature(AppError):
    code = "invalid_signature"
    title = "The webhook is not signed by the gateway"
    status = 401


class CouldNotAsk(Unavailable):
    """A question without an answer. Only questions raise: an operation always ends in a GatewayResult."""

    code = "gateway_could_not_be_asked"
    title = "The gateway could not be asked"


class Gateway(Protocol):
    """`name` is the configured instance (`sandbox_a`), unique; several may share one adapter."""

    name: str
    title: str
    capabilities: frozenset[Capability]
    #: Seconds after which a received operation is surely found; before that "not found" is no evidence.
    visible_after_seconds: float
    #: Waits in seconds before each lookup of an unknown outcome; after the last one people decide.
    lookup_ladder_seconds: tuple[float, ...]
    #: The same while the gateway itself has not decided: it will take hours or days, and mostly tells by itself.
    pending_ladder_seconds: tuple[float, ...]

    def authorize(self, request: Authorize) -> GatewayResult: ...
    def capture(self, request: Capture) -> GatewayResult: ...
    def void(self, request: Void) -> GatewayResult: ...
    def refund(self, request: Refund) -> GatewayResult: ...
    def lookup(self, request: Lookup) -> LookupResult: ...
    def submit_evidence(self, request: Evidence) -> GatewayResult: ...
    def accept_dispute(self, request: Evidence) -> GatewayResult: ...
    def dispute(self, dispute: str) -> GatewayDispute | None:
        """The dispute as it is now; None when the gateway says it knows none; CouldNotAsk when it said nothing."""
        ...

    def books(self, since: datetime) -> Iterator[BookedCharge]:
        """Every charge made since then, read as it is iterated; CouldNotAsk, also half-way, where it cannot be read.

        Only gateways with BOOKS can be asked.
        """
        ...

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayEvent:
        """The event in `body`, verified over its raw bytes; InvalidSignature when it is not from the gateway."""
        ...

    def close(self) -> None:
        """Let go of the connections kept open between calls."""
        ...
