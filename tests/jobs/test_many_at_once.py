"""Many instances share a transaction: what becomes of one is nothing to the others, and nothing is sent early."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from alembic import command
from psycopg import Cursor
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError

from app.engine import inbox
from app.engine.models import Instance, JournalPage
from app.jobs.loop import FATAL, Loop
from app.kit.crashpoint import Point, arm
from app.kit.database import Tx
from app.migrate import configuration, upgrade
from app.payments import held
from app.payments.held import Held
from app.payments.models import Attempt, Payment
from app.payments.shelf import Shelf
from tests.fixtures_sandbox import until
from tests.full_disk import full_disk
from tests.house import House
from tests.system import crash

MANY = 6
_FORMERLY = """
INSERT INTO waits (instance_id, merchant_id, node, element, kind, message, correlation, created_at)
SELECT instances.id, merchant_id, call.key, call.value, 'call', '', '', instances.created_at
FROM instances, jsonb_each_text(calls) call
"""


class Undone(Exception):
    """What makes a transaction roll back."""


@contextmanager
def at(point: Point, action: Callable[[], None]) -> Iterator[None]:
    """Do `action` whenever the worker passes `point`."""
    arm(lambda passed: action() if passed is point else None)
    try:
        yield
    finally:
        arm(None)


def succeeded(house: House, payments: list[str]) -> bool:
    return all(house.payment(payment).status == "succeeded" for payment in payments)


def pages(house: House, payment_id: str) -> list[int]:
    with house.database.begin() as tx:
        mine = JournalPage.instance_id == house.instance(payment_id).id
        return list(tx.session.scalars(select(JournalPage.seq).where(mine).order_by(JournalPage.seq)))


def test_of_one_whose_lease_is_lost_nothing_is_written_and_of_the_others_everything(house: House) -> None:
    lost, *others = [house.pay() for _ in range(MANY)]
    assert house.loop.turn() == MANY
    before = (house.instance(lost).state, pages(house, lost))
    with house.database.begin() as tx:
        stolen = update(Instance).where(Instance.subject == lost)
        tx.execute(stolen.values(lease_owner="worker-x", fence=Instance.fence + 1))
    house.run()

    assert succeeded(house, others)
    instance = house.instance(lost)
    assert (instance.state, pages(house, lost)) == before
    assert (instance.lease_owner, instance.status) == ("worker-x", "running")
    # What the gateway said is a fact all the same.
    assert house.outcomes(lost) == [("authorize", "sandbox_a", "approved")]

    house.later(seconds=11)
    assert succeeded(house, [lost])
    assert [charge["captured"] for charge in house.charges()] == [1000] * MANY
    house.check_books()


def test_one_that_breaks_whoever_takes_it_is_parked_and_the_others_never_notice(house: House) -> None:
    poisoned, *others = [house.pay() for _ in range(MANY)]
    with house.database.begin() as tx:
        nowhere = {"process": "gone", "processes": {}, "decisions": {}, "forms": {}}
        tx.execute(update(Instance).where(Instance.subject == poisoned).values(pins=nowhere))
    until(lambda: house.loop.turn() and succeeded(house, others), 60)
    assert house.instance(poisoned).failures in range(1, inbox.PARK_AFTER + 1)
    assert house.attempts(poisoned) == []

    def parked() -> bool:
        house.clock.advance(timedelta(seconds=2))
        house.loop.turn()
        return bool(house.incidents(poisoned))

    until(parked, 60)
    (incident,) = house.incidents(poisoned)
    assert incident.kind == "parked"
    house.check_books()


def deadly(house: House, owner: str, victim: str) -> Loop:
    """A worker whose process ends as soon as a turn is about `victim`."""
    loop = house.another_loop(owner)
    told = loop._told

    def prepare(tx: Tx, subjects: Collection[str]) -> None:
        if victim in subjects:
            raise crash.Crash
        told.prepare(tx, subjects)

    loop._told = replace(told, prepare=prepare)
    return loop


def test_one_that_ends_every_worker_that_takes_it_is_parked_and_takes_no_other_with_it(house: House) -> None:
    healthy = house.loop
    fatal, *others = [house.pay() for _ in range(MANY)]
    deaths = 0
    while not house.incidents(fatal):
        house.loop = deadly(house, f"worker-{deaths}", fatal)
        try:
            house.run()
        except crash.Crash:
            deaths += 1
            house.clock.advance(timedelta(seconds=11))
        assert deaths <= FATAL
    assert deaths == FATAL
    assert succeeded(house, others)
    assert [house.instance(one).deaths for one in others] == [0] * len(others)
    (incident,) = house.incidents()
    assert (incident.kind, incident.subject) == ("parked", fatal)
    assert house.attempts(fatal) == []

    house.loop = healthy
    with house.database.begin() as tx:
        inbox.retry_incident(tx, house.system, incident.id)
    house.run()
    assert succeeded(house, [fatal])
    assert len(house.charges()) == MANY
    house.check_books()


def test_one_that_ends_the_worker_that_takes_its_answer_in_is_parked_too(house: House) -> None:
    fatal = house.pay()
    instance_id = house.instance(fatal).id
    deaths = 0
    while not house.incidents(fatal):
        house.loop = loop = house.another_loop(f"worker-{deaths}")
        at_answer = replace(loop._told, prepare=partial(_end_at_answer, loop, instance_id))
        loop._told = at_answer
        try:
            house.run()
        except crash.Crash:
            deaths += 1
            house.clock.advance(timedelta(seconds=11))
        assert deaths <= FATAL + 1
    (incident,) = house.incidents(fatal)
    assert incident.kind == "parked"
    with house.database.begin() as tx:
        inbox.cancel_instance(tx, house.system, incident.instance_id, "given up")
    assert not house.incidents(fatal)
    assert len(house.charges()) == 1


def _end_at_answer(loop: Loop, instance_id: str, _tx: Tx, _subjects: Collection[str]) -> None:
    if instance_id in loop._unbooked:
        raise crash.Crash


def test_a_worker_that_ended_once_leaves_nobody_suspected(house: House) -> None:
    payments = [house.pay() for _ in range(MANY)]
    with crash.at(Point.BEFORE_STEP_COMMIT), pytest.raises(crash.Crash):
        house.loop.turn()
    house.loop = house.another_loop("worker-2")
    house.clock.advance(timedelta(seconds=11))
    assert house.loop.turn() == MANY, "all in one turn"
    house.run()
    assert succeeded(house, payments)
    house.check_books()


def test_a_commit_nobody_heard_of_is_read_back_and_no_call_is_made_twice(house: House) -> None:
    payments = [house.pay() for _ in range(MANY)]
    told: list[int] = []

    def cut() -> None:
        if not told:
            told.append(1)
            raise ConnectionError("the connection was cut inside COMMIT")

    with at(Point.AFTER_STEP_COMMIT, cut):
        house.run()
    assert told
    assert succeeded(house, payments)
    assert len(house.charges()) == MANY
    assert all(len(house.attempts(payment)) == 2 for payment in payments)
    house.check_books()


def test_what_the_former_version_had_under_way_is_found_out_about_and_not_begun_again(house: House) -> None:
    """It kept calls under way in rows of `waits`, so for the first that takes the instance over there are none."""
    payments = [house.pay() for _ in range(MANY)]
    with crash.at(Point.AFTER_STEP_COMMIT), pytest.raises(crash.Crash):
        house.loop.turn()
    with house.database.begin() as tx:
        tx.execute(text(_FORMERLY))
        tx.execute(text("UPDATE instances SET calls = '{}'"))
    house.loop = house.another_loop("worker-2")
    house.later(seconds=11)
    assert succeeded(house, payments)
    assert house.incidents() == []
    assert len(house.charges()) == MANY
    assert all(len(house.attempts(payment)) == 2 for payment in payments)
    house.check_books()


def test_the_migration_takes_over_what_the_former_version_had_under_way(house: House) -> None:
    payments = [house.pay() for _ in range(MANY)]
    with crash.at(Point.AFTER_STEP_COMMIT), pytest.raises(crash.Crash):
        house.loop.turn()
    before = {one: house.instance(one).calls for one in payments}
    assert all(before.values())
    with house.database.begin() as tx:
        tx.execute(text(_FORMERLY))
    house.database.close()
    command.downgrade(configuration(house.database.url), "0007")
    upgrade(house.database.url)
    assert {one: house.instance(one).calls for one in payments} == before


def test_a_database_that_cannot_work_is_no_fault_of_an_instance(house: House) -> None:
    """Such as one whose disk is full: once there is room again nothing is parked, and nothing counted."""
    payments = [house.pay() for _ in range(MANY)]
    loops = [house.loop, house.another_loop("worker-2")]
    with full_disk(house.database, "INSERT ON journal_pages"):
        for number in range(2 * FATAL):
            with pytest.raises(OperationalError):
                loops[number % 2].turn()
            house.clock.advance(timedelta(seconds=11))
    assert {(house.instance(one).failures, house.instance(one).deaths) for one in payments} == {(0, 0)}
    assert house.attempts(payments[0]) == []

    house.later(seconds=11)
    assert succeeded(house, payments)
    assert house.incidents() == []
    house.check_books()


def test_no_gateway_hears_of_any_of_them_before_the_intents_of_all_are_on_disk(house: House) -> None:
    payments = [house.pay() for _ in range(MANY)]
    seen: list[tuple[int, int]] = []

    def look() -> None:
        with house.database.begin() as tx:
            begun = select(Attempt.id).where(Attempt.operation == "authorize", Attempt.state == "begun")
            seen.append((len(tx.session.scalars(begun).all()), len(house.charges())))

    arm(lambda _: look())
    try:
        house.loop.turn()
    finally:
        arm(None)
    assert seen == [(0, 0), (MANY, 0)], "before the commit, and after it"
    house.run()
    assert succeeded(house, payments)
    house.check_books()


def test_a_turn_takes_as_many_statements_for_many_as_for_few(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: dict[int, int] = {}
    execute = Cursor.execute
    for many in (2, 12):
        for _ in range(many):
            house.pay()
        statements: list[Any] = []

        def note(cursor: Cursor[Any], *given: Any, seen: list[Any] = statements, **more: Any) -> Cursor[Any]:
            seen.append(given)
            return execute(cursor, *given, **more)

        with monkeypatch.context() as patch:
            patch.setattr(Cursor, "execute", note)
            assert house.loop.turn() >= many
        counts[many] = len(statements)
        house.run()
    assert counts[12] <= counts[2] + 2


def taken_up(house: House, shelf: Shelf, payment_id: str) -> tuple[Payment, list[Attempt]]:
    with house.database.begin() as tx:
        held.take_up(tx, [payment_id], shelf)
        return tx.own(Held).payments[payment_id], list(held.attempts(tx, payment_id).values())


def test_a_payment_on_the_shelf_is_used_again_only_while_nobody_else_has_changed_it(house: House) -> None:
    payment_id = house.paid()
    shelf = Shelf()
    payment, attempts = taken_up(house, shelf, payment_id)
    assert taken_up(house, shelf, payment_id) == (payment, attempts)

    with house.database.begin() as tx:
        tx.execute(text("UPDATE payments SET reference = 'changed' WHERE id = :id"), {"id": payment_id})
    again, attempts = taken_up(house, shelf, payment_id)
    assert again is not payment
    assert again.reference == "changed"

    with house.database.begin() as tx:
        tx.execute(text("UPDATE attempts SET message = 'changed' WHERE id = :id"), {"id": attempts[0].id})
    third, changed = taken_up(house, shelf, payment_id)
    assert third is not again
    assert changed[0].message == "changed"


def test_what_this_worker_itself_changed_does_not_take_a_payment_off_the_shelf(house: House) -> None:
    payment_id = house.paid()
    shelf = Shelf()
    with house.database.begin() as tx:
        held.take_up(tx, [payment_id], shelf)
        held.attempts(tx, payment_id)
        payment = tx.own(Held).payments[payment_id]
        payment.reference = "ours"
    again, _ = taken_up(house, shelf, payment_id)
    assert again is payment
    with house.database.begin() as tx:
        assert tx.session.get_one(Payment, payment_id).reference == "ours"


def change_and_undo(house: House, shelf: Shelf, payment_id: str) -> None:
    with house.database.begin() as tx:
        held.take_up(tx, [payment_id], shelf)
        tx.own(Held).payments[payment_id].reference = "undone"
        raise Undone


def test_a_turn_that_was_undone_leaves_nothing_on_the_shelf(house: House) -> None:
    payment_id = house.paid()
    shelf = Shelf()
    payment, _ = taken_up(house, shelf, payment_id)
    with pytest.raises(Undone):
        change_and_undo(house, shelf, payment_id)
    again, _ = taken_up(house, shelf, payment_id)
    assert again is not payment
    assert again.reference == ""
