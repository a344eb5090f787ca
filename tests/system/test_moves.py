"""A second hold is given back by the shipped flow, once, whatever happens, while the first one stays what it was."""

import pytest
from sqlalchemy import select

from app.access.actor import Role
from app.engine.models import Incident, Instance
from app.gateways.port import Authorize
from app.kit.crashpoint import Point
from app.kit.ids import new_id
from app.kit.money import Money
from app.payments import held, moves, service
from app.payments.booking import settle
from app.payments.models import Attempt
from app.payments.moves import Move, MoveNotLegal, Offer
from app.payments.queries import lock_payment
from app.payments.verbs import ANSWER, Case
from tests.house import MERCHANT, House
from tests.system.test_crashes import SEAMS, check_at_rest, strike


@pytest.fixture
def payment_id(house: House) -> str:
    """A payment authorized at sandbox_a, for which sandbox_b has answered an authorization nobody should have asked."""
    payment_id = house.pay(capture_method="manual")
    house.run()
    assert house.payment(payment_id).status == "requires_capture"
    attempt_id = new_id("att")
    order = Authorize(attempt_id, payment_id, Money(1000, "EUR"), "pm_card_visa", "", "")
    answer = house.wired.gateways.get("sandbox_b").authorize(order)
    with house.database.begin() as tx:
        payment = lock_payment(tx, MERCHANT, payment_id)
        assert payment.instance_id is not None
        begun = {"id": attempt_id, "instance_id": payment.instance_id, "activation": "hasty", "state": "begun"}
        about = {"merchant_id": MERCHANT, "payment_id": payment_id, "operation": "authorize", "gateway": "sandbox_b"}
        money = {"amount": 1000, "currency": "EUR", "begun_at": tx.now(), "created_at": tx.now()}
        attempt = Attempt(**begun, **about, **money)
        held.add(tx, attempt)
        tx.session.flush()
        settle(Case(tx, payment, attempt), answer, ANSWER)
    return payment_id


def take(house: House, move: Move, name: str = "omar") -> None:
    (incident,) = house.incidents()
    operator = house.person(name, Role.OPERATOR)
    with house.database.begin() as tx:
        moves.take(tx, operator, incident.id, move)


def offered(house: House) -> list[Offer]:
    (incident,) = house.incidents()
    with house.database.begin() as tx:
        return moves.moves_of(tx, [incident])[incident.id]


def check_given_back_once(house: House, payment_id: str) -> None:
    """The hold at sandbox_b is gone, that at sandbox_a is captured, and nothing else happened."""
    (voided,) = [one for one in house.attempts(payment_id) if one.operation == "void"]
    assert (voided.gateway, voided.outcome) == ("sandbox_b", "approved")
    with house.database.begin() as tx:
        (incident,) = tx.session.scalars(select(Incident))
        assert (incident.status, incident.resolved_by) == ("resolved", "system")
        service.request_capture(tx, house.shop, payment_id)
    house.until(payment_id, "succeeded")
    charges = [(charge["authorized"], charge["captured"], charge["voided"]) for charge in house.charges()]
    assert charges == [(1000, 1000, 0), (1000, 0, 1000)]
    check_at_rest(house)


def test_the_second_hold_is_given_back_and_the_first_is_captured(house: House, payment_id: str) -> None:
    take(house, Move.VOID)
    house.run()
    check_given_back_once(house, payment_id)


@pytest.mark.parametrize(("point", "nth"), SEAMS)
def test_a_worker_that_dies_at_any_seam_voids_it_once(house: House, payment_id: str, point: Point, nth: int) -> None:
    take(house, Move.VOID)
    strike(house, "kill", point, nth)
    house.eventually(lambda: not house.incidents())
    check_given_back_once(house, payment_id)


def test_an_answer_that_is_lost_is_looked_up_and_meanwhile_nobody_voids_it_again(house: House, payment_id: str) -> None:
    house.b.fault("timeout_applied", "void")
    take(house, Move.VOID)
    house.run()
    assert [one.move for one in offered(house)] == [Move.LOOKUP, Move.CLOSE]
    with pytest.raises(MoveNotLegal):
        take(house, Move.VOID, "olga")
    house.later(seconds=3)
    house.later(seconds=3)
    check_given_back_once(house, payment_id)


def test_a_gateway_that_cannot_be_reached_is_asked_again(house: House, payment_id: str) -> None:
    house.b.fault("unavailable", "void", count=2)
    take(house, Move.VOID)
    house.run()
    for seconds in (3, 11, 61):
        house.later(seconds=seconds)
    voids = [one.outcome for one in house.attempts(payment_id) if one.operation == "void"]
    assert voids == ["not_sent", "not_sent", "approved"]
    assert house.incidents() == []
    house.check_books()


def test_the_gateway_is_asked_again_by_a_flow_and_its_word_is_told(house: House, payment_id: str) -> None:
    take(house, Move.LOOKUP)
    house.run()
    assert [(one.move, one.said) for one in offered(house)] == [
        (Move.VOID, ""),
        (Move.LOOKUP, "approved"),
        (Move.CLOSE, ""),
    ]
    with house.database.begin() as tx:
        (flow,) = tx.session.scalars(select(Instance).where(Instance.process == moves.ASK_PROCESS))
        assert (flow.status, flow.subject) == ("completed", payment_id)
    house.check_books()


def test_what_the_flow_cannot_give_back_stays_an_incident_with_the_move_on_offer(house: House, payment_id: str) -> None:
    take(house, Move.VOID)
    with house.database.begin() as tx:
        flow = tx.session.scalars(select(Instance).where(Instance.process == service.RELEASE_PROCESS)).one()
        flow.status, flow.ended_at, flow.due_at = "completed", tx.now(), None
    assert [one.move for one in offered(house)] == [Move.VOID, Move.LOOKUP, Move.CLOSE]
    take(house, Move.VOID, "olga")
    house.run()
    check_given_back_once(house, payment_id)
