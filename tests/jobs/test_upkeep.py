"""What nobody needs any more is removed by one worker at a time."""

from datetime import timedelta

from sqlalchemy import func, select, text

from app.api.models import IdempotencyKey
from app.bootstrap import purges
from app.jobs.chores import Chores
from app.jobs.upkeep import Upkeep
from app.kit.database import Tx
from tests.house import MERCHANT, House


def chore(house: House) -> Chores:
    return Chores(house.database, [Upkeep(purges(house.wired))])


def count(house: House, table: type) -> int:
    with house.database.begin() as tx:
        return int(tx.session.scalar(select(func.count()).select_from(table)) or 0)


def leave_old_things(house: House) -> None:
    with house.database.begin() as tx:
        tx.session.add(
            IdempotencyKey(merchant_id=MERCHANT, route="POST /v1/x", key="k", fingerprint="f", created_at=tx.now())
        )


def test_old_keys_go_and_young_ones_stay(house: House) -> None:
    leave_old_things(house)
    house.clock.advance(timedelta(hours=2))
    chore(house).turn()
    assert count(house, IdempotencyKey) == 1
    house.clock.advance(timedelta(days=8))
    chore(house).turn()
    assert count(house, IdempotencyKey) == 0


def test_it_is_done_now_and_then_and_not_every_second(house: House) -> None:
    runs: list[str] = []

    def purge(tx: Tx) -> None:
        runs.append("purge")

    chores = Chores(house.database, [Upkeep({"it": purge})])
    for minutes in (0, 1, 5, 5):
        house.clock.advance(timedelta(minutes=minutes))
        chores.turn()
    assert runs == ["purge", "purge"]


def test_while_one_worker_does_it_another_does_not(house: House) -> None:
    leave_old_things(house)
    house.clock.advance(timedelta(days=9))
    with house.database.begin() as tx:
        tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('upkeep:idempotency_keys', 0))"))
        chore(house).turn()
        assert count(house, IdempotencyKey) == 1
    chore(house).turn()
    assert count(house, IdempotencyKey) == 0
