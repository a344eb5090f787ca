"""Which flows a payment may name: the merchant's own that payments start with, and no part of another flow."""

import pytest
from sqlalchemy import select

from app.access.actor import system
from app.engine.definitions import deploy
from app.engine.lint import Upload
from app.engine.models import Instance
from app.payments.service import NotForPayments
from app.settings import ROOT
from tests.house import MERCHANT, House
from tests.system.people import APPROVE, decide

CARD_PAYMENT = (ROOT / "workflows/card-payment/card-payment.bpmn").read_bytes()


@pytest.mark.parametrize(
    "process", ["resolve-unknown", "ask-again", "manual-review", "release-authorization", "refund", "dispute"]
)
def test_a_payment_starts_with_no_part_of_another_flow(house: House, process: str) -> None:
    with pytest.raises(NotForPayments) as refused:
        house.pay(process=process)
    (error,) = refused.value.errors
    assert (refused.value.status, error.field, error.message) == (422, "process", "must be one of card-payment")


def test_a_payment_starts_with_a_flow_of_the_merchants_own(house: House) -> None:
    own = Upload("own.bpmn", CARD_PAYMENT.replace(b'"card-payment"', b'"own-payment"'))
    with house.database.begin() as tx:
        deploy(tx, system(MERCHANT), [own], publish=True)
    payment = house.pay(process="own-payment")
    house.run()
    assert house.payment(payment).status == "succeeded"
    with pytest.raises(NotForPayments, match="must be one of card-payment, own-payment"):
        house.pay(process="refund")


def test_a_payment_ends_on_the_version_it_began_with_and_a_new_one_takes_the_next(house: House) -> None:
    waiting = house.pay("pm_card_high_risk")
    house.run()
    assert house.payment(waiting).status == "requires_review"
    second = Upload("card-payment.bpmn", CARD_PAYMENT.replace(b'name="Card payment"', b'name="Card payment, again"'))
    with house.database.begin() as tx:
        (published,) = deploy(tx, system(MERCHANT), [second], publish=True)
    fresh = house.paid()
    decide(house, "rosa", waiting, APPROVE)
    with house.database.begin() as tx:
        ran = {row.subject: row for row in tx.session.scalars(select(Instance))}
        assert {one: (row.version, row.status) for one, row in ran.items()} == {
            waiting: (1, "completed"),
            fresh: (2, "completed"),
        }
        assert ran[fresh].definition_id == published.id != ran[waiting].definition_id
    assert house.payment(waiting).status == "succeeded"
