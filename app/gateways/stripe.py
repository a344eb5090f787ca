"""The adapter of Stripe: PaymentIntents with manual capture, so that authorizing and capturing stay two operations.

Our key goes out twice: as the idempotency key, and as metadata, by which an operation is found again when its answer
was lost. An authorization is captured once. Which release of Stripe's API is spoken is fixed by the SDK's version.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.errors import AppError, InvalidInput
from app.gateways import stripe_books, stripe_webhooks
from app.gateways import stripe_mapping as mapping
from app.gateways.port import (
    Authorize,
    BookedCharge,
    Capability,
    Capture,
    CouldNotAsk,
    DeclineCode,
    Evidence,
    GatewayDispute,
    GatewayEvent,
    GatewayResult,
    Lookup,
    LookupResult,
    Outcome,
    Refund,
    Void,
)
from app.gateways.stripe_amounts import AmountRefused, CurrencyRefused, to_stripe
from app.gateways.stripe_lookup import find, is_missing
from app.gateways.stripe_mapping import EVIDENCE, KEY, PAYMENT, Disputed, Intent, Refunded, understood
from app.kit.money import Money

if TYPE_CHECKING:
    from app.gateways.stripe_sdk import StripeApi

Json = dict[str, Any]

_EXPANDED: Final = ["latest_charge"]
_REASONS: Final = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
#: Fields of Stripe's evidence that take a text; every other fact is told in the free text.
_EVIDENCE_TEXTS: Final = (
    "access_activity_log billing_address cancellation_policy_disclosure cancellation_rebuttal customer_email_address",
    "customer_name customer_purchase_ip duplicate_charge_explanation duplicate_charge_id product_description",
    "refund_policy_disclosure refund_refusal_explanation service_date shipping_address shipping_carrier",
    "shipping_date shipping_tracking_number",
)
_FREE_TEXT: Final = "uncategorized_text"


class StripeOptions(BaseModel):
    """Settings of one Stripe account; `docs/gateways.md` explains each."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api_key: SecretStr
    webhook_secrets: tuple[SecretStr, ...] = ()
    base_url: str = Field(default="https://api.stripe.com", pattern="^https?://")
    title: str = "Stripe"
    payment_method_types: tuple[str, ...] = ("card",)
    connect_seconds: float = Field(default=5, gt=0)
    total_seconds: float = Field(default=30, gt=0)
    visible_after_seconds: float = Field(default=120, ge=0)
    lookup_ladder_seconds: tuple[float, ...] = (5, 10, 30, 120, 600, 3600, 7200, 86400)
    pending_ladder_seconds: tuple[float, ...] = (60, 600, 3600, 6 * 3600, 86400, 86400, 2 * 86400, 3 * 86400, 7 * 86400)


class StripeGateway:
    """Fills the port for Stripe. Safe to share between threads. What we call a charge is a PaymentIntent's id."""

    capabilities = frozenset({Capability.IDEMPOTENT, Capability.LOOKUP_BY_KEY, Capability.DISPUTES, Capability.BOOKS})

    def __init__(self, name: str, options: StripeOptions, api: "StripeApi") -> None:
        self.name = name
        self.title = options.title
        self.visible_after_seconds = options.visible_after_seconds
        self.lookup_ladder_seconds = options.lookup_ladder_seconds
        self.pending_ladder_seconds = options.pending_ladder_seconds
        self._method_types = list(options.payment_method_types)
        self._secrets = tuple(secret.get_secret_value() for secret in options.webhook_secrets)
        self._api = api

    def close(self) -> None:
        self._api.close()

    def authorize(self, request: Authorize) -> GatewayResult:
        amount = _expressed(request.amount)
        if isinstance(amount, GatewayResult):
            return amount
        params: Json = {
            **amount,
            "capture_method": "manual",
            "confirm": True,
            "payment_method": request.payment_method,
            "payment_method_types": self._method_types,
            "metadata": {**request.metadata, KEY: request.key, PAYMENT: request.reference},
            "expand": _EXPANDED,
        }
        if request.return_url:
            params["return_url"] = request.return_url
        if request.customer.startswith("cus_"):
            params["customer"] = request.customer
        answer = self._api.call(lambda v1: v1.payment_intents.create(params, _keyed(request.key)))
        return understood(answer, Intent, mapping.authorization, {**amount, "metadata": {KEY: request.key}})

    def capture(self, request: Capture) -> GatewayResult:
        amount = _expressed(request.amount)
        if isinstance(amount, GatewayResult):
            return amount
        if not request.final:
            return _not_asked(DeclineCode.NOT_PERMITTED, "final_only", "Stripe releases what a capture leaves over")
        params = {"amount_to_capture": amount["amount"], "expand": _EXPANDED}
        answer = self._api.call(lambda v1: v1.payment_intents.capture(request.charge, params, _keyed(request.key)))
        return understood(answer, Intent, mapping.capture, {"id": request.charge})

    def void(self, request: Void) -> GatewayResult:
        params = {"expand": _EXPANDED}
        answer = self._api.call(lambda v1: v1.payment_intents.cancel(request.charge, params, _keyed(request.key)))
        result = understood(answer, Intent, mapping.void, {"id": request.charge})
        # What is done already is the capture: the money is taken, and none is given back.
        done = result.decline is DeclineCode.ALREADY_DONE
        return replace(result, decline=DeclineCode.NOT_PERMITTED) if done else result

    def refund(self, request: Refund) -> GatewayResult:
        amount = _expressed(request.amount)
        if isinstance(amount, GatewayResult):
            return amount
        params: Json = {
            "payment_intent": request.charge,
            "amount": amount["amount"],
            "metadata": {KEY: request.key},
        }
        if request.reason in _REASONS:
            params["reason"] = request.reason
        answer = self._api.call(lambda v1: v1.refunds.create(params, _keyed(request.key)))
        asked = {**amount, "metadata": {KEY: request.key}, "payment_intent": request.charge}
        return understood(answer, Refunded, mapping.refund, asked)

    def submit_evidence(self, request: Evidence) -> GatewayResult:
        params = {"evidence": _evidence(request.facts), "metadata": {EVIDENCE: request.key}, "submit": True}
        answer = self._api.call(lambda v1: v1.disputes.update(request.dispute, params, _keyed(request.key)))
        return understood(answer, Disputed, mapping.evidence, {"id": request.dispute})

    def accept_dispute(self, request: Evidence) -> GatewayResult:
        answer = self._api.call(lambda v1: v1.disputes.close(request.dispute, {}, _keyed(request.key)))
        return understood(answer, Disputed, mapping.acceptance, {"id": request.dispute})

    def dispute(self, dispute: str) -> GatewayDispute | None:
        answer = self._api.call(lambda v1: v1.disputes.retrieve(dispute))
        if isinstance(answer, GatewayResult):
            raise CouldNotAsk(f"{self.name} could not be asked about dispute {dispute}: {answer.message}")
        if is_missing(answer):
            return None
        try:
            return mapping.dispute(Disputed.model_validate(answer.body))
        except (ValueError, AppError):
            raise CouldNotAsk(f"{self.name} gave no readable answer about dispute {dispute}") from None

    def books(self, since: datetime) -> Iterator[BookedCharge]:
        return stripe_books.books(self._api, self.name, since)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayEvent:
        signed_at = stripe_webhooks.verify(self._secrets, headers, body, now)
        return stripe_webhooks.read(body, signed_at)

    def lookup(self, request: Lookup) -> LookupResult:
        return find(self._api, request)


def _keyed(key: str) -> Json:
    return {"idempotency_key": key}


def _expressed(amount: Money) -> Json | GatewayResult:
    """`amount` as Stripe counts it; a decline, with nothing sent, where Stripe cannot express it."""
    try:
        return {"amount": to_stripe(amount), "currency": amount.currency.lower()}
    except CurrencyRefused as refused:
        return _not_asked(DeclineCode.CURRENCY_NOT_SUPPORTED, refused.code, refused.detail)
    except AmountRefused as refused:
        return _not_asked(DeclineCode.AMOUNT_NOT_ALLOWED, refused.code, refused.detail)


def _not_asked(decline: DeclineCode, code: str, message: str) -> GatewayResult:
    return GatewayResult(Outcome.DECLINED, decline=decline, gateway_code=code, message=f"{message}. Nothing was sent")


def _evidence(facts: Mapping[str, str]) -> Json:
    """Facts under the names Stripe has for them; the others as lines of its free text."""
    texts = set(" ".join(_EVIDENCE_TEXTS).split())
    lines = [text if name == _FREE_TEXT else f"{name}: {text}" for name, text in facts.items() if name not in texts]
    named = {name: text for name, text in facts.items() if name in texts}
    return named | ({_FREE_TEXT: "\n".join(lines)} if lines else {})


def build(name: str, options: Mapping[str, Any]) -> StripeGateway:
    """InvalidInput where the SDK is not installed; it is imported here and not before."""
    settings = StripeOptions.model_validate(options)
    try:
        from app.gateways.stripe_sdk import StripeApi  # noqa: PLC0415 - the SDK matters only to who uses Stripe
    except ModuleNotFoundError as missing:
        raise InvalidInput(f"Python package {missing.name!r} is missing: install the extra sluice[stripe]") from None
    return StripeGateway(
        name,
        settings,
        StripeApi(
            settings.api_key.get_secret_value(),
            settings.base_url,
            connect_seconds=settings.connect_seconds,
            total_seconds=settings.total_seconds,
        ),
    )
