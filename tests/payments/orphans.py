"""Payments for which a gateway holds or has taken what nobody counts on, and what is asked about them."""

from sqlalchemy import select, update

from app.access.actor import Role
from app.engine.models import Instance
from app.gateways.port import GatewayResult, Outcome
from app.kit.money import Money
from app.payments import held, moves
from app.payments.booking import settle
from app.payments.models import Attempt, Payment
from app.payments.moves import Move, Offer
from app.payments.queries import lock_payment
from app.payments.recovery import find_attempt
from app.payments.verbs import LOOKUP, Case
from tests.till import MERCHANT, Till


def second_hold(till: Till) -> tuple[str, str]:
    """A payment that holds its amount at sandbox_a and, by an answer nobody waited for, once more at sandbox_b."""
    payment = till.create(capture_method="manual")
    hasty = till.begin("payment.authorize", payment, "hasty#1", gateway="sandbox_b")
    answer = hasty.call()  # type: ignore[union-attr]
    attempt = till.attempt(payment, "authorize").id
    _set(till, attempt, state="finished", outcome="not_sent")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    _set(till, attempt, state="begun", outcome=None)
    till.finish(hasty, answer, payment, "hasty#1")  # type: ignore[arg-type]
    return payment, attempt


def found_after_all(till: Till) -> tuple[str, str]:
    """The same, where two people had found that sandbox_b holds nothing, and were wrong."""
    payment = till.create(capture_method="manual")
    till.servers["sandbox_b"].fault("timeout_applied", "authorize")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_b").facts["attempt"]
    for name in ("ada", "bob"):
        till.decide(payment, name, "not_charged", attempt=attempt)
    till.run("payment.resolve", payment, attempt=attempt, charged=False, by=["usr_ada", "usr_bob"], note="No")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    till.run("payment.lookup", payment, attempt=attempt, again=True)
    return payment, attempt


def late_hold(till: Till) -> tuple[str, str]:
    """A payment that was ended by hand while it was not known that a hold had been made for it."""
    payment = till.create("pm_card_timeout_applied")
    attempt = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    end_by_hand(till)
    till.run("payment.lookup", payment, attempt=attempt)
    return payment, attempt


def late_capture(till: Till) -> str:
    payment = till.create("pm_card_capture_timeout")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    attempt = till.fails("payment.capture", payment).facts["attempt"]
    end_by_hand(till)
    till.run("payment.lookup", payment, attempt=attempt)
    return payment


def late_hold_elsewhere(till: Till, payment: str) -> None:
    """sandbox_b has authorized what nobody waits for any more."""
    with till.database.begin() as tx:
        ended = lock_payment(tx, MERCHANT, payment)
        begun = {"id": "att_late", "instance_id": ended.instance_id, "activation": "late", "state": "begun"}
        about = {"merchant_id": MERCHANT, "payment_id": payment, "operation": "authorize", "gateway": "sandbox_b"}
        money = {"amount": 1000, "currency": "EUR", "begun_at": tx.now(), "created_at": tx.now()}
        held.add(tx, Attempt(**begun, **about, **money))
        tx.session.flush()
    say(till, payment, "att_late", "ch_late")


def say(till: Till, payment: str, attempt: str, charge: str) -> None:
    """The gateway is asked and says that it authorized the attempt, as this charge."""
    result = GatewayResult(Outcome.APPROVED, gateway_reference=charge, amount=Money(1000, "EUR"))
    with till.database.begin() as tx:
        case = Case(tx, lock_payment(tx, MERCHANT, payment), find_attempt(tx, MERCHANT, attempt))
        settle(case, result, LOOKUP)


def _set(till: Till, attempt: str, **values: object) -> None:
    with till.database.begin() as tx:
        tx.execute(update(Attempt).where(Attempt.id == attempt).values(**values))


def end_by_hand(till: Till) -> None:
    """What somebody with SQL at hand might do in a hurry."""
    with till.database.begin() as tx:
        tx.execute(update(Payment).values(status="canceled", status_reason=""))


def offered(till: Till) -> list[Offer]:
    """The moves of the one incident."""
    (found,) = offered_by_charge(till).values()
    return found


def offered_by_charge(till: Till) -> dict[str, list[Offer]]:
    """The moves of each incident, by the charge that it is about."""
    incidents = till.incidents()
    with till.database.begin() as tx:
        found = moves.moves_of(tx, incidents)
    return {one.details.get("gateway_reference", ""): found[one.id] for one in incidents}


def open_charges(till: Till) -> list[str]:
    """The charges that an open incident tells of."""
    return [one.details["gateway_reference"] for one in till.incidents() if one.status == "open"]


def names(till: Till) -> list[str]:
    return [str(one.move) for one in offered(till)]


def take(till: Till, move: Move, name: str = "omar", role: Role = Role.OPERATOR) -> Offer:
    (incident,) = till.incidents()
    with till.database.begin() as tx:
        return moves.take(tx, till.person(name, role), incident.id, move)


def started(till: Till, process: str) -> list[Instance]:
    with till.database.begin() as tx:
        return list(tx.session.scalars(select(Instance).where(Instance.process == process)))


def amounts(till: Till, payment: str) -> tuple[str, int, int]:
    found = till.payment(payment)
    return found.status, found.amount_capturable, found.amount_captured
