"""The rules of charges: authorize, capture, void, refund, and what happens to them later.

Every refusal for a business reason is a record with status `declined`, so it can be looked up like a success.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from app.kit.ids import new_id
from app.sandbox.desk import Desk, card_fee
from app.sandbox.methods import DECLINED, FAILED, PENDING, REQUIRES_ACTION, SUCCEEDED, Reply
from app.sandbox.records import Charge, Movement, parsed, timestamp
from app.sandbox.refusals import NotNow

AUTHORIZATION_LASTS = timedelta(days=7)
_HELD = ("authorized", "partially_captured")
_ID_PREFIX = {"capture": "cap", "void": "vd", "refund": "re"}


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    key: str
    reference: str
    amount: int
    currency: str
    payment_method: str
    return_url: str = ""
    auto_capture: bool = False


@dataclass(frozen=True, slots=True)
class MovementOrder:
    """A capture, void or refund; `amount` None means all there is, as it always does for a void."""

    key: str
    kind: str
    charge: str
    amount: int | None = None
    currency: str = ""
    final: bool = True
    reason: str = ""


def authorize(desk: Desk, order: ChargeOrder, reply: Reply, public_url: str) -> Charge:
    charge_id = new_id("ch")
    charge = Charge(
        id=charge_id,
        charge=charge_id,
        key=order.key,
        reference=order.reference,
        amount=order.amount,
        currency=order.currency,
        payment_method=order.payment_method,
        status=reply.status,
        return_url=order.return_url,
        action_url=f"{public_url}/actions/{charge_id}" if reply.status == REQUIRES_ACTION else "",
        auto_capture=order.auto_capture,
        created_at=timestamp(desk.now),
        expires_at=timestamp(desk.now + AUTHORIZATION_LASTS),
    )
    desk.books.add(charge)
    desk.later(AUTHORIZATION_LASTS.total_seconds(), "expire_charge", charge_id)
    if reply.then:
        desk.later(desk.config.settle_seconds, "settle_charge", charge_id)
    if reply.status in (SUCCEEDED, DECLINED):
        charge = _decide(desk, charge, reply.status, reply.code)
    return charge


def _decide(desk: Desk, charge: Charge, status: str, code: str) -> Charge:
    """The issuer has spoken: hold the amount, or not."""
    if status == DECLINED:
        charge = replace(charge, status=DECLINED, decline_code=code)
        desk.books.put(charge)
        return charge
    charge = replace(charge, status="authorized", authorized=charge.amount)
    desk.books.put(charge)
    if charge.auto_capture:
        order = MovementOrder(f"{charge.key}:capture", "capture", charge.id)
        move(desk, order, desk.behaviour(charge.payment_method).capture)
    return desk.charge(charge.id)


def settle_charge(desk: Desk, charge_id: str) -> None:
    """A charge that was pending gets its decision."""
    charge = desk.charge(charge_id)
    if charge.status == PENDING:
        reply = desk.behaviour(charge.payment_method).authorize
        charge = _decide(desk, charge, reply.then, reply.code)
        desk.announce("charge.updated", charge, {"status": charge.status})


def complete_action(desk: Desk, charge_id: str, *, success: bool) -> Charge:
    """The customer finished or failed the authentication."""
    charge = desk.charge(charge_id)
    if charge.status != REQUIRES_ACTION:
        raise NotNow(f"Charge {charge_id} is {charge.status}; it waits for no authentication")
    status, code = (SUCCEEDED, "") if success else (DECLINED, "authentication_failed")
    charge = _decide(desk, charge, status, code)
    desk.announce("charge.action_completed", charge, {"status": charge.status})
    return charge


def expire_charge(desk: Desk, charge_id: str) -> None:
    charge = desk.charge(charge_id)
    if charge.status in (PENDING, REQUIRES_ACTION):
        charge = replace(charge, status="expired")
    elif charge.status in _HELD:
        status = "captured" if charge.captured else "expired"
        charge = replace(charge, status=status, released=charge.released + charge.remaining)
    else:
        return
    desk.books.put(charge)
    desk.announce("charge.updated", charge, {"status": charge.status})


def move(desk: Desk, order: MovementOrder, reply: Reply) -> Movement:
    """Carry out a capture, void or refund, or record why it is declined."""
    charge = desk.charge(order.charge)
    available = _available(desk, charge, order.kind)
    amount = available if order.amount is None else order.amount
    code = _objection(desk, charge, order, amount, available) or (reply.code if reply.status == DECLINED else "")
    movement = Movement(
        id=new_id(_ID_PREFIX[order.kind]),
        charge=charge.id,
        key=order.key,
        kind=order.kind,
        amount=amount,
        currency=charge.currency,
        status=DECLINED if code else reply.status,
        created_at=timestamp(desk.now),
        decline_code=code,
        reason=order.reason,
        final=order.kind == "capture" and order.final,
    )
    desk.books.add(movement)
    if code:
        return movement
    if reply.then:
        desk.later(desk.config.settle_seconds, "settle_movement", movement.id, reply.then)
    return _apply(desk, movement) if reply.status == SUCCEEDED else movement


def _in_flight(desk: Desk, charge: Charge, kind: str) -> int:
    movements = desk.books.of_charge(Movement, charge.id)
    return sum(m.amount for m in movements if m.kind == kind and m.status == PENDING)


def _available(desk: Desk, charge: Charge, kind: str) -> int:
    if kind == "refund":
        return charge.captured - charge.refunded - charge.disputed - _in_flight(desk, charge, "refund")
    return charge.remaining - _in_flight(desk, charge, "capture")


def _objection(desk: Desk, charge: Charge, order: MovementOrder, amount: int, available: int) -> str:
    """The decline code of a movement that may not happen, or nothing."""
    if order.currency and order.currency != charge.currency:
        return "currency_mismatch"
    if order.kind == "refund":
        return _objection_to_refund(charge, amount, available)
    if charge.status == "expired" or desk.now >= parsed(charge.expires_at):
        return "authorization_expired"
    if order.kind == "void":
        if charge.status == "voided":
            return "already_voided"
        cancelable = (*_HELD, PENDING, REQUIRES_ACTION)
        return "" if charge.status in cancelable else "nothing_to_void"
    if charge.status not in _HELD:
        return "not_authorized"
    return "" if 0 < amount <= available else "amount_exceeds_authorized"


def _objection_to_refund(charge: Charge, amount: int, available: int) -> str:
    if not charge.captured:
        return "not_captured"
    if 0 < amount <= available:
        return ""
    return "charge_disputed" if charge.disputed else "amount_exceeds_captured"


def _apply(desk: Desk, movement: Movement) -> Movement:
    """The money moves: change the charge and write the settlement line."""
    charge = desk.charge(movement.charge)
    movement = replace(movement, status=SUCCEEDED)
    if movement.kind == "capture":
        movement = replace(movement, fee=card_fee(movement.amount))
        charge = replace(charge, captured=charge.captured + movement.amount)
        if movement.final:
            charge = replace(charge, released=charge.released + charge.remaining)
        desk.write_line("capture", movement, movement.amount, movement.fee)
        _dispute_later(desk, charge)
    elif movement.kind == "refund":
        charge = replace(charge, refunded=charge.refunded + movement.amount)
        desk.write_line("refund", movement, -movement.amount)
    else:
        charge = replace(charge, voided=charge.voided + movement.amount)
    desk.books.put(movement)
    desk.books.put(replace(charge, status=_status(charge)))
    return movement


def _status(charge: Charge) -> str:
    if charge.remaining:
        return "partially_captured" if charge.captured else "authorized"
    return "captured" if charge.captured else "voided"


def _dispute_later(desk: Desk, charge: Charge) -> None:
    stage = desk.behaviour(charge.payment_method).disputed_as
    if stage and charge.status == "authorized":
        desk.later(desk.config.dispute_seconds, "open_dispute", charge.id, stage)


def settle_movement(desk: Desk, movement_id: str, status: str) -> Movement:
    """A pending movement succeeds or fails; a refund may fail even after it had succeeded."""
    movement = desk.movement(movement_id)
    if status == SUCCEEDED and movement.status == PENDING:
        movement = _apply(desk, movement)
    elif status == FAILED and movement.status in (PENDING, SUCCEEDED) and movement.kind == "refund":
        movement = _fail_refund(desk, movement)
    else:
        raise NotNow(f"{movement.kind.title()} {movement_id} is {movement.status} and cannot become {status}")
    facts = {"key": movement.key, movement.kind: movement.id, "status": movement.status}
    desk.announce(f"{movement.kind}.updated", desk.charge(movement.charge), facts)
    return movement


def _fail_refund(desk: Desk, movement: Movement) -> Movement:
    charge = desk.charge(movement.charge)
    if movement.status == SUCCEEDED:
        desk.books.put(replace(charge, refunded=charge.refunded - movement.amount))
        desk.write_line("refund_failed", movement, movement.amount)
    movement = replace(movement, status=FAILED, decline_code="refund_refused")
    desk.books.put(movement)
    return movement
