"""What follows after an order was placed: the customer, the merchant's system, its people and the bank act.

Everything is looked at before it is done and sent under the order's own keys, so each of these can stop anywhere and
be told again from its start.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from app.errors import Unavailable
from app.kit.database import Json
from app.payments.outcomes import UNRESOLVED
from app.traffic.shop import Shop

_LOOK_EVERY_SECONDS: Final = 0.3
#: Longer than the sandboxes take for anything they do by themselves, and than their unknowns take to be found.
PATIENCE_SECONDS: Final = 45
#: How often at most a merchant asks for a capture that was not sent.
_ASKED_AGAIN: Final = 20
ENDED: Final = ("succeeded", "canceled", "failed", "expired")
#: Of disputes.
CLOSED: Final = ("won", "lost", "accepted", "expired", "canceled", "prevented")
EVIDENCE: Final = {
    "delivery": "Handed over to the customer, signature on file",
    "communication": "The customer wrote on the day after delivery and did not object",
}


class Subject(Protocol):
    """What has to be known of an order to act on it."""

    @property
    def amount(self) -> int: ...
    @property
    def part(self) -> int: ...
    def key(self, step: str) -> str: ...


Following = Callable[[Shop, Subject, str], None]


def nothing(_shop: Shop, _order: Subject, _payment: str) -> None:
    """It stays as the flow leaves it."""


def authenticate(shop: Shop, _order: Subject, payment: str) -> None:
    _authenticate(shop, payment, success=True)


def fail_to_authenticate(shop: Shop, _order: Subject, payment: str) -> None:
    _authenticate(shop, payment, success=False)


def _authenticate(shop: Shop, payment: str, *, success: bool) -> None:
    shown = reach(shop, payment, "requires_action")
    if shown["status"] == "requires_action":
        attempt = shown["attempts"][-1]
        path = f"charges/{attempt['gateway_reference']}/authenticate"
        shop.play(attempt["gateway"], path, {"success": success})


def capture(shop: Shop, order: Subject, payment: str) -> None:
    if _capturable(shop, payment):
        shop.post(f"/v1/payments/{payment}/capture", order.key("capture"))


def capture_part(shop: Shop, order: Subject, payment: str) -> None:
    """Less than was authorized is delivered; the rest goes back to the customer."""
    if _capturable(shop, payment):
        shop.post(f"/v1/payments/{payment}/capture", order.key("capture"), {"amount": order.part, "final": True})


def capture_in_parts(shop: Shop, order: Subject, payment: str) -> None:
    """Two parcels; the second one takes what is left."""
    if _capturable(shop, payment) and _take_first_part(shop, order, payment):
        body = {"amount": order.amount - order.part}
        shop.post(f"/v1/payments/{payment}/capture", order.key("capture-2"), body)


def _take_first_part(shop: Shop, order: Subject, payment: str) -> bool:
    """Whether it was taken. A capture that surely was not sent is not repeated by the flow, so it is asked for anew."""
    for number in range(1, _ASKED_AGAIN + 1):
        body = {"amount": order.part, "final": False}
        asked = shop.post(f"/v1/payments/{payment}/capture", order.key(f"capture-1-{number}"), body)
        look = partial(_outcome, shop, payment, asked["attempts"][-1]["id"])
        outcome = _until(look, f"the outcome of a capture of {payment}", shop)
        if outcome != "not_sent":
            return bool(outcome == "approved")
    return False


def _outcome(shop: Shop, payment: str, attempt_id: str) -> str | None:
    """What became of the attempt, once that is known."""
    (attempt,) = (one for one in shop.get(f"/v1/payments/{payment}")["attempts"] if one["id"] == attempt_id)
    outcome = attempt["outcome"]
    return None if outcome is None or outcome in UNRESOLVED else str(outcome)


def _capturable(shop: Shop, payment: str) -> bool:
    at_rest = ("requires_capture", "partially_captured")
    return reach(shop, payment, *at_rest)["status"] in at_rest


def cancel(shop: Shop, order: Subject, payment: str) -> None:
    if _capturable(shop, payment):
        shop.post(f"/v1/payments/{payment}/cancel", order.key("cancel"), {"reason": "requested_by_customer"})


def refund(shop: Shop, order: Subject, payment: str) -> None:
    _refund(shop, order, payment, ("refund", order.amount))


def refund_part(shop: Shop, order: Subject, payment: str) -> None:
    _refund(shop, order, payment, ("refund", order.part))


def refund_in_parts(shop: Shop, order: Subject, payment: str) -> None:
    _refund(shop, order, payment, ("refund-1", order.part), ("refund-2", order.amount - order.part))


def refund_approved(shop: Shop, order: Subject, payment: str) -> None:
    for asked in _refund(shop, order, payment, ("refund", order.amount)):
        _decide(shop, order, asked, "refund-approval", "reviewer", "approve")


def refund_rejected(shop: Shop, order: Subject, payment: str) -> None:
    for asked in _refund(shop, order, payment, ("refund", order.amount)):
        _decide(shop, order, asked, "refund-approval", "reviewer2", "reject", "wrong_amount")


def _refund(shop: Shop, order: Subject, payment: str, *parts: tuple[str, int]) -> list[str]:
    """Ids of the refunds, one per part (step, amount in minor units)."""
    if reach(shop, payment, "succeeded")["status"] != "succeeded":
        return []
    asked = [(step, {"payment": payment, "amount": amount}) for step, amount in parts]
    return [shop.post("/v1/refunds", order.key(step), body)["id"] for step, body in asked]


def approve(shop: Shop, order: Subject, payment: str) -> None:
    if _in_review(shop, payment):
        _decide(shop, order, payment, "review", "reviewer", "approve", "customer_confirmed")


def approve_by_two(shop: Shop, order: Subject, payment: str) -> None:
    if _in_review(shop, payment):
        _decide(shop, order, payment, "review", "reviewer", "approve", "customer_confirmed")
        _decide(shop, order, payment, "second-approval", "reviewer2", "approve", "known_customer")


def reject(shop: Shop, order: Subject, payment: str) -> None:
    if _in_review(shop, payment):
        _decide(shop, order, payment, "review", "reviewer2", "reject", "fraud_suspected")


def _in_review(shop: Shop, payment: str) -> bool:
    return bool(reach(shop, payment, "requires_review")["status"] == "requires_review")


def win_dispute(shop: Shop, order: Subject, payment: str) -> None:
    _contest(shop, order, payment, "won")


def lose_dispute(shop: Shop, order: Subject, payment: str) -> None:
    _contest(shop, order, payment, "lost")


def accept_dispute(shop: Shop, order: Subject, payment: str) -> None:
    for dispute in _disputes(shop, payment):
        if dispute["status"] == "needs_response":
            _decide(shop, order, dispute["id"], "dispute-answer", "reviewer", "accept", "customer_right")


def _contest(shop: Shop, order: Subject, payment: str, result: str) -> None:
    for dispute in _disputes(shop, payment):
        path = f"/v1/disputes/{dispute['id']}"
        if dispute["status"] == "needs_response":
            shop.post(f"{path}/evidence", order.key("evidence"), {"evidence": EVIDENCE}, "reviewer")
            _decide(shop, order, dispute["id"], "dispute-answer", "reviewer", "contest")
        _until(partial(_look, shop, path, "under_review", *CLOSED), f"{path} to be under review", shop)
        _bank_decides(shop, payment, result)


def _bank_decides(shop: Shop, payment: str, result: str) -> None:
    """The sandbox knows a dispute by its own id, which is found at the charge."""
    for attempt in shop.get(f"/v1/payments/{payment}")["attempts"]:
        if attempt["operation"] == "authorize" and attempt["outcome"] == "approved":
            for charge in shop.charges(attempt["gateway"]):
                for dispute in charge["disputes"] if charge["id"] == attempt["gateway_reference"] else ():
                    shop.play(attempt["gateway"], f"disputes/{dispute['id']}/decide", {"status": result})


def _disputes(shop: Shop, payment: str) -> list[Json]:
    """The disputes of a captured payment, once there are any; none when it was never captured."""
    if reach(shop, payment, "succeeded")["status"] != "succeeded":
        return []
    found = _until(lambda: shop.get("/v1/disputes", payment=payment)["data"], f"a dispute of {payment}", shop)
    return list(found)


def _decide(shop: Shop, order: Subject, subject: str, form: str, who: str, decision: str, reason: str = "") -> None:
    """Complete the task with this form about `subject`, unless an earlier run did; a flow may have asked once more."""

    def asked() -> list[Json]:
        return [task for task in shop.get("/v1/tasks", subject=subject)["data"] if task["form"] == form]

    body = {"decision": decision, "reason": reason, "note": "Decided by the demo"}
    for task in _until(asked, f"the task {form!r} about {subject}", shop):
        if task["status"] in ("open", "claimed"):
            shop.post(f"/v1/tasks/{task['id']}/complete", order.key(f"{form}-{task['id']}"), body, who)


def reach(shop: Shop, payment: str, *wanted: str) -> Json:
    """The payment once it has one of the statuses `wanted`, has ended, or unexpectedly waits for a review."""
    enough = {*wanted, *ENDED, "requires_review"}
    look = partial(_look, shop, f"/v1/payments/{payment}", *enough)
    return dict(_until(look, f"{payment} to be {' or '.join(wanted)}", shop))


def _look(shop: Shop, path: str, *statuses: str) -> Json | None:
    """What is at `path`, if it has one of the statuses."""
    shown = shop.get(path)
    return shown if shown["status"] in statuses else None


def _until(look: Callable[[], Any], what: str, shop: Shop) -> Any:
    """The first true value of `look`; Unavailable after PATIENCE_SECONDS."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > end:
            raise Unavailable(f"Waited {PATIENCE_SECONDS} seconds in vain for {what}")
        shop.pause(_LOOK_EVERY_SECONDS)
    return found
