"""Migrations while everything else goes on: nothing is lost, nothing is moved twice, nobody is moved under his feet."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.access.actor import Role
from app.engine import people, queries
from app.engine.models import Instance
from app.kit.crashpoint import Point
from tests.house import House
from tests.system.crash import Crash, at
from tests.system.test_migration import (
    APPROVE,
    COPY,
    LONGER,
    RENAMED,
    REVIEW,
    decide,
    flagged,
    publish,
    reasons,
    start,
    view,
)


def test_of_two_migrations_at_once_one_moves_and_the_other_says_that_it_is_gone(house: House) -> None:
    payment_id = flagged(house)
    second, third = publish(house, REVIEW, COPY), publish(house, REVIEW, [*COPY, *LONGER])
    one, other = start(house, second), start(house, third)
    house.run()
    assert (view(house, one)["counts"], view(house, other)["counts"]) == ({"moved": 1}, {"skipped": 1})
    assert reasons(view(house, other)) == [["moved_on"]]
    assert house.instance(payment_id).pins["processes"]["manual-review"] == second.id


def test_an_instance_that_goes_on_between_plan_and_move_is_skipped(house: House) -> None:
    payment_id = flagged(house, 200_000)
    migration_id = start(house, publish(house, REVIEW, COPY))
    decide(house, payment_id)
    assert house.loop.turn() == 1
    house.run()
    assert reasons(view(house, migration_id)) == [["moved_on"]]
    assert house.task(payment_id).element == "second_approval"


def test_a_decision_that_was_not_taken_in_yet_is_never_lost_to_a_move(house: House) -> None:
    payment_id = flagged(house)
    migration_id = start(house, publish(house, REVIEW, RENAMED), review="check")
    decide(house, payment_id)
    house.chores.turn()
    assert reasons(view(house, migration_id)) == [["arrived"]]
    house.run()
    assert house.payment(payment_id).status == "succeeded"


def test_a_move_waits_until_nobody_holds_the_instance(house: House) -> None:
    payment_id = flagged(house)
    migration_id = start(house, publish(house, REVIEW, COPY))
    mine = update(Instance).where(Instance.subject == payment_id)
    with house.database.begin() as tx:
        tx.execute(mine.values(lease_owner="worker-2", lease_until=tx.now() + timedelta(seconds=60)))
    house.chores.turn()
    assert view(house, migration_id)["counts"] == {"pending": 1}
    with house.database.begin() as tx:
        tx.execute(mine.values(lease_owner=None, lease_until=None))
    house.later(seconds=2)
    assert view(house, migration_id)["counts"] == {"moved": 1}


def test_a_decision_made_while_the_move_is_under_way_finds_the_task_where_it_is_then(house: House) -> None:
    payment_id = flagged(house)
    migration_id = start(house, publish(house, REVIEW, RENAMED), review="check")
    rosa = house.person("rosa", Role.REVIEWER)
    with ThreadPoolExecutor(1) as elsewhere:
        with house.database.begin() as tx:
            people.complete(tx, rosa, house.task(payment_id).id, APPROVE)
            moving = elsewhere.submit(house.chores.turn)
            with pytest.raises(TimeoutError):
                moving.result(timeout=0.5)
        moving.result(timeout=10)
    assert reasons(view(house, migration_id)) == [["arrived"]]
    house.run()
    assert house.payment(payment_id).status == "succeeded"
    house.check_books()


def test_many_instances_are_moved_by_several_at_once_each_exactly_once(house: House) -> None:
    payments = [flagged(house) for _ in range(6)]
    migration_id = start(house, publish(house, REVIEW, RENAMED), review="check")
    with ThreadPoolExecutor(4) as workers:
        for turn in [workers.submit(house.chores.turn) for _ in range(4)]:
            turn.result(timeout=60)
    house.run()
    assert view(house, migration_id)["counts"] == {"moved": 6}
    with house.database.begin() as tx:
        for payment_id in payments:
            rows = queries.journal(tx, house.instance(payment_id).id)
            assert [row.kind for row in rows].count("migrated") == 1


def test_a_worker_that_dies_in_a_migration_leaves_the_rest_to_the_next_and_each_is_moved_once(house: House) -> None:
    payments = [flagged(house) for _ in range(3)]
    migration_id = start(house, publish(house, REVIEW, RENAMED), review="check")
    with at(Point.CHORE_DONE), pytest.raises(Crash):
        house.chores.turn()
    assert view(house, migration_id)["counts"]["pending"] >= 1
    house.later(minutes=2)
    assert view(house, migration_id)["counts"] == {"moved": 3}
    with house.database.begin() as tx:
        for payment_id in payments:
            rows = queries.journal(tx, house.instance(payment_id).id)
            assert [row.kind for row in rows].count("migrated") == 1
