"""A worker ends, fails or falls asleep at every seam of every operation. One effect each, and nothing is stuck."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from app.access.actor import Role
from app.access.api_keys import create_key
from app.bootstrap import chores, web_app
from app.engine import inbox, people, saving, store
from app.engine.models import InboxItem, Instance
from app.engine.people import Completion
from app.engine.step import InstanceStatus, Step
from app.jobs.chores import Chores
from app.kit.crashpoint import Point
from app.payments import service
from app.payments.models import InboundWebhook
from app.payments.verbs import registered
from tests.fixtures_sandbox import until
from tests.house import House
from tests.system.crash import Crash, at

ENDED = Step(InstanceStatus.COMPLETED)
LEASE_SECONDS = store.LEASE.total_seconds() + 1


@dataclass(frozen=True)
class Story:
    """One operation: what comes before it, what asks for it, and what the gateway's charge must say in the end."""

    before: Callable[[House], str]
    ask: Callable[[House, str], str]
    charge: dict[str, int]
    payment_status: str


def nothing(house: House) -> str:
    return ""


def held(house: House) -> str:
    payment_id = house.pay(capture_method="manual")
    house.run()
    assert house.payment(payment_id).status == "requires_capture"
    return payment_id


def pay(house: House, _: str) -> str:
    return house.pay(capture_method="manual")


def capture(house: House, payment_id: str) -> str:
    with house.database.begin() as tx:
        service.request_capture(tx, house.shop, payment_id)
    return payment_id


def cancel(house: House, payment_id: str) -> str:
    with house.database.begin() as tx:
        service.request_cancel(tx, house.shop, payment_id, "requested_by_customer")
    return payment_id


def refund(house: House, payment_id: str) -> str:
    house.refund(payment_id, 400)
    return payment_id


def disputed(house: House) -> str:
    payment_id = house.paid("pm_card_dispute")
    house.later(seconds=3)
    house.eventually(house.disputes)
    return payment_id


def answer(decision: str, reason: str = "") -> Callable[[House, str], str]:
    def ask(house: House, payment_id: str) -> str:
        (dispute,) = house.disputes()
        completion = Completion(decision, reason)
        with house.database.begin() as tx:
            people.complete(tx, house.person("rosa", Role.REVIEWER), house.task(dispute.id).id, completion)
        return payment_id

    return ask


STORIES = {
    "authorize": Story(nothing, pay, {"authorized": 1000, "captured": 0}, "requires_capture"),
    "capture": Story(held, capture, {"captured": 1000, "voided": 0}, "succeeded"),
    "void": Story(held, cancel, {"captured": 0, "voided": 1000}, "canceled"),
    "refund": Story(House.paid, refund, {"captured": 1000, "refunded": 400}, "succeeded"),
    "submit_evidence": Story(disputed, answer("contest"), {"captured": 1000, "disputed": 1000}, "succeeded"),
    "accept_dispute": Story(
        disputed, answer("accept", "customer_right"), {"captured": 1000, "disputed": 1000}, "succeeded"
    ),
}
#: What the sandbox calls an operation, where it has a name of its own for it.
VERBS = {"submit_evidence": "evidence", "accept_dispute": "accept"}
KINDS = ("kill", "exception", "pause")
#: The first turn begins the operation and the second books its answer.
SEAMS = [
    (Point.BEFORE_STEP_COMMIT, 1),
    (Point.BEFORE_STEP_COMMIT, 2),
    (Point.AFTER_STEP_COMMIT, 1),
    (Point.AFTER_STEP_COMMIT, 2),
    (Point.ANSWERED, 1),
]


def take_over(house: House, name: str = "worker-2") -> None:
    """The worker is gone with all it had in memory; another one finds what it left once the lease is over."""
    house.loop = house.another_loop(name)
    house.later(seconds=LEASE_SECONDS)


def check_at_rest(house: House) -> None:
    """Nothing is stuck: no lease, no begun attempt, nothing unread, nothing for people to repair."""
    house.check_books()
    assert house.incidents() == []
    with house.database.begin() as tx:
        assert tx.session.query(InboxItem).count() == 0
        for instance in tx.session.query(Instance).all():
            assert (instance.lease_owner, instance.failures) == (None, 0)
            assert instance.status in ("waiting", "completed")


class Bug(Exception):
    """What a mistake in our own code does: the worker lives on and tries again."""


def strike(house: House, kind: str, point: Point, nth: int) -> None:
    """The worker meets its end, a mistake, or a sleep that outlasts its lease, when it comes to the seam."""

    def fail() -> None:
        raise Bug

    def sleep() -> None:
        house.clock.advance(2 * store.LEASE)
        other = house.another_loop("worker-2")
        for _ in range(40):
            if not other.turn() and other.idle:
                break
            time.sleep(0.01)

    if kind == "kill":
        with at(point, nth), pytest.raises(Crash):
            house.run()
        take_over(house)
        return
    with at(point, nth, fail if kind == "exception" else sleep) as seam:
        with suppress(Bug):  # one that no instance is to blame for ends the turn, as in a worker
            house.run()
        house.run()
    assert seam.hits[point] >= nth
    house.later(seconds=LEASE_SECONDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("point", "nth"), SEAMS)
@pytest.mark.parametrize("operation", STORIES)
def test_one_effect_whatever_happens_at_whatever_seam(
    house: House, operation: str, point: Point, nth: int, kind: str
) -> None:
    story = STORIES[operation]
    payment_id = story.ask(house, story.before(house))
    strike(house, kind, point, nth)
    house.until(payment_id, story.payment_status)

    (charge,) = house.charges()
    assert {name: charge[name] for name in story.charge} == story.charge
    attempts = [attempt for attempt in house.attempts(payment_id) if attempt.operation == operation]
    assert [(attempt.state, attempt.outcome) for attempt in attempts] == [("finished", "approved")]
    assert house.a.times_received(VERBS.get(operation, operation), attempts[0].id) <= 2
    check_at_rest(house)


def test_nothing_is_sent_before_its_intent_is_on_disk(house: House) -> None:
    payment_id = house.pay()
    with at(Point.BEFORE_STEP_COMMIT), pytest.raises(Crash):
        house.run()

    assert house.attempts(payment_id) == []
    assert house.charges() == []


def test_a_worker_that_dies_again_and_again_still_charges_once(house: House) -> None:
    payment_id = house.pay()
    for turn, point in enumerate([Point.AFTER_STEP_COMMIT, Point.ANSWERED, Point.BEFORE_STEP_COMMIT, Point.ANSWERED]):
        house.loop = house.another_loop(f"worker-{turn}")
        with at(point), pytest.raises(Crash):
            house.later(seconds=LEASE_SECONDS)
    take_over(house, "worker-9")

    house.until(payment_id, "succeeded")
    assert [charge["captured"] for charge in house.charges()] == [1000]
    check_at_rest(house)


@pytest.mark.parametrize("kind", KINDS)
def test_a_webhook_in_hand_of_a_worker_that_dies_is_applied_by_the_next(house: House, kind: str) -> None:
    def fail() -> None:
        raise Bug

    def sleep() -> None:
        house.clock.advance(timedelta(seconds=61))
        another = Chores(house.database, chores(house.wired))
        another.turn()
        another.close()

    house.inbound.held = []
    payment_id = house.pay("pm_card_pending")
    house.run()
    until(lambda: house.inbound.held)
    house.inbound.release()
    if kind == "kill":
        with at(Point.CHORE_DONE), pytest.raises(Crash):
            house.run()
        assert house.payment(payment_id).status == "processing"
    else:
        with at(Point.CHORE_DONE, 1, fail if kind == "exception" else sleep):
            house.run()
    house.later(seconds=61)

    house.until(payment_id, "succeeded")
    with house.database.begin() as tx:
        assert {webhook.status for webhook in tx.session.query(InboundWebhook)} == {"applied"}
    check_at_rest(house)


@pytest.fixture
def client(house: House) -> Iterator[FlaskClient]:
    with web_app(house.wired).test_client() as client:
        yield client


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_whose_answer_was_lost_is_answered_again_and_done_once(
    house: House, client: FlaskClient, kind: str
) -> None:
    def fail() -> None:
        raise Bug

    def sleep() -> None:
        with web_app(replace(house.wired, metrics=CollectorRegistry())).test_client() as impatient:
            assert impatient.post("/v1/payments", **asked).status_code == 201

    with house.database.begin() as tx:
        key = create_key(tx, house.person("ada", Role.ADMIN), "shop", [Role.INTEGRATOR]).secret
    asked: dict[str, Any] = {
        "headers": {"Authorization": f"Bearer {key}", "Idempotency-Key": "order-1"},
        "json": {"amount": 1000, "currency": "EUR", "payment_method": "pm_card_visa"},
    }
    if kind == "kill":
        with at(Point.REQUEST_COMMITTED), pytest.raises(Crash):
            client.post("/v1/payments", **asked)
    else:
        with at(Point.REQUEST_COMMITTED, 1, fail if kind == "exception" else sleep):
            assert client.post("/v1/payments", **asked).status_code == (500 if kind == "exception" else 201)
    again = client.post("/v1/payments", **asked)
    house.run()

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert house.payment(again.json["id"]).status == "succeeded"
    assert len(house.charges()) == 1


def test_a_webhook_stored_and_not_answered_comes_again_and_is_applied_once(house: House, client: FlaskClient) -> None:
    payment_id = house.pay("pm_card_pending")
    house.run()
    house.inbound.held = []
    house.eventually(lambda: house.inbound.held)
    gateway, headers, body = house.inbound.held[0]
    with at(Point.REQUEST_COMMITTED), pytest.raises(Crash):
        client.post(f"/webhooks/{gateway}", data=body, headers=headers)
    assert client.post(f"/webhooks/{gateway}", data=body, headers=headers).status_code == 200

    house.until(payment_id, "succeeded")
    with house.database.begin() as tx:
        stored = tx.session.scalars(select(InboundWebhook).where(InboundWebhook.body == body)).all()
        assert [(one.status, one.tries) for one in stored] == [("applied", 1)]
    house.check_books()


def test_every_seam_that_has_a_name_is_tried(request: pytest.FixtureRequest) -> None:
    """Those of workers by the matrix, the others by the tests of what they belong to; each is reached in them."""
    tried = {point for point, _ in SEAMS} | {Point.CHORE_DONE, Point.REQUEST_COMMITTED}
    assert tried == set(Point)
    assert {verb.operation for verb in registered()} == set(STORIES)


# Two workers on one instance.


def test_a_worker_that_slept_through_its_lease_changes_nothing_and_its_late_answer_is_booked_once(house: House) -> None:
    payment_id = house.pay()
    sleeper, other = house.loop, house.another_loop("worker-2")
    sleeper.turn()
    house.clock.advance(2 * store.LEASE)
    house.loop = other
    house.run()
    assert house.payment(payment_id).status == "succeeded"
    before = house.journal(payment_id)

    house.loop = sleeper
    house.run()

    assert [row.seq for row in house.journal(payment_id)] == [row.seq for row in before]
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "approved"), ("capture", "sandbox_a", "approved")]
    assert [charge["captured"] for charge in house.charges()] == [1000]
    check_at_rest(house)


def test_a_stale_worker_s_save_is_refused_as_a_whole(house: House) -> None:
    payment_id = house.pay()
    instance_id = house.instance(payment_id).id
    house.loop.turn()
    with house.database.begin() as tx:
        mine = store.load(tx, "worker-1", instance_id)
    house.clock.advance(2 * store.LEASE)
    with house.database.begin() as tx:
        assert [claim.id for claim in store.claim(tx, "worker-2", 32)] == [instance_id]

    with house.database.begin() as tx, pytest.raises(store.LeaseLost):
        store.load(tx, "worker-1", instance_id)
    # Neither under its own name nor under that of whoever has it now: the fence alone is enough.
    for owner, fence in (("worker-1", mine.fence), ("worker-2", mine.fence - 1)):
        stale = saving.Outcome(replace(mine, fence=fence), ENDED, None, (), keep_lease=False)
        with pytest.raises(store.LeaseLost), house.database.begin() as tx:
            saving.save(tx, owner, stale)
    with house.database.begin() as tx:
        store.renew(tx, "worker-1", [instance_id])
        assert store.load(tx, "worker-2", instance_id).fence == mine.fence


def test_a_request_to_cancel_waits_until_a_lost_call_is_found_out_about(house: House) -> None:
    payment_id = house.pay(capture_method="manual")
    with at(Point.ANSWERED), pytest.raises(Crash):
        house.run()
    with house.database.begin() as tx:
        inbox.cancel_instance(tx, house.person("omar", Role.OPERATOR), house.instance(payment_id).id, "by mistake")
    take_over(house)

    assert house.instance(payment_id).status == "canceled"
    assert house.outcomes(payment_id) == [("authorize", "sandbox_a", "approved")]
    (incident,) = house.incidents()
    assert (incident.kind, incident.details) == ("flow_ended", {"held": 1000})
    house.check_books()

    cancel(house, payment_id)
    house.run()
    payment = house.payment(payment_id)
    assert (payment.status, payment.status_reason) == ("canceled", "requested_by_customer")
    assert len(house.incidents()) == 1, "that of the flow that was canceled by hand"
    assert house.charges()[0]["voided"] == 1000
    house.check_books()


def test_an_answer_lost_after_its_flow_has_gone_is_found_out_about_by_itself(house: House) -> None:
    payment_id = house.pay(capture_method="manual")
    with at(Point.ANSWERED), pytest.raises(Crash):
        house.run()
    with house.database.begin() as tx:
        # As if the diagram had interrupted the call and ended.
        instance = tx.session.get_one(Instance, house.instance(payment_id).id)
        claim = store.peek(tx, instance.id)
        instance.lease_owner = "worker-0"
        tx.session.flush()
        ended = saving.Outcome(claim, ENDED, None, (), keep_lease=False)
        saving.save(tx, "worker-0", ended)
    house.loop = house.another_loop("worker-2")
    house.later(minutes=3)

    (attempt,) = house.attempts(payment_id)
    assert (attempt.state, attempt.outcome) == ("finished", "approved")
    assert attempt.evidence is not None
    assert house.payment(payment_id).amount_capturable == 1000
    house.check_books()
