"""The adapter of the sandbox gateway: its documented answers to our words, everything else to UNKNOWN."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from app.errors import AppError
from app.gateways import sandbox_books
from app.gateways.port import (
    Authorize,
    BookedCharge,
    Capability,
    Capture,
    CouldNotAsk,
    DeclineCode,
    EventKind,
    Evidence,
    GatewayDispute,
    GatewayEvent,
    GatewayResult,
    InvalidSignature,
    Lookup,
    LookupResult,
    NextAction,
    Outcome,
    Refund,
    Void,
)
from app.gateways.redact import redacted, without_nul
from app.gateways.wire import JsonAnswer, Wire, unknown
from app.kit.crypto import SignatureRefused, signing_key, verify_signature
from app.kit.money import Money

_DECLINES: Final[Mapping[str, DeclineCode]] = {
    "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
    "do_not_honor": DeclineCode.DO_NOT_HONOR,
    "stolen_card": DeclineCode.STOLEN_CARD,
    "expired_card": DeclineCode.EXPIRED_CARD,
    "authentication_failed": DeclineCode.AUTHENTICATION_FAILED,
    "invalid_payment_method": DeclineCode.INVALID_PAYMENT_METHOD,
    "capture_refused": DeclineCode.NOT_PERMITTED,
    "refund_refused": DeclineCode.REFUND_REFUSED,
    "charge_disputed": DeclineCode.REFUND_REFUSED,
    "currency_mismatch": DeclineCode.CURRENCY_NOT_SUPPORTED,
    "unknown_currency": DeclineCode.CURRENCY_NOT_SUPPORTED,
    "amount_exceeds_authorized": DeclineCode.AMOUNT_NOT_ALLOWED,
    "amount_exceeds_captured": DeclineCode.AMOUNT_NOT_ALLOWED,
    "authorization_expired": DeclineCode.AUTHORIZATION_EXPIRED,
    "already_voided": DeclineCode.ALREADY_DONE,
    "nothing_to_void": DeclineCode.NOT_PERMITTED,
    "not_authorized": DeclineCode.INVALID_REQUEST,
    "not_captured": DeclineCode.INVALID_REQUEST,
    "not_now": DeclineCode.NOT_PERMITTED,
    "invalid_request": DeclineCode.INVALID_REQUEST,
    "not_found": DeclineCode.INVALID_REQUEST,
}
#: Refusals the sandbox documents as having no effect and as final for the request as it stands, by status and code.
_REFUSALS: Final = frozenset(
    {(400, "invalid_request"), (404, "not_found"), (409, "not_now"), (422, "unknown_currency"), (422, "invalid_input")}
)
#: Answers it documents as having no effect because of the moment or our credentials; another try is safe.
_NOT_TAKEN: Final = frozenset({(503, "unavailable"), (429, "rate_limited"), (401, "unauthorized")})
_MOVEMENTS: Final[Mapping[str, Outcome]] = {
    "succeeded": Outcome.APPROVED,
    "pending": Outcome.PENDING,
    "declined": Outcome.DECLINED,
    "failed": Outcome.DECLINED,
}
_EVENTS: Final[Mapping[str, EventKind]] = {
    "charge.updated": EventKind.ATTEMPT_UPDATED,
    "capture.updated": EventKind.ATTEMPT_UPDATED,
    "refund.updated": EventKind.ATTEMPT_UPDATED,
    "charge.action_completed": EventKind.ACTION_COMPLETED,
    "dispute.created": EventKind.DISPUTE_UPDATED,
    "dispute.updated": EventKind.DISPUTE_UPDATED,
}


class SandboxOptions(BaseModel):
    """Settings of one sandbox. Seconds are short on purpose: everything can be watched happening."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str = Field(pattern="^https?://")
    api_key: SecretStr
    webhook_secrets: tuple[SecretStr, ...] = ()
    title: str = "Sandbox"
    connect_seconds: float = Field(default=2, gt=0)
    total_seconds: float = Field(default=3, gt=0)
    visible_after_seconds: float = Field(default=4, ge=0)
    lookup_ladder_seconds: tuple[float, ...] = (2, 3, 5, 10, 30)
    pending_ladder_seconds: tuple[float, ...] = (5, 10, 30, 120, 600)

    @field_validator("webhook_secrets")
    @classmethod
    def _are_secrets(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            signing_key(secret.get_secret_value())
        return secrets


class _Shown(BaseModel):
    """What an answer must show to be believed; other fields may come and go."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    status: str
    amount: int
    currency: str
    decline_code: str = ""

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


class _Action(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    type: str
    url: str = Field(pattern="^https?://")


class _Charge(_Shown):
    authorized: int
    next_action: _Action | None = None
    expires_at: str


class _Dispute(_Shown):
    charge: str
    fee: int
    reason: str
    stage: str
    due_by: str
    evidence_submitted: bool


class SandboxGateway:
    """Fills the port for the sandbox. Safe to share between threads."""

    capabilities = frozenset(Capability)

    def __init__(self, name: str, options: SandboxOptions, wire: Wire | None = None) -> None:
        self.name = name
        self.title = options.title
        self.visible_after_seconds = options.visible_after_seconds
        self.lookup_ladder_seconds = options.lookup_ladder_seconds
        self.pending_ladder_seconds = options.pending_ladder_seconds
        self._secrets = tuple(secret.get_secret_value() for secret in options.webhook_secrets)
        self._wire = wire or Wire(
            options.base_url,
            {"authorization": f"Bearer {options.api_key.get_secret_value()}"},
            connect_seconds=options.connect_seconds,
            total_seconds=options.total_seconds,
        )

    def close(self) -> None:
        self._wire.close()

    def authorize(self, request: Authorize) -> GatewayResult:
        body = {
            "reference": request.reference,
            "amount": request.amount.minor,
            "currency": request.amount.currency,
            "payment_method": request.payment_method,
            "return_url": request.return_url,
        }
        asked = {name: body[name] for name in ("reference", "amount", "currency", "payment_method")} | {
            "key": request.key
        }
        return self._operate("/v1/charges", request.key, body, asked, _charge_result)

    def capture(self, request: Capture) -> GatewayResult:
        asked = {"amount": request.amount.minor, "currency": request.amount.currency}
        body = {**asked, "final": request.final}
        return self._operate_on(request.charge, "captures", request.key, body, asked)

    def void(self, request: Void) -> GatewayResult:
        return self._operate_on(request.charge, "void", request.key, {}, {})

    def refund(self, request: Refund) -> GatewayResult:
        asked = {"amount": request.amount.minor, "currency": request.amount.currency}
        return self._operate_on(request.charge, "refunds", request.key, {**asked, "reason": request.reason}, asked)

    def lookup(self, request: Lookup) -> LookupResult:
        """By our key alone: the sandbox keeps every key for ever."""
        answer = self._wire.get(f"/v1/operations?key={quote(request.key, safe='')}")
        if isinstance(answer, GatewayResult):
            return LookupResult(None, answer)
        found = answer.body.get("data")
        if answer.status != 200 or not isinstance(found, list):
            return LookupResult(None, unknown(answer, "The gateway did not say whether it knows the operation"))
        if not found:
            return LookupResult(found=False)
        return LookupResult(found=True, result=_found_result(request, answer, found[0]))

    def submit_evidence(self, request: Evidence) -> GatewayResult:
        body, asked = {"facts": dict(request.facts)}, {"id": request.dispute}
        return self._operate(_dispute_path(request.dispute, "/evidence"), request.key, body, asked, _dispute_result)

    def accept_dispute(self, request: Evidence) -> GatewayResult:
        return self._operate(
            _dispute_path(request.dispute, "/accept"), request.key, {}, {"id": request.dispute}, _dispute_result
        )

    def dispute(self, dispute: str) -> GatewayDispute | None:
        answer = self._wire.get(_dispute_path(dispute))
        if isinstance(answer, GatewayResult):
            raise CouldNotAsk(f"{self.name} could not be asked about dispute {dispute}: {answer.message}")
        if answer.status == 404 and _error_code(answer) == "not_found":
            return None
        try:
            shown = _Dispute.model_validate(answer.body)
            due_by = datetime.fromisoformat(shown.due_by)
            amount, fee = shown.money, Money(shown.fee, shown.currency)
        except (ValueError, AppError):
            raise CouldNotAsk(f"{self.name} gave no readable answer about dispute {dispute}") from None
        return GatewayDispute(
            id=shown.id,
            charge=shown.charge,
            amount=amount,
            fee=fee,
            reason=shown.reason,
            stage=shown.stage,
            status=shown.status,
            due_by=due_by,
            evidence_submitted=shown.evidence_submitted,
        )

    def books(self, since: datetime) -> Iterator[BookedCharge]:
        return sandbox_books.books(self._wire, self.name, since)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayEvent:
        try:
            signed = verify_signature(self._secrets, headers, body, now)
        except SignatureRefused as refused:
            raise InvalidSignature(refused.detail) from None
        try:
            payload = orjson.loads(without_nul(body))
        except orjson.JSONDecodeError:
            payload = {}
        data = payload.get("data") if isinstance(payload, dict) else None
        if not isinstance(data, dict):
            return GatewayEvent(signed.id, EventKind.OTHER, signed.signed_at)
        kind = str(payload.get("type", ""))
        return GatewayEvent(
            id=signed.id,
            kind=_EVENTS.get(kind, EventKind.OTHER),
            occurred_at=_moment(payload.get("created_at")) or signed.signed_at,
            key=str(data.get("key", "")),
            charge=str(data.get("charge", "")),
            dispute=str(data.get("dispute", "")),
            type=kind,
            payload=redacted(payload),
        )

    def _operate_on(
        self, charge: str, verb: str, key: str, body: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> GatewayResult:
        path = f"/v1/charges/{quote(charge, safe='')}/{verb}"
        return self._operate(path, key, body, {**asked, "charge": charge, "key": key}, _movement_result)

    def _operate(
        self,
        path: str,
        key: str,
        body: Mapping[str, Any],
        asked: Mapping[str, Any],
        read: Callable[[Mapping[str, Any]], GatewayResult],
    ) -> GatewayResult:
        answer = self._wire.post(path, body, {"idempotency-key": key})
        if isinstance(answer, GatewayResult):
            return answer
        if answer.status in (200, 201, 402):
            return _believed(answer, answer.body, asked, read)
        return _refusal(answer)


def _refusal(answer: JsonAnswer) -> GatewayResult:
    code = _error_code(answer)
    if (answer.status, code) in _NOT_TAKEN:
        message = f"HTTP {answer.status}, documented as without effect"
        return GatewayResult(Outcome.NOT_SENT, gateway_code=code, message=message, raw=redacted(answer.body))
    if (answer.status, code) in _REFUSALS:
        message = str(answer.body["error"].get("message", ""))
        decline = _DECLINES.get(code, DeclineCode.INVALID_REQUEST)
        return GatewayResult(
            Outcome.DECLINED, decline=decline, gateway_code=code, message=message, raw=redacted(answer.body)
        )
    return unknown(answer, f"HTTP {answer.status} is not an answer the gateway documents for this", code)


def _error_code(answer: JsonAnswer) -> str:
    error = answer.body.get("error")
    return str(error.get("code", "")) if isinstance(error, dict) else ""


def _believed(
    answer: JsonAnswer,
    shown: Mapping[str, Any],
    asked: Mapping[str, Any],
    read: Callable[[Mapping[str, Any]], GatewayResult],
) -> GatewayResult:
    """What `read` makes of the object shown, provided it is about what was asked."""
    for name, value in asked.items():
        if shown.get(name) != value:
            return unknown(answer, f"The gateway answered with {name} {shown.get(name)!r} where {value!r} was asked")
    try:
        result = read(shown)
    except (ValueError, AppError):
        return unknown(answer, "The answer does not have the documented shape")
    if (answer.status == 402) != (result.outcome is Outcome.DECLINED) and answer.status != 200:
        return unknown(answer, f"HTTP {answer.status} contradicts status {shown.get('status')!r}")
    return replace(result, raw=redacted(shown))


def _declined(code: str, shown: _Shown) -> GatewayResult:
    decline = _DECLINES.get(code, DeclineCode.OTHER)
    return GatewayResult(Outcome.DECLINED, shown.id, decline, code, f"Declined: {code.replace('_', ' ')}")


def _charge_result(body: Mapping[str, Any]) -> GatewayResult:
    charge = _Charge.model_validate(body)
    expires_at = datetime.fromisoformat(charge.expires_at)
    if charge.authorized:
        if charge.authorized != charge.amount:
            message = f"{charge.authorized} was authorized where {charge.amount} was asked"
            return GatewayResult(Outcome.UNKNOWN, charge.id, gateway_code=charge.status, message=message)
        # Whatever became of the charge later, this authorization was given.
        return GatewayResult(Outcome.APPROVED, charge.id, amount=charge.money, expires_at=expires_at)
    if charge.status == "requires_action" and charge.next_action:
        action = NextAction(charge.next_action.type, charge.next_action.url)
        return GatewayResult(
            Outcome.NEEDS_ACTION, charge.id, next_action=action, amount=charge.money, expires_at=expires_at
        )
    if charge.status == "pending":
        return GatewayResult(Outcome.PENDING, charge.id, amount=charge.money, expires_at=expires_at)
    if charge.status == "declined":
        return _declined(charge.decline_code, charge)
    if charge.status in ("voided", "expired"):
        return _declined("authorization_expired" if charge.status == "expired" else "already_voided", charge)
    return GatewayResult(Outcome.UNKNOWN, charge.id, gateway_code=charge.status, message="The status is not documented")


def _movement_result(body: Mapping[str, Any]) -> GatewayResult:
    movement = _Shown.model_validate(body)
    outcome = _MOVEMENTS.get(movement.status, Outcome.UNKNOWN)
    if outcome is Outcome.DECLINED:
        return _declined(movement.decline_code, movement)
    message = "The status is not documented" if outcome is Outcome.UNKNOWN else ""
    return GatewayResult(outcome, movement.id, gateway_code=movement.status, message=message, amount=movement.money)


def _dispute_result(body: Mapping[str, Any]) -> GatewayResult:
    dispute = _Dispute.model_validate(body)
    if dispute.status in ("under_review", "accepted"):
        return GatewayResult(Outcome.APPROVED, dispute.id, amount=dispute.money)
    message = "The status is not documented for this"
    return GatewayResult(Outcome.UNKNOWN, dispute.id, gateway_code=dispute.status, message=message)


def _answer_found(body: Mapping[str, Any]) -> GatewayResult:
    """Keys are kept of answers that were taken in; whatever became of the dispute later, this one was."""
    dispute = _Dispute.model_validate(body)
    return GatewayResult(Outcome.APPROVED, dispute.id, gateway_code=dispute.status, amount=dispute.money)


def _found_result(request: Lookup, answer: JsonAnswer, found: Any) -> GatewayResult:
    if not isinstance(found, dict) or not isinstance(found.get("result"), dict):
        return unknown(answer, "The answer does not have the documented shape")
    if (found.get("key"), found.get("operation")) != (request.key, request.operation):
        return unknown(answer, f"The gateway knows the key for {found.get('operation')!r}, not {request.operation!r}")
    readers = {"authorize": _charge_result, "evidence": _answer_found, "accept": _answer_found}
    return _believed(answer, found["result"], {}, readers.get(request.operation, _movement_result))


def _dispute_path(dispute: str, action: str = "") -> str:
    return f"/v1/disputes/{quote(dispute, safe='')}{action}"


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def build(name: str, options: Mapping[str, Any]) -> SandboxGateway:
    return SandboxGateway(name, SandboxOptions.model_validate(options))
