"""How each payment method behaves, as one table: adding a behaviour is adding a line."""

from dataclasses import dataclass
from typing import Final

from app.sandbox.faults import FAULTS, Fault

SUCCEEDED: Final = "succeeded"
PENDING: Final = "pending"
REQUIRES_ACTION: Final = "requires_action"
DECLINED: Final = "declined"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one verb: the status at once, the status some seconds later, and what the wire does meanwhile."""

    status: str = SUCCEEDED
    code: str = ""
    then: str = ""
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`disputed_as` is the stage of the dispute that follows a capture."""

    authorize: Reply = Reply()
    capture: Reply = Reply()
    void: Reply = Reply()
    refund: Reply = Reply()
    disputed_as: str = ""

    def reply(self, verb: str) -> Reply:
        replies = {"authorize": self.authorize, "capture": self.capture, "void": self.void, "refund": self.refund}
        return replies.get(verb, Reply())


def _declined(code: str) -> Reply:
    return Reply(DECLINED, code)


def _faulty(name: str) -> Reply:
    return Reply(fault=FAULTS[name])


_HEALTHY: Final = Behaviour()
_UNKNOWN: Final = Behaviour(authorize=_declined("invalid_payment_method"))

METHODS: Final[dict[str, Behaviour]] = {
    "pm_card_visa": _HEALTHY,
    "pm_card_mastercard": _HEALTHY,
    "pm_card_high_risk": _HEALTHY,
    "pm_card_insufficient_funds": Behaviour(authorize=_declined("insufficient_funds")),
    "pm_card_do_not_honor": Behaviour(authorize=_declined("do_not_honor")),
    "pm_card_stolen": Behaviour(authorize=_declined("stolen_card")),
    "pm_card_expired": Behaviour(authorize=_declined("expired_card")),
    "pm_card_3ds": Behaviour(authorize=Reply(REQUIRES_ACTION)),
    "pm_card_pending": Behaviour(authorize=Reply(PENDING, then=SUCCEEDED)),
    "pm_card_pending_declined": Behaviour(authorize=Reply(PENDING, "do_not_honor", then=DECLINED)),
    "pm_card_unavailable": Behaviour(authorize=_faulty("unavailable")),
    "pm_card_timeout_applied": Behaviour(authorize=_faulty("timeout_applied")),
    "pm_card_timeout_lost": Behaviour(authorize=_faulty("timeout_lost")),
    "pm_card_dispute": Behaviour(disputed_as="chargeback"),
    "pm_card_inquiry": Behaviour(disputed_as="inquiry"),
    "pm_card_capture_fails": Behaviour(capture=_declined("capture_refused")),
    "pm_card_capture_pending": Behaviour(capture=Reply(PENDING, then=SUCCEEDED)),
    "pm_card_capture_timeout": Behaviour(capture=_faulty("timeout_applied")),
    "pm_card_void_timeout": Behaviour(void=_faulty("timeout_applied")),
    "pm_card_refund_pending": Behaviour(refund=Reply(PENDING, then=SUCCEEDED)),
    "pm_card_refund_fails": Behaviour(refund=Reply(PENDING, "refund_refused", then=FAILED)),
    "pm_card_refund_fails_late": Behaviour(refund=Reply(SUCCEEDED, "refund_refused", then=FAILED)),
    "pm_card_refund_declined": Behaviour(refund=_declined("refund_refused")),
    "pm_card_refund_timeout": Behaviour(refund=_faulty("timeout_applied")),
}


def behaviour(payment_method: str, healthy_for: frozenset[str]) -> Behaviour:
    if payment_method in healthy_for:
        return _HEALTHY
    return METHODS.get(payment_method, _UNKNOWN)
