"""The charges that a payment's authorizations made at gateways: what was given back, and what is left without a use.

All of it is read from attempts. An orphan is a hold that its payment does not count on: made beside the one that it
has, or by an attempt that was resolved as without effect before the gateway said that it had one.
"""

from collections.abc import Iterable
from typing import Final

from app.gateways.port import DeclineCode, Outcome
from app.payments.models import Attempt, Payment
from app.payments.outcomes import UNRESOLVED, WITHOUT_EFFECT

#: A gateway, and its reference of the charge.
Place = tuple[str, str]

#: Why a void is declined when there is no hold any more.
GONE: Final = frozenset({DeclineCode.AUTHORIZATION_EXPIRED, DeclineCode.ALREADY_DONE})


def is_open(attempt: Attempt) -> bool:
    """Whether its effect is not known."""
    return attempt.state == "begun" or attempt.outcome in UNRESOLVED


def given_back(attempts: Iterable[Attempt]) -> dict[Place, Attempt]:
    """The voids after which there surely is no hold any more, by where it was."""
    voids = (attempt for attempt in attempts if attempt.operation == "void" and attempt.charge)
    return {(one.gateway, one.charge): one for one in voids if one.outcome == Outcome.APPROVED or is_gone(one)}


def is_gone(void: Attempt) -> bool:
    """The gateway declined because there was no hold any more, which is all that was wanted."""
    return void.outcome == Outcome.DECLINED and void.decline_code in GONE


def place_of(authorization: Attempt) -> Place:
    """Where its charge is, whatever became of it."""
    return authorization.gateway, authorization.gateway_reference


def hold_of(authorization: Attempt) -> Place | None:
    """Where the gateway says that it made a hold for the attempt, also when it said so only after it was resolved."""
    reference = authorization.gateway_reference if authorization.outcome == Outcome.APPROVED else ""
    if authorization.outcome in WITHOUT_EFFECT:
        told = (authorization.evidence or {}).get("contradictions", [])
        approved = (one["gateway_reference"] for one in told if one["outcome"] == Outcome.APPROVED)
        # The first one it named, so that what is being voided stays the hold that is meant, whatever is said meanwhile.
        reference = next(filter(None, approved), "")
    return (authorization.gateway, reference) if reference else None


def own_place(payment: Payment) -> Place:
    """Where the hold is that the payment counts on, or last counted on."""
    return payment.gateway, payment.gateway_reference


def orphans(payment: Payment, attempts: Iterable[Attempt]) -> dict[Place, Attempt]:
    """The authorizations behind holds that the payment does not count on, given back or not."""
    made = ((hold_of(one), one) for one in attempts if one.operation == "authorize")
    return {place: one for place, one in made if place is not None and place != own_place(payment)}
