"""Merchants take turns: one who floods us delays himself."""

from datetime import timedelta
from itertools import islice

from sqlalchemy import select, text, update

from app.access.actor import Actor, Role
from app.access.merchants import create_merchant
from app.engine import inbox, shipped, store
from app.engine.models import Instance
from app.engine.step import Item, ItemKind
from app.kit.database import Database
from app.payments import service
from app.payments.commands import CreatePayment
from app.settings import ROOT
from tests.house import MERCHANT, House

OTHER = "mer_other"
BATCH = 32
#: Timers that are due since twelve hours, one after the other.
_OVERDUE = text("""
UPDATE instances SET journal_seq = 7, due_at = due_at - interval '12 hours' + place * interval '1 millisecond'
FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS timer (id, place) WHERE instances.id = timer.id
""")


def other_shop(database: Database) -> Actor:
    with database.begin() as tx:
        create_merchant(tx, "Other", merchant_id=OTHER)
        shipped.deploy(tx, OTHER, ROOT / "workflows")
    return Actor("key_other", "Other", OTHER, frozenset({Role.INTEGRATOR}))


def flood(house: House, shop: Actor, count: int) -> list[str]:
    command = CreatePayment(amount=1000, currency="EUR", payment_method="pm_card_visa")
    with house.database.begin() as tx:
        return [service.create_payment(tx, shop, command).instance_id or "" for _ in range(count)]


def claimed(house: House, *, fair: bool) -> dict[str, int]:
    """How many of each merchant one claim takes."""
    with house.database.begin() as tx:
        ids = [claim.id for claim in store.claim(tx, "worker-x", BATCH, fair=fair)]
        owners = tx.session.scalars(select(Instance.merchant_id).where(Instance.id.in_(ids))).all()
    return {merchant: owners.count(merchant) for merchant in set(owners)}


def test_five_payments_do_not_wait_for_five_hundred_of_another_merchant(house: House) -> None:
    shop = other_shop(house.database)
    flood(house, house.shop, 500)
    few = flood(house, shop, 5)
    house.loop.turn()
    assert house.loop.crowded
    house.loop.turn()
    with house.database.begin() as tx:
        begun = select(Instance.id).where(Instance.id.in_(few), Instance.journal_seq > 0)
        assert set(tx.session.scalars(begun)) == set(few)


def test_a_fair_claim_is_as_full_as_any(house: House) -> None:
    shop = other_shop(house.database)
    flood(house, house.shop, 60)
    flood(house, shop, 5)
    assert claimed(house, fair=True) == {MERCHANT: BATCH - 5, OTHER: 5}
    assert claimed(house, fair=False) == {MERCHANT: BATCH}


def test_a_new_payment_does_not_wait_for_a_backlog_of_timers_of_its_own_merchant(house: House) -> None:
    timers = flood(house, house.shop, 300)
    with house.database.begin() as tx:
        tx.execute(_OVERDUE, {"ids": timers})
    fresh = flood(house, house.shop, 5)
    taken = []
    for _ in range(3):
        with house.database.begin() as tx:
            taken.append([claim.id for claim in store.claim(tx, "worker-x", BATCH, fair=True)])
    assert set(fresh) <= set(taken[0]), "they take turns with the oldest"
    oldest_first = iter(timers)
    for ids in taken:
        old = [one for one in ids if one not in fresh]
        # Within one claim they come in the order of their ids, which those of one millisecond have at random.
        assert sorted(old) == sorted(islice(oldest_first, len(old)))
    assert sum(map(len, taken)) == 3 * BATCH


def test_new_payments_do_not_wait_though_more_merchants_than_one_claim_takes_have_a_backlog(house: House) -> None:
    merchants, backlog, batch = 12, 20, 4
    with house.database.begin() as tx:
        for number in range(merchants):
            create_merchant(tx, "Shop", merchant_id=f"mer_{number}")
    timers = flood(house, house.shop, merchants * backlog)
    fresh = flood(house, house.shop, merchants)
    with house.database.begin() as tx:
        for ids in (timers, fresh):
            for number in range(merchants):
                mine = Instance.id.in_(ids[number::merchants])
                tx.execute(update(Instance).where(mine).values(merchant_id=f"mer_{number}"))
        old = Instance.id.in_(timers)
        tx.execute(update(Instance).where(old).values(journal_seq=7, due_at=Instance.due_at - timedelta(hours=12)))
        tx.execute(text("ANALYZE instances"))
    taken: list[str] = []
    for _ in range(merchants * backlog // batch // 2):
        with house.database.begin() as tx:
            tx.local({"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"})
            taken += [claim.id for claim in store.claim(tx, "worker-x", batch, fair=True)]
    assert set(fresh) <= set(taken)


def test_inboxes_are_shared_as_fairly_as_timers(house: House) -> None:
    shop = other_shop(house.database)
    many, few = flood(house, house.shop, 60), flood(house, shop, 5)
    with house.database.begin() as tx:
        tx.execute(update(Instance).values(due_at=None))
        for instance_id in [*many, *few]:
            inbox.put(tx, instance_id, Item(ItemKind.CANCEL), "cancel")
    assert claimed(house, fair=True) == {MERCHANT: BATCH - 5, OTHER: 5}


def test_what_is_leased_to_somebody_else_is_left_alone(house: House) -> None:
    flood(house, house.shop, 5)
    with house.database.begin() as tx:
        assert len(store.claim(tx, "worker-1", 3, fair=True)) == 3
    with house.database.begin() as tx:
        assert len(store.claim(tx, "worker-2", 3, fair=True)) == 2
    house.clock.advance(2 * store.LEASE)
    with house.database.begin() as tx:
        assert len(store.claim(tx, "worker-2", 10, fair=True)) == 5
