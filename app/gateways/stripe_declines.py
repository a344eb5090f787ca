"""Why Stripe or the bank behind it said no, in our words.

Sources: docs.stripe.com/declines/codes, /error-codes and /declines/card ("advice codes"). The bank's advice counts more
than its reason: where it says "do not try again", card networks charge a fee for trying again.
"""

from collections.abc import Mapping
from typing import Any, Final

from app.gateways.port import DeclineCode, GatewayResult, Outcome, Retry

_BY_REASON: Final[Mapping[DeclineCode, str]] = {
    DeclineCode.INSUFFICIENT_FUNDS: "insufficient_funds",
    DeclineCode.LIMIT_EXCEEDED: "card_velocity_exceeded withdrawal_count_limit_exceeded",
    DeclineCode.ISSUER_UNAVAILABLE: "issuer_not_available",
    DeclineCode.DO_NOT_HONOR: (
        "do_not_honor generic_decline card_declined call_issuer no_action_taken payment_intent_payment_attempt_failed "
        "card_decline_rate_limit_exceeded"
    ),
    DeclineCode.PROCESSING_ERROR: "processing_error reenter_transaction try_again_later approve_with_id",
    DeclineCode.AUTHENTICATION_REQUIRED: "authentication_required",
    DeclineCode.AUTHENTICATION_FAILED: (
        "payment_intent_authentication_failure authentication_not_handled mobile_device_authentication_required"
    ),
    DeclineCode.LOST_CARD: "lost_card",
    DeclineCode.STOLEN_CARD: "stolen_card pickup_card",
    DeclineCode.EXPIRED_CARD: "expired_card invalid_expiry_month invalid_expiry_year",
    DeclineCode.INVALID_PAYMENT_METHOD: (
        "incorrect_number invalid_number invalid_account new_account_information_available incorrect_pin invalid_pin "
        "incorrect_zip incorrect_address pin_try_exceeded offline_pin_required online_or_offline_pin_required "
        "payment_method_customer_decline payment_method_provider_decline testmode_decline test_mode_live_card "
        "payment_method_unactivated payment_method_unexpected_state"
    ),
    DeclineCode.INCORRECT_CVC: "incorrect_cvc invalid_cvc",
    DeclineCode.FRAUD_SUSPECTED: "fraudulent merchant_blacklist security_violation highest_risk_level",
    DeclineCode.NOT_PERMITTED: (
        "card_not_supported do_not_try_again not_permitted restricted_card revocation_of_all_authorizations "
        "revocation_of_authorization service_not_allowed stop_payment_order transaction_not_allowed "
        "payment_method_not_available payment_intent_unexpected_state charge_not_refundable"
    ),
    DeclineCode.CURRENCY_NOT_SUPPORTED: (
        "currency_not_supported invalid_currency payment_intent_incompatible_currency payment_method_currency_mismatch"
    ),
    DeclineCode.AMOUNT_NOT_ALLOWED: (
        "invalid_amount amount_too_large amount_too_small invalid_charge_amount "
        "invalid_charge_amount_no_decimal_compatible parameter_invalid_integer"
    ),
    DeclineCode.AUTHORIZATION_EXPIRED: "charge_expired_for_capture capture_charge_authorization_expired",
    DeclineCode.ALREADY_DONE: "charge_already_captured duplicate_transaction",
    DeclineCode.REFUND_REFUSED: (
        "charge_already_refunded charge_disputed refund_disputed_payment charge_exceeds_source_limit "
        "balance_insufficient insufficient_balance"
    ),
}
_REASONS: Final = {code: decline for decline, codes in _BY_REASON.items() for code in codes.split()}
#: What a reason we do not know becomes, by the bank's advice.
_ADVISED: Final[Mapping[str, DeclineCode]] = {
    "try_again_later": DeclineCode.DO_NOT_HONOR,
    "do_not_try_again": DeclineCode.NOT_PERMITTED,
    "confirm_card_data": DeclineCode.INVALID_PAYMENT_METHOD,
}
#: Parameters of ours that Stripe names when it refuses their value without a code of its own.
_PARAMETERS: Final[Mapping[str, DeclineCode]] = {
    "amount": DeclineCode.AMOUNT_NOT_ALLOWED,
    "amount_to_capture": DeclineCode.AMOUNT_NOT_ALLOWED,
    "currency": DeclineCode.CURRENCY_NOT_SUPPORTED,
    "payment_method": DeclineCode.INVALID_PAYMENT_METHOD,
}


def declined_by_bank(error: Mapping[str, Any], reference: str = "") -> GatewayResult:
    """A decline out of Stripe's error object, as it comes with HTTP 402 or stays on the payment as its last error."""
    code = _text(error, "decline_code") or _text(error, "code") or _text(error, "type")
    advice = _text(error, "advice_code")
    decline = _REASONS.get(code) or _ADVISED.get(advice, DeclineCode.OTHER)
    if advice == "do_not_try_again" and decline.retry is not Retry.NEVER:
        decline = DeclineCode.NOT_PERMITTED
    gateway_code = f"{code}/{advice}" if advice else code
    return GatewayResult(Outcome.DECLINED, reference, decline, gateway_code, _text(error, "message"))


def refused_by_stripe(error: Mapping[str, Any]) -> GatewayResult:
    """A request Stripe would not carry out as it stands, which it documents as having no effect."""
    code = _text(error, "code")
    decline = _REASONS.get(code) or _PARAMETERS.get(_text(error, "param"), DeclineCode.INVALID_REQUEST)
    gateway_code = code or _text(error, "type")
    return GatewayResult(Outcome.DECLINED, decline=decline, gateway_code=gateway_code, message=_text(error, "message"))


def _text(error: Mapping[str, Any], name: str) -> str:
    value = error.get(name)
    return value[:200] if isinstance(value, str) else ""
