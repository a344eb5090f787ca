from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from app.access.actor import Actor, Role
from app.engine.models import Instance
from app.errors import Forbidden, InvalidInput
from app.events.models import Event
from app.kit.pan import CardNumberRefused, contains_card_number
from app.payments import service
from app.payments.commands import CreatePayment
from app.payments.queries import PaymentNotFound, find_payment, lock_payment, payment_view, payments
from app.payments.reconcile import verify_ledger
from app.payments.service import CaptureExceedsAuthorized
from app.payments.states import IllegalTransition
from tests.till import MERCHANT, Till, pass_time

VISA, AMEX = "4242 4242 4242 4242", "378282246310005"


def test_a_payment_comes_with_its_instance_and_its_event(till: Till) -> None:
    payment = till.payment(till.create(reference="order-7", metadata={"cart": "9"}, customer={"id": "c1"}))
    with till.database.begin() as tx:
        view = payment_view(tx, payment)
        instance = tx.session.get_one(Instance, payment.instance_id)
    assert view["status"] == "processing"
    assert view["instance"] == {"id": instance.id, "process": "card-payment", "version": 1}
    assert (view["reference"], view["metadata"], view["customer"]) == ("order-7", {"cart": "9"}, {"id": "c1"})
    assert view["created_at"].endswith("Z")
    assert (instance.subject, instance.variables["payment"]) == (payment.id, payment.id)
    assert till.events(payment.id) == ["payment.created"]
    with till.database.begin() as tx:
        told = tx.session.scalars(select(Event.data).where(Event.object_id == payment.id)).one()
    assert told == view, "what was told is what it is"


def test_an_unknown_process_leaves_nothing_behind(till: Till) -> None:
    with pytest.raises(service.NotForPayments, match="must be one of card-payment"):
        till.create(process="no-such-flow")
    with till.database.begin() as tx:
        assert tx.session.scalar(select(func.count()).select_from(Instance)) == 0


def test_an_unconfirmed_payment_waits_and_starts_once(till: Till) -> None:
    payment = till.create("", confirm=False)
    assert till.status(payment) == ("requires_payment_method", "")
    with till.database.begin() as tx, pytest.raises(InvalidInput, match="payment_method"):
        service.confirm(tx, till.actor, payment)
    with till.database.begin() as tx:
        service.confirm(tx, till.actor, payment, "pm_card_visa")
    assert till.status(payment) == ("processing", "")
    assert till.run("payment.validate", payment).payment_method == "pm_card_visa"
    with till.database.begin() as tx, pytest.raises(IllegalTransition):
        service.confirm(tx, till.actor, payment)


def test_an_unconfirmed_payment_is_canceled_at_once_and_a_running_one_by_its_flow(till: Till) -> None:
    waiting, running = till.create(confirm=False), till.create()
    for payment in (waiting, running):
        with till.database.begin() as tx:
            service.request_cancel(tx, till.actor, payment, "duplicate")
    assert till.status(waiting) == ("canceled", "duplicate")
    assert till.status(running) == ("processing", "")
    (message,) = till.messages("cancel.requested")
    assert (message.correlation, message.variables) == (running, {"reason": "duplicate"})


def test_a_payment_that_is_asked_to_cancel_moves_no_money_by_itself_any_more(till: Till) -> None:
    payment, held = till.create(), till.create()
    till.run("payment.authorize", held, gateway="sandbox_a")
    for one in (payment, held):
        with till.database.begin() as tx:
            service.request_cancel(tx, till.actor, one, "duplicate")
    for error in (till.fails("payment.authorize", payment, gateway="sandbox_a"), till.fails("payment.capture", held)):
        assert (error.code, error.facts) == ("CANCEL_REQUESTED", {"reason": "duplicate"})
    assert [len(till.attempts(one)) for one in (payment, held)] == [0, 1]
    till.run("payment.void", held)


def test_a_capture_that_was_asked_for_is_not_undone_by_a_cancel(till: Till) -> None:
    payment = till.create(capture_method="manual")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    with till.database.begin() as tx:
        asked = service.request_capture(tx, till.actor, payment, 400, final=False).id
        service.request_cancel(tx, till.actor, payment, "duplicate")
    assert till.run("payment.capture", payment, attempt=asked).amount_captured == 400
    assert till.fails("payment.capture", payment).code == "CANCEL_REQUESTED"


def test_a_capture_is_refused_that_the_flow_makes_by_itself_or_that_comes_after_a_cancel(till: Till) -> None:
    by_itself, canceled = till.create(), till.create(capture_method="manual")
    for payment in (by_itself, canceled):
        till.run("payment.authorize", payment, gateway="sandbox_a")
    with till.database.begin() as tx:
        service.request_cancel(tx, till.actor, canceled, "fraudulent")
    for payment, why in ((by_itself, "by itself"), (canceled, "asked to cancel")):
        with till.database.begin() as tx, pytest.raises(service.NotCapturable, match=why):
            service.request_capture(tx, till.actor, payment)
        assert [one.operation for one in till.attempts(payment)] == ["authorize"]


def test_a_hold_that_ran_out_needs_no_flow_to_be_given_back(till: Till) -> None:
    payment = till.create(capture_method="manual")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    with till.database.begin() as tx:
        flow = tx.session.get_one(Instance, lock_payment(tx, MERCHANT, payment).instance_id)
        flow.status, flow.ended_at, flow.due_at = "completed", tx.now(), None
    pass_time(till, days=8)
    with till.database.begin() as tx:
        service.request_cancel(tx, till.actor, payment, "duplicate")
    assert till.status(payment) == ("canceled", "duplicate")
    with till.database.begin() as tx:
        assert verify_ledger(tx) == []


def test_requests_at_once_reserve_no_more_than_is_authorized(till: Till) -> None:
    payment = till.create(capture_method="manual")
    till.run("payment.authorize", payment, gateway="sandbox_a")

    def ask(_: int) -> bool:
        try:
            with till.database.begin() as tx:
                service.request_capture(tx, till.actor, payment, 300, final=False)
        except CaptureExceedsAuthorized:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 3
    assert till.payment(payment).amount_capturing == 900


def test_another_merchants_payment_does_not_exist(till: Till) -> None:
    payment = till.create()
    stranger = Actor("key_x", "X", "mer_other", frozenset(Role))
    with till.database.begin() as tx:
        with pytest.raises(PaymentNotFound):
            service.request_cancel(tx, stranger, payment, "duplicate")
        with pytest.raises(PaymentNotFound):
            find_payment(tx, "mer_other", payment)
        assert payments(tx, stranger).rows == []


def test_an_analyst_may_not_create_payments(till: Till) -> None:
    command = CreatePayment(amount=1, currency="EUR", payment_method="pm_card_visa")
    with till.database.begin() as tx, pytest.raises(Forbidden):
        service.create_payment(tx, till.person("ada", Role.ANALYST), command)


def test_payments_are_found_by_what_people_have_in_hand(till: Till) -> None:
    first = till.create(reference="order-1", customer={"id": "c1", "email": "c1@example.com"})
    second = till.create(reference="order-2", customer={"id": "c1"})
    till.create("pm_card_mastercard", reference="order-3")
    with till.database.begin() as tx:
        for search in (first, "order-1", "c1@example.com"):
            assert [row.id for row in payments(tx, till.actor, search=search).rows] == [first]
        assert [row.id for row in payments(tx, till.actor, search="c1").rows] == [second, first]
        assert [row.id for row in payments(tx, till.actor, limit=1).rows] != [first]


def test_a_hold_that_ran_out_takes_a_requested_capture_with_it(till: Till) -> None:
    payment = till.create(capture_method="manual")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    with till.database.begin() as tx:
        asked = service.request_capture(tx, till.actor, payment, 400).id
    pass_time(till, days=8)
    till.run("payment.transition", payment, to="expired", reason="authorization_expired")
    after = till.payment(payment)
    assert (after.status, after.amount_capturable, after.amount_capturing) == ("expired", 0, 0)
    assert (till.attempt(payment, "capture").id, till.attempt(payment, "capture").outcome) == (asked, "not_sent")
    with till.database.begin() as tx:
        assert verify_ledger(tx) == []


def test_a_hold_whose_end_nobody_knows_never_ends_by_itself(till: Till) -> None:
    payment = till.create(capture_method="manual")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    with till.database.begin() as tx:
        lock_payment(tx, MERCHANT, payment).authorization_expires_at = None
    pass_time(till, days=60)
    with pytest.raises(service.MoneyHeld):
        till.run("payment.transition", payment, to="expired", reason="authorization_expired")
    assert till.payment(payment).amount_capturable == 1000


def test_a_remainder_whose_hold_ran_out_ends_the_payment_with_what_was_captured(till: Till) -> None:
    payment = till.create(capture_method="manual")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    till.run("payment.capture", payment, amount=400, final=False)
    assert till.run("payment.facts", payment).expires_at == till.payment(payment).authorization_expires_at
    with pytest.raises(service.MoneyHeld):
        till.run("payment.transition", payment, to="succeeded")
    pass_time(till, days=8)
    till.run("payment.transition", payment, to="succeeded", reason="authorization_expired")
    after = till.payment(payment)
    assert (after.status, after.amount_capturable, after.amount_captured) == ("succeeded", 0, 400)
    assert till.ledger_problems() == []


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": 10.0}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": "10"}, "amount"),
        ({"amount": 10**15 + 1}, "amount"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"payment_method": "has a blank"}, "payment_method"),
        ({"payment_method": ""}, ""),
        ({"reference": "x" * 201}, "reference"),
        ({"reference": "nul\x00"}, "reference"),
        ({"reference": "\ud800"}, "reference"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"customer": {"email": "no-at"}}, "customer"),
        ({"customer": {"country": "Germany"}}, "customer"),
        ({"metadata": {"k" * 41: "v"}}, "metadata"),
        ({"metadata": {str(n): "v" for n in range(51)}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata"),
        ({"surprise": 1}, "surprise"),
        ({"process": "../etc"}, "process"),
    ],
    ids=str,
)
def test_every_field_has_its_limits(fields: dict[str, Any], where: str) -> None:
    given = {"amount": 1000, "currency": "EUR", "payment_method": "pm_card_visa", **fields}
    with pytest.raises(ValidationError) as caught:
        CreatePayment.model_validate(given)
    assert {str(error["loc"][0]) if error["loc"] else "" for error in caught.value.errors()} == {where}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"payment_method": "4242424242424242"}, "payment_method"),
        ({"reference": f"card {VISA} please"}, "reference"),
        ({"metadata": {"note": AMEX}}, "metadata.note"),
        ({"metadata": {VISA: "x"}}, "metadata.*"),
        ({"customer": {"name": "4242-4242-4242-4242"}}, "customer.name"),
        ({"nonsense": [{"deep": "6011111111111117"}]}, "nonsense.0.deep"),
    ],
    ids=str,
)
def test_a_card_number_in_any_field_is_refused_and_never_repeated(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(CardNumberRefused) as caught:
        CreatePayment.model_validate({"amount": 1000, "currency": "EUR", "payment_method": "pm_card_visa", **fields})
    assert [error.field for error in caught.value.errors] == [where]
    told = f"{caught.value.detail} {caught.value.errors} {caught.value.extra}"
    assert not any(digits in told for digits in ("4242", "3782", "6011"))


@pytest.mark.parametrize(
    "text",
    ["4242424242424241", "1234567890123452", "20260101123456789", "att_4242424242424242x", "42424242", "0" * 16],
)
def test_other_numbers_are_no_card_numbers(text: str) -> None:
    assert not contains_card_number(text)
