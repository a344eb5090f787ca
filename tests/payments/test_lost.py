"""Attempts whose flow has ended: who looks after them, and when nobody does."""

import pytest
from sqlalchemy import func, select, update

from app.access.actor import system
from app.engine.definitions import deploy
from app.engine.lint import Upload
from app.engine.models import Instance
from app.gateways.port import GatewayResult, Outcome
from app.payments import lost, service
from app.payments.attempts import read
from app.payments.booking import settle
from app.payments.models import Attempt
from app.payments.queries import lock_payment
from app.payments.recovery import in_words
from app.payments.verbs import LOOKUP, Case
from tests.engine.lint.draw import bpmn, end, path, start
from tests.till import MERCHANT, Till, pass_time


@pytest.fixture(autouse=True)
def watchers(till: Till) -> None:
    """Versions of what looks after attempts that end at once and find nothing out."""
    for process in (lost.WATCH_PROCESS, lost.CUSTOMER_PROCESS):
        drawn = bpmn(start(), end(), path("start", "end"), process=process)
        with till.database.begin() as tx:
            deploy(tx, system(MERCHANT), [Upload(f"{process}.bpmn", drawn)], publish=True)


def test_an_unknown_outcome_outlives_its_flow_under_a_flow_of_its_own(till: Till) -> None:
    watching = _ended(till, _unknown(till), "card-payment")
    assert (watching.process, watching.status) == ("resolve-unknown", "running")
    assert [one.kind for one in till.incidents()] == ["flow_ended"]


def test_a_flow_that_looked_after_it_and_gave_up_is_followed_by_a_person_and_not_by_itself(till: Till) -> None:
    attempt = _unknown(till)
    first = _ended(till, attempt, "card-payment")
    again = _ended(till, attempt, "resolve-unknown")
    assert again.id == first.id
    assert {one.kind for one in till.incidents()} == {"flow_ended", "unwatched"}


def test_an_authorization_that_waits_for_the_customer_is_waited_for_once_and_not_asked_about(till: Till) -> None:
    waiting = _waiting(till)
    watching = _ended(till, waiting, "card-payment")
    assert (watching.process, watching.status) == ("authenticate-customer", "running")
    assert set(watching.variables) == {"payment", "attempt", "ladder"}
    assert _ended(till, waiting, "authenticate-customer").id == watching.id
    assert {one.kind for one in till.incidents()} == {"flow_ended", "unwatched"}


def test_an_unknown_authorization_that_turns_out_to_wait_for_the_customer_is_handed_on(till: Till) -> None:
    attempt_id = _unknown(till)
    _ended(till, attempt_id, "card-payment")
    with till.database.begin() as tx:
        attempt = tx.session.get_one(Attempt, attempt_id)
        case = Case(tx, lock_payment(tx, MERCHANT, attempt.payment_id), attempt)
        settle(case, GatewayResult(Outcome.NEEDS_ACTION, "ch_1"), LOOKUP)
    assert _ended(till, attempt_id, "resolve-unknown").process == "authenticate-customer"
    assert [one.kind for one in till.incidents()] == ["flow_ended"]


@pytest.mark.parametrize(
    ("operation", "words"), [("authorize", "needs_action"), ("capture", "unclear"), ("refund", "unclear")]
)
def test_a_customer_is_waited_for_at_an_authorization_alone(operation: str, words: str) -> None:
    assert in_words(Attempt(operation=operation, outcome="needs_action")) == words


@pytest.mark.parametrize("asked", [True, False])
def test_what_somebody_had_asked_to_cancel_ends_with_its_flow_when_nothing_is_held(till: Till, asked: bool) -> None:
    payment = till.create()
    if asked:
        _ask_to_cancel(till, payment)
    _flow_ends(till, payment)
    assert till.status(payment) == (("canceled", "duplicate") if asked else ("processing", ""))
    assert [one.kind for one in till.incidents()] == ([] if asked else ["flow_ended"])


def test_what_was_captured_of_it_stays_and_the_payment_succeeds(till: Till) -> None:
    payment = till.create(capture_method="manual")
    till.run("payment.authorize", payment, gateway="sandbox_a")
    till.run("payment.capture", payment, amount=400, final=False)
    _ask_to_cancel(till, payment)
    pass_time(till, days=8)
    _flow_ends(till, payment)
    assert till.status(payment) == ("succeeded", "duplicate")
    assert till.incidents() == []


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_timeout_lost"])
def test_a_payment_that_money_is_held_or_unknown_for_is_shown_though_a_cancel_was_asked_for(
    till: Till, method: str
) -> None:
    payment = till.create(method, capture_method="manual")
    if method == "pm_card_visa":
        till.run("payment.authorize", payment, gateway="sandbox_a")
    else:
        till.fails("payment.authorize", payment, gateway="sandbox_a")
    before = till.status(payment)
    _ask_to_cancel(till, payment)
    _flow_ends(till, payment)
    assert till.status(payment) == before
    assert [one.kind for one in till.incidents()] == ["flow_ended"]


def test_a_voided_authorization_that_the_gateway_still_shows_as_waiting_is_not_voided_in_place_of_the_next(
    till: Till,
) -> None:
    payment = till.create("pm_card_3ds")
    first = till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]
    till.run("payment.void", payment)
    with till.database.begin() as tx:
        held = lock_payment(tx, MERCHANT, payment)
        attempt = read(tx, first)
        assert attempt is not None
        settle(Case(tx, held, attempt), GatewayResult(Outcome.NEEDS_ACTION, attempt.gateway_reference), LOOKUP)
    till.fails("payment.authorize", payment, gateway="sandbox_b")
    till.run("payment.void", payment)
    assert [one.gateway for one in till.attempts(payment) if one.operation == "void"] == ["sandbox_a", "sandbox_b"]


def _ask_to_cancel(till: Till, payment: str) -> None:
    with till.database.begin() as tx:
        service.request_cancel(tx, till.actor, payment, "duplicate")


def _flow_ends(till: Till, payment: str) -> None:
    with till.database.begin() as tx:
        instance_id = till.payment(payment).instance_id
        assert instance_id is not None
        tx.changed(update(Instance).where(Instance.id == instance_id).values(status="completed", ended_at=tx.now()))
        lost.flow_ended(tx, till.gateways, instance_id, payment)


def _unknown(till: Till) -> str:
    attempt = till.fails("payment.authorize", till.create("pm_card_timeout_lost"), gateway="sandbox_a").facts["attempt"]
    return str(attempt)


def _waiting(till: Till) -> str:
    return str(till.fails("payment.authorize", till.create("pm_card_3ds"), gateway="sandbox_a").facts["attempt"])


def _ended(till: Till, attempt_id: str, process: str) -> Instance:
    """The instance that looks after the attempt, after the one that did has come to its end."""
    with till.database.begin() as tx:
        attempt = tx.session.get_one(Attempt, attempt_id)
        ended = update(Instance).where(Instance.id == attempt.instance_id, Instance.process == process)
        assert tx.changed(ended.values(status="completed", ended_at=tx.now())) == 1
        lost.flow_ended(tx, till.gateways, attempt.instance_id, attempt.payment_id)
    with till.database.begin() as tx:
        return tx.session.scalars(select(Instance).join(Attempt, Attempt.instance_id == Instance.id)).one()


def test_what_was_begun_at_the_same_moment_is_looked_for_in_the_order_of_its_ids(till: Till) -> None:
    for _ in range(6):
        till.begin("payment.authorize", till.create(), gateway="sandbox_a")
    with till.database.begin() as tx:
        tx.execute(update(Attempt).values(begun_at=func.now()))
    pass_time(till, minutes=3)
    with till.database.begin() as tx:
        found = [search.attempt_id for search in lost.LostAnswers(till.gateways).take(tx, 10)]
    assert len(found) == 6
    assert found == sorted(found)
