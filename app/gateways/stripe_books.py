"""Stripe's own books: every PaymentIntent, and what was captured, refunded, given back or disputed of it.

Only what took effect counts, as it does for our attempts: `stripe_mapping` says what that is. A capture that leaves a
part over makes no refund, nor does a cancellation (docs.stripe.com/changelog, 2025-03-31.basil).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from app.errors import AppError
from app.gateways import stripe_mapping as mapping
from app.gateways.port import BookedCharge, CouldNotAsk, Outcome
from app.gateways.stripe_lists import Json, NoAnswer, created, every, metadata
from app.gateways.stripe_mapping import KEY, PAYMENT, Disputed, Intent, Refunded

if TYPE_CHECKING:
    from app.gateways.stripe_sdk import StripeApi

#: Each page brings the newest refunds of its charges with it; only charges with more of them are asked about again.
_EXPANDED: Final = {"expand": ["data.latest_charge.refunds"]}
#: By whether there is a hold, or was one, or the bank is asked for one.
_HELD: Final = {
    "requires_payment_method": False,
    "requires_confirmation": False,
    "requires_action": False,
    "processing": True,
    "requires_capture": True,
    "succeeded": True,
}
#: Why Stripe itself ends a hold: its time was over. Older releases of the API say automatic.
_RAN_OUT: Final = frozenset({"expired", "automatic"})


def books(api: "StripeApi", name: str, since: datetime) -> Iterator[BookedCharge]:
    """What was made since then, the newest first; CouldNotAsk for whatever cannot be read as a whole."""
    try:
        for shown in every(lambda page: api.call(lambda v1: v1.payment_intents.list({**_EXPANDED, **page}))):
            if not (made := created(shown)):
                raise CouldNotAsk(f"{name} lists a payment that does not say when it was made: {shown.get('id')}")
            if made < since.timestamp():
                return
            yield _booked(api, name, shown)
    except NoAnswer as nothing:
        why = nothing.answer.message or nothing.answer.gateway_code
        raise CouldNotAsk(f"{name} did not list its payments to the end: {why}") from None


def _booked(api: "StripeApi", name: str, shown: Json) -> BookedCharge:
    charge = str(shown.get("id"))
    if not metadata(shown).get(KEY):
        return BookedCharge(charge)
    try:
        return _ours(api, Intent.model_validate(shown))
    except (ValueError, AppError):
        raise CouldNotAsk(f"{name} shows payment {charge} in a way that cannot be read") from None


def _ours(api: "StripeApi", intent: Intent) -> BookedCharge:
    authorized = intent.money.minor if _is_held(intent) else 0
    captured = intent.captured.minor
    gone = intent.is_canceled and authorized
    return BookedCharge(
        charge=intent.id,
        key=intent.metadata[KEY],
        reference=intent.metadata.get(PAYMENT, ""),
        currency=intent.money.currency,
        authorized=authorized,
        captured=captured,
        refunded=_refunded(api, intent),
        # Whether somebody also gave back what ran out cannot be told, and makes no difference any more.
        voided=None if intent.cancellation_reason in _RAN_OUT else authorized - captured if gone else 0,
        disputed=_disputed(api, intent),
    )


def _is_held(intent: Intent) -> bool:
    """ValueError for a status that was not documented when this was written."""
    if intent.is_canceled:
        return intent.latest_charge is not None and intent.latest_charge.status == "succeeded"
    if intent.status not in _HELD:
        raise ValueError(intent.status)
    return _HELD[intent.status]


def _refunded(api: "StripeApi", intent: Intent) -> int:
    charge = intent.latest_charge
    if charge is None:
        return 0
    if charge.refunds is not None and not charge.refunds.has_more:
        # Test servers make a refund of no payment of what a capture leaves over, which the other list does not have.
        return sum(_given_back(each) for each in charge.refunds.data if each.payment_intent)
    on = {"payment_intent": intent.id}
    shown = every(lambda page: api.call(lambda v1: v1.refunds.list({**on, **page})))
    return sum(_given_back(Refunded.model_validate(each)) for each in shown)


def _given_back(refunded: Refunded) -> int:
    result = mapping.refund(refunded)
    if result.outcome is Outcome.UNKNOWN:
        raise ValueError(refunded.status)
    return result.amount.minor if result.outcome is Outcome.APPROVED and result.amount else 0


def _disputed(api: "StripeApi", intent: Intent) -> int | None:
    """None when a dispute is in another currency, which our books do not hold either."""
    if intent.latest_charge is None or not intent.latest_charge.disputed:
        return 0
    on = {"payment_intent": intent.id}
    shown = every(lambda page: api.call(lambda v1: v1.disputes.list({**on, **page})))
    kept = [dispute for each in shown if (dispute := Disputed.model_validate(each)).keeps_amount]
    if any(dispute.currency != intent.currency for dispute in kept):
        return None
    return sum(mapping.dispute(dispute).amount.minor for dispute in kept)
