from datetime import timedelta

from sqlalchemy import select

from app.access import sessions
from app.access.models import Session
from app.access.users import disable_user, find_user
from app.kit.clock import ShiftedClock
from app.kit.database import Database
from tests.access.conftest import Shop


def begin(database: Database, shop: Shop, previous: str = "") -> sessions.SignedIn:
    with database.begin() as tx:
        user = find_user(tx, shop.admin, shop.reviewer.id)
        return sessions.start(tx, user, address="203.0.113.5", user_agent="Browser", previous=previous)


def alive(database: Database, secret: str) -> bool:
    with database.begin() as tx:
        return sessions.find(tx, secret) is not None


def test_the_database_never_holds_the_secret(database: Database, shop: Shop) -> None:
    begun = begin(database, shop)
    with database.begin() as tx:
        row = tx.session.scalars(select(Session)).one()
        assert begun.secret not in {str(value) for value in vars(row).values()}
    assert alive(database, begun.secret)
    assert not alive(database, begun.secret + "x")
    assert not alive(database, "\ud800")


def test_signing_in_again_replaces_the_browsers_session(database: Database, shop: Shop) -> None:
    first = begin(database, shop)
    second = begin(database, shop, previous=first.secret)
    assert second.secret != first.secret
    assert not alive(database, first.secret)
    assert alive(database, second.secret)


def test_use_keeps_a_session_alive_until_its_lifetime_is_over(
    database: Database, shop: Shop, clock: ShiftedClock
) -> None:
    begun = begin(database, shop)
    for _ in range(7):
        clock.advance(sessions.IDLE - timedelta(minutes=20))
        assert alive(database, begun.secret)
    clock.advance(timedelta(minutes=25))
    assert not alive(database, begun.secret)


def test_a_session_nobody_uses_ends(database: Database, shop: Shop, clock: ShiftedClock) -> None:
    begun = begin(database, shop)
    clock.advance(sessions.IDLE + timedelta(seconds=1))
    assert not alive(database, begun.secret)
    with database.begin() as tx:
        sessions.purge(tx)
        assert tx.session.scalars(select(Session)).all() == []


def test_signing_out_ends_this_session_and_no_other(database: Database, shop: Shop) -> None:
    here, there = begin(database, shop), begin(database, shop)
    with database.begin() as tx:
        sessions.end(tx, here.secret)
    assert not alive(database, here.secret)
    assert alive(database, there.secret)


def test_a_disabled_person_is_out_at_once(database: Database, shop: Shop) -> None:
    begun = begin(database, shop)
    with database.begin() as tx:
        disable_user(tx, shop.admin, shop.reviewer.id)
    assert not alive(database, begun.secret)
