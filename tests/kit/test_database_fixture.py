"""The fixtures hand out a database that is migrated, empty, and on the moved clock."""

from datetime import timedelta

import pytest

from app.access.models import Merchant
from app.kit.clock import ShiftedClock
from app.kit.database import Database


@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_gets_an_empty_database(database: Database, time: str) -> None:
    with database.begin() as tx:
        assert tx.session.query(Merchant).count() == 0
        tx.session.add(Merchant(id="mer_1", name=time, settings={}, created_at=tx.now()))


def test_transactions_see_the_moved_clock(database: Database, clock: ShiftedClock) -> None:
    with database.begin() as tx:
        before = tx.now()
    clock.advance(timedelta(days=30))
    with database.begin() as tx:
        assert timedelta(days=30) < tx.now() - before < timedelta(days=30, minutes=5)
