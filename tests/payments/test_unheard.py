"""Requests about money: heard for as long as money is held, and never lost without a word."""

from datetime import timedelta

import pytest

from app.payments import service, unheard
from app.payments.models import Payment
from tests.till import MERCHANT, Till


def held(till: Till) -> str:
    payment = till.create(amount=1000, capture_method="manual")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    return payment


def tell(till: Till) -> None:
    with till.database.begin() as tx:
        unheard.tell_unheard(tx)


def test_a_capture_is_heard_for_as_long_as_the_money_is_held(till: Till) -> None:
    payment = held(till)
    with till.database.begin() as tx:
        ends = tx.now() + timedelta(days=29)
        tx.session.get_one(Payment, payment).authorization_expires_at = ends
        service.request_capture(tx, till.actor, payment, 400)
    (message,) = till.messages("capture.requested")
    assert message.expires_at > ends


def test_a_capture_nobody_heard_is_told_once_and_its_amount_is_capturable_again(till: Till) -> None:
    payment = held(till)
    with till.database.begin() as tx:
        service.request_capture(tx, till.actor, payment, 400)
    tell(till)
    assert till.incidents() == []
    till.clock.advance(timedelta(days=9))
    tell(till)
    tell(till)
    (incident,) = till.incidents()
    assert (incident.kind, incident.subject) == (unheard.KIND, payment)
    assert "400 EUR is capturable again" in incident.message
    found = till.payment(payment)
    assert (found.amount_capturable, found.amount_capturing) == (1000, 0)
    assert till.attempt(payment, "capture").outcome == "not_sent"
    assert till.events(payment)[-1] == "payment.updated"
    assert till.differences() == []


@pytest.mark.parametrize("ended", [False, True])
def test_a_cancel_nobody_heard_is_told_while_the_payment_is_open(till: Till, ended: bool) -> None:
    payment = held(till)
    with till.database.begin() as tx:
        service.request_cancel(tx, till.actor, payment, "requested_by_customer")
    if ended:
        till.run("payment.void", payment)
        till.run("payment.transition", payment, to="canceled")
    till.clock.advance(timedelta(days=9))
    tell(till)
    assert [incident.kind for incident in till.incidents()] == ([] if ended else [unheard.KIND])
    assert till.payment(payment).merchant_id == MERCHANT
