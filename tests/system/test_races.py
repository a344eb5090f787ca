"""Things that happen at the same moment, in every order: one of them wins, nothing is lost, and the books agree."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.access.actor import Role
from app.engine import inbox, people
from app.engine.models import Incident, Message
from app.engine.people import Completion
from app.errors import AppError, Conflict
from app.kit.crashpoint import Point
from app.kit.database import Database, Tx
from app.operations import OperationContext, Registry, registry
from app.payments import service
from tests.house import House
from tests.system.crash import at
from tests.system.people import APPROVE, decide


def held(house: House) -> str:
    payment_id = house.pay(capture_method="manual")
    house.run()
    return payment_id


def ask_capture(house: House, payment_id: str, amount: int | None = None, *, final: bool = True) -> None:
    with house.database.begin() as tx:
        service.request_capture(tx, house.shop, payment_id, amount, final=final)


def ask_cancel(house: House, payment_id: str) -> None:
    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "requested_by_customer")


def money(house: House, payment_id: str) -> tuple[str, int, int, int]:
    payment = house.payment(payment_id)
    return payment.status, payment.amount_capturable, payment.amount_capturing, payment.amount_captured


# Messages


def test_a_capture_asked_for_during_a_review_is_made_after_it(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk", capture_method="manual")
    house.run()
    ask_capture(house, payment_id, 600)
    house.run()
    assert house.payment(payment_id).status == "requires_review", "the review is not passed over"

    decide(house, "rosa", payment_id, APPROVE)
    assert money(house, payment_id) == ("succeeded", 0, 0, 600)
    house.check_books()


def test_a_payment_that_captures_by_itself_takes_no_capture_request_during_its_review(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk")
    house.run()
    with pytest.raises(Conflict):
        ask_capture(house, payment_id)

    decide(house, "rosa", payment_id, APPROVE)
    assert money(house, payment_id) == ("succeeded", 0, 0, 1000)


def test_the_same_message_twice_is_taken_once(house: House) -> None:
    payment_id = held(house)
    with house.database.begin() as tx:
        told = [
            inbox.publish_message(tx, house.system.merchant_id, "cancel.requested", payment_id, {"reason": "x"}, "one")
            for _ in range(2)
        ]
    house.run()

    assert told == [True, False]
    assert house.payment(payment_id).status == "canceled"


@pytest.mark.parametrize("capture_first", [True, False])
def test_capture_and_cancel_asked_for_together_leave_nothing_reserved(house: House, capture_first: bool) -> None:
    payment_id = held(house)
    with house.database.begin() as tx:
        if capture_first:
            service.request_capture(tx, house.shop, payment_id, 400, final=False)
        service.request_cancel(tx, house.shop, payment_id, "requested_by_customer")
        if not capture_first:
            with pytest.raises(service.NotCapturable, match="asked to cancel"):
                service.request_capture(tx, house.shop, payment_id, 400, final=False)
    house.run()

    expected = ("succeeded", 0, 0, 400) if capture_first else ("canceled", 0, 0, 0)
    assert money(house, payment_id) == expected
    (charge,) = house.charges()
    assert (charge["captured"], charge["voided"]) == ((400, 600) if capture_first else (0, 1000))
    assert house.incidents() == []
    house.check_books()


@pytest.mark.parametrize("house", [3.0], indirect=True)
def test_a_capture_asked_for_while_the_hold_is_being_given_back_is_refused(house: House) -> None:
    payment_id = held(house)
    house.a.fault("slow", "void")
    ask_cancel(house, payment_id)
    house.loop.turn()
    with pytest.raises(Conflict, match="given back"):
        ask_capture(house, payment_id)
    house.run()

    assert money(house, payment_id) == ("canceled", 0, 0, 0)
    house.check_books()


def test_a_message_for_a_wait_that_is_being_left_is_kept_for_the_next_one(house: House) -> None:
    payment_id = held(house)
    ask_capture(house, payment_id, 300, final=False)
    late = threading.Thread(target=ask_capture, args=(house, payment_id, 200), kwargs={"final": False})

    def arrive() -> None:
        late.start()
        time.sleep(0.2)

    with at(Point.BEFORE_STEP_COMMIT, action=arrive):
        house.loop.turn()
        late.join()
    with house.database.begin() as tx:
        assert tx.session.query(Message).filter(Message.delivered_to.is_(None)).count() == 1
    house.run()

    assert money(house, payment_id) == ("partially_captured", 500, 0, 500)
    house.check_books()


def test_a_message_left_with_an_instance_that_ended_is_kept_for_others(house: House) -> None:
    payment_id = held(house)
    instance_id = house.instance(payment_id).id
    ask_cancel(house, payment_id)
    with house.database.begin() as tx:
        inbox.cancel_instance(tx, house.person("omar", Role.OPERATOR), instance_id, "by mistake")
        # The cancellation lies before the message, so the message comes to an instance that has ended.
        tx.execute(text("UPDATE inbox SET id = -1 WHERE kind = 'cancel'"))
    house.run()

    assert house.instance(payment_id).status == "canceled"
    with house.database.begin() as tx:
        (message,) = tx.session.query(Message)
        assert (message.name, message.delivered_to) == ("cancel.requested", None)


# People, timers, operators


def test_a_decision_taken_at_the_moment_its_timer_fires_counts(house: House) -> None:
    payment_id = house.paid(amount=100_000)
    refund_id = house.refund(payment_id, 60_000)
    house.run()
    house.clock.advance(timedelta(days=3, seconds=1))
    decide(house, "ravi", refund_id, Completion("approve"))

    assert house.get_refund(refund_id).status == "succeeded"
    house.check_books()


def test_of_ten_people_deciding_at_once_one_decides(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk")
    house.run()
    task = house.task(payment_id)
    crowd = [house.person(f"person{number}") for number in range(10)]
    ready = threading.Barrier(len(crowd))

    def complete(number: int) -> bool:
        ready.wait()
        try:
            with house.database.begin() as tx:
                decision = APPROVE if number % 2 else Completion("reject", "fraud_suspected")
                people.complete(tx, crowd[number], task.id, decision)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(len(crowd)) as pool:
        won = [number for number, decided in enumerate(pool.map(complete, range(len(crowd)))) if decided]
    house.run()

    assert len(won) == 1
    assert house.payment(payment_id).status == ("succeeded" if won[0] % 2 else "canceled")
    house.check_books()


@pytest.mark.parametrize("house", [3.0], indirect=True)
def test_an_instance_canceled_while_a_gateway_is_asked_hears_the_answer_first(house: House) -> None:
    house.a.fault("slow", "authorize")
    payment_id = house.pay(capture_method="manual")
    house.loop.turn()
    assert not house.loop.idle
    with house.database.begin() as tx:
        inbox.cancel_instance(tx, house.person("omar", Role.OPERATOR), house.instance(payment_id).id, "by mistake")
    house.loop.turn()
    assert house.instance(payment_id).status == "running", "it waits for the gateway"
    house.run()

    assert house.instance(payment_id).status == "canceled"
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "approved")]
    assert [incident.kind for incident in house.incidents()] == ["flow_ended"]
    house.check_books()


def test_what_is_unknown_when_its_flow_is_canceled_is_still_found_out(house: House) -> None:
    payment_id = house.pay("pm_card_timeout_applied", capture_method="manual")
    house.run()
    assert house.payment(payment_id).status_reason == "outcome_unknown"
    with house.database.begin() as tx:
        instance_id = house.payment(payment_id).instance_id
        assert instance_id is not None
        inbox.cancel_instance(tx, house.person("omar", Role.OPERATOR), instance_id, "by mistake")
    house.run()
    house.later(seconds=3)
    house.eventually(lambda: house.outcomes(payment_id)[0][2] == "approved")

    assert house.payment(payment_id).amount_capturable == 1000
    house.check_books()


def test_a_canceled_refund_flow_frees_what_it_reserved(house: House) -> None:
    payment_id = house.paid(amount=100_000)
    refund_id = house.refund(payment_id, 60_000)
    house.run()
    with house.database.begin() as tx:
        inbox.cancel_instance(tx, house.person("omar", Role.OPERATOR), house.instance(refund_id).id, "by mistake")
    house.run()

    assert house.get_refund(refund_id).status == "canceled"
    assert house.payment(payment_id).amount_refunding == 0
    house.check_books()


# Bugs


class OutOfOrder(AppError):
    code = "out_of_order"
    title = "The velocity store is out of order"
    status = 503


def with_broken_risk(house: House, error: Exception, only: str) -> list[str]:
    """The operation `risk.facts` raises for the payments in the list that is returned, until it is emptied."""
    broken = [only]
    sound = registry.get("risk.facts")

    def handler(context: OperationContext, params: object) -> object:
        if context.subject in broken:
            raise error
        return sound.handler(context, params)

    operations = Registry()
    operations._operations = {**registry._operations, "risk.facts": replace(sound, handler=handler)}  # type: ignore[arg-type]
    house.wired = replace(house.wired, operations=operations)
    house.loop = house.another_loop("worker-with-a-bug")
    return broken


def test_a_poisoned_instance_is_parked_while_others_go_on_and_goes_on_when_repaired(house: House) -> None:
    poisoned = house.pay()
    broken = with_broken_risk(house, RuntimeError("a bug"), poisoned)
    others = [house.pay() for _ in range(5)]
    house.run()
    assert {house.payment(other).status for other in others} == {"succeeded"}
    for _ in range(inbox.PARK_AFTER):
        house.later(seconds=2)
    parked = house.instance(poisoned)
    assert (parked.status, parked.failures) == ("incident", inbox.PARK_AFTER)
    (incident,) = house.incidents()
    assert "a bug" in incident.message

    broken.clear()
    with house.database.begin() as tx:
        inbox.retry_incident(tx, house.person("omar", Role.OPERATOR), incident.id)
    house.run()

    assert house.payment(poisoned).status == "succeeded"
    assert house.incidents() == []
    house.check_books()


def test_an_operation_that_refuses_is_an_incident_at_its_element_that_can_be_repaired(house: House) -> None:
    payment_id = house.pay()
    broken = with_broken_risk(house, OutOfOrder("Redis is away"), payment_id)
    house.run()
    (incident,) = house.incidents()
    assert (incident.element, incident.kind, incident.message) == ("gather_risk", "call_failed", "Redis is away")
    assert house.instance(payment_id).status == "incident"

    broken.clear()
    with house.database.begin() as tx:
        inbox.retry_incident(tx, house.person("omar", Role.OPERATOR), incident.id)
    house.run()

    assert house.payment(payment_id).status == "succeeded"
    assert house.incidents() == []


# Locks


def test_a_transaction_undone_by_a_deadlock_is_done_again(database: Database) -> None:
    meet = threading.Barrier(2)
    tries: list[int] = []

    def crosswise(first: int, second: int) -> Callable[[Tx], int]:
        met = False

        def work(tx: Tx) -> int:
            nonlocal met
            tries.append(first)
            tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": first})
            if not met:
                met = True
                meet.wait(5)
            tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": second})
            return first

        return work

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(database.run, [crosswise(1, 2), crosswise(2, 1)]))

    assert done == [1, 2]
    assert len(tries) == 3


def test_two_workers_and_many_requests_on_the_same_payments_leave_nothing_stuck(house: House) -> None:
    payments = [held(house) for _ in range(6)]
    stop = threading.Event()

    def work(name: str) -> None:
        loop = house.another_loop(name)
        while not (stop.is_set() and loop.idle):
            if not loop.turn():
                time.sleep(0.005)

    workers = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in "ab"]
    for worker in workers:
        worker.start()
    with ThreadPoolExecutor(8) as pool:
        for payment_id in payments:
            for number in (70, 110):
                pool.submit(capture_in_parts, house, payment_id, number)
            pool.submit(cancel_if_it_can, house, payment_id)
    stop.set()
    for worker in workers:
        worker.join()
    house.run()

    for payment_id in payments:
        status, capturable, capturing, captured = money(house, payment_id)
        assert (status, capturable, capturing) == ("succeeded" if captured else "canceled", 0, 0)
    assert house.incidents() == []
    house.check_books()


def capture_in_parts(house: House, payment_id: str, amount: int) -> None:
    for _ in range(4):
        try:
            ask_capture(house, payment_id, amount, final=False)
        except Conflict:
            return


def cancel_if_it_can(house: House, payment_id: str) -> None:
    with suppress(Conflict):
        ask_cancel(house, payment_id)


def test_an_operator_cannot_write_what_people_must_decide(house: House) -> None:
    payment_id = house.pay("pm_card_high_risk", 200_000)
    house.run()
    incident = "inc_made_up"
    with house.database.begin() as tx:
        instance = house.instance(payment_id)
        tx.session.add(
            Incident(
                id=incident,
                merchant_id=instance.merchant_id,
                instance_id=instance.id,
                subject=payment_id,
                node="limits#1",
                element="limits",
                source="engine",
                kind="call_failed",
                message="made up",
                details={},
                status="open",
                created_at=tx.now(),
            )
        )
    with house.database.begin() as tx, pytest.raises(inbox.VariablesFixed):
        inbox.retry_incident(tx, house.person("omar", Role.OPERATOR), incident, {"second_person": False})
