"""The mix of a day as one table: what happens, how often, how it is paid, and what follows."""

from dataclasses import dataclass
from typing import Final

from app.traffic import follow
from app.traffic.follow import Following


@dataclass(frozen=True, slots=True)
class Story:
    """`manual`: captured on request. `large`: above the demo merchant's limits, which ask for a second person."""

    name: str
    weight: int
    payment_method: str = "pm_card_visa"
    then: Following = follow.nothing
    manual: bool = False
    large: bool = False


STORIES: Final = (
    Story("paid at once", 30),
    Story("paid at once, other card", 10, "pm_card_mastercard"),
    Story("paid after 3-D Secure", 5, "pm_card_3ds", follow.authenticate),
    Story("3-D Secure failed", 1, "pm_card_3ds", follow.fail_to_authenticate),
    Story("3-D Secure abandoned", 2, "pm_card_3ds"),
    Story("settles later", 2, "pm_card_pending"),
    Story("declined later", 1, "pm_card_pending_declined"),
    Story("declined: no funds", 4, "pm_card_insufficient_funds"),
    Story("declined: do not honor", 2, "pm_card_do_not_honor"),
    Story("declined: stolen card", 1, "pm_card_stolen"),
    Story("declined: expired card", 1, "pm_card_expired"),
    Story("blocked by a rule", 1, "pm_card_blocked"),
    Story("first gateway down", 2, "pm_card_unavailable"),
    Story("no answer, charged", 2, "pm_card_timeout_applied"),
    Story("no answer, not charged", 1, "pm_card_timeout_lost"),
    Story("captured later", 4, then=follow.capture, manual=True),
    Story("captured in part", 2, then=follow.capture_part, manual=True),
    Story("captured in several parts", 2, then=follow.capture_in_parts, manual=True),
    Story("authorized only", 2, manual=True),
    Story("canceled", 2, then=follow.cancel, manual=True),
    Story("canceled without answer", 1, "pm_card_void_timeout", follow.cancel, manual=True),
    Story("capture refused", 1, "pm_card_capture_fails"),
    Story("capture pending", 1, "pm_card_capture_pending"),
    Story("capture without answer", 1, "pm_card_capture_timeout"),
    Story("refunded", 4, then=follow.refund),
    Story("refunded in part", 3, then=follow.refund_part),
    Story("refunded in several parts", 2, then=follow.refund_in_parts),
    Story("refund settles later", 1, "pm_card_refund_pending", follow.refund),
    Story("refund fails", 1, "pm_card_refund_fails", follow.refund),
    Story("refund declined", 1, "pm_card_refund_declined", follow.refund_part),
    Story("refund fails late", 1, "pm_card_refund_fails_late", follow.refund_part),
    Story("refund without answer", 1, "pm_card_refund_timeout", follow.refund),
    Story("large refund approved", 1, then=follow.refund_approved, large=True),
    Story("large refund rejected", 1, then=follow.refund_rejected, large=True),
    Story("large refund waiting", 1, then=follow.refund, large=True),
    Story("review approved", 3, "pm_card_high_risk", follow.approve),
    Story("review rejected", 2, "pm_card_high_risk", follow.reject),
    Story("large review approved", 1, "pm_card_high_risk", follow.approve_by_two, large=True),
    Story("large review half approved", 1, "pm_card_high_risk", follow.approve, large=True),
    Story("review waiting", 3, "pm_card_high_risk"),
    Story("dispute won", 1, "pm_card_dispute", follow.win_dispute),
    Story("dispute lost", 1, "pm_card_dispute", follow.lose_dispute),
    Story("dispute accepted", 1, "pm_card_dispute", follow.accept_dispute),
    Story("dispute waiting", 1, "pm_card_dispute"),
    Story("inquiry answered", 1, "pm_card_inquiry", follow.win_dispute),
    Story("inquiry waiting", 1, "pm_card_inquiry"),
)
