from datetime import timedelta

import pytest
from sqlalchemy import select

from app.access import api_keys
from app.access.actor import Actor, Role
from app.access.models import ApiKey
from app.access.users import disable_user, find_user, set_roles
from app.errors import Forbidden, NotFound, Unauthenticated
from app.kit.clock import ShiftedClock
from app.kit.database import Database
from tests.access.conftest import Shop


def authenticate(database: Database, secret: str) -> Actor:
    with database.begin() as tx:
        return api_keys.authenticate(tx, secret)


def token_of_reviewer(database: Database, shop: Shop) -> api_keys.Created:
    with database.begin() as tx:
        return api_keys.create_token(tx, find_user(tx, shop.admin, shop.reviewer.id), "laptop")


def test_a_key_acts_as_itself_with_its_own_roles(database: Database, shop: Shop) -> None:
    with database.begin() as tx:
        made = api_keys.create_key(tx, shop.admin, "web shop", [Role.INTEGRATOR])
    assert made.secret.startswith("sk_")
    assert made.secret.startswith(made.key.prefix)
    actor = authenticate(database, made.secret)
    assert actor == Actor(made.key.id, "web shop", shop.merchant_id, frozenset({"integrator"}))
    assert not actor.is_person


def test_a_token_acts_as_its_person(database: Database, shop: Shop) -> None:
    made = token_of_reviewer(database, shop)
    assert made.secret.startswith("pt_")
    assert authenticate(database, made.secret) == shop.reviewer


def test_a_token_never_exceeds_what_its_person_may_do_now(database: Database, shop: Shop) -> None:
    made = token_of_reviewer(database, shop)
    with database.begin() as tx:
        set_roles(tx, shop.admin, shop.reviewer.id, [Role.ANALYST])
    assert authenticate(database, made.secret).roles == frozenset()


def test_nobody_gives_a_token_a_role_they_do_not_have(database: Database, shop: Shop) -> None:
    with pytest.raises(Forbidden), database.begin() as tx:
        api_keys.create_token(tx, find_user(tx, shop.admin, shop.reviewer.id), "laptop", [Role.ADMIN])


def test_a_token_of_a_disabled_person_is_refused(database: Database, shop: Shop) -> None:
    made = token_of_reviewer(database, shop)
    with database.begin() as tx:
        disable_user(tx, shop.admin, shop.reviewer.id)
    with pytest.raises(Unauthenticated):
        authenticate(database, made.secret)


def test_a_revoked_key_is_refused_at_once(database: Database, shop: Shop) -> None:
    made = token_of_reviewer(database, shop)
    with database.begin() as tx:
        api_keys.revoke(tx, shop.reviewer, made.key.id)
    with pytest.raises(Unauthenticated):
        authenticate(database, made.secret)


def test_keys_are_made_and_revoked_by_administrators_of_the_same_merchant(database: Database, shop: Shop) -> None:
    with database.begin() as tx:
        made = api_keys.create_key(tx, shop.admin, "web shop", [Role.INTEGRATOR])
    with pytest.raises(Forbidden), database.begin() as tx:
        api_keys.create_key(tx, shop.reviewer, "mine", [Role.ADMIN])
    with pytest.raises(Forbidden), database.begin() as tx:
        api_keys.revoke(tx, shop.reviewer, made.key.id)
    stranger = Actor("usr_x", "X", "mer_other", frozenset({Role.ADMIN}))
    with pytest.raises(NotFound), database.begin() as tx:
        api_keys.revoke(tx, stranger, made.key.id)
    with database.begin() as tx:
        assert api_keys.keys(tx, stranger) == []
        assert [key.id for key in api_keys.keys(tx, shop.admin)] == [made.key.id]


def test_use_is_written_down_once_a_minute(database: Database, shop: Shop, clock: ShiftedClock) -> None:
    made = token_of_reviewer(database, shop)
    seen = []
    for wait in (0, 10, 61):
        clock.advance(timedelta(seconds=wait))
        authenticate(database, made.secret)
        with database.begin() as tx:
            seen.append(tx.session.scalars(select(ApiKey.last_used_at)).one())
    assert seen[0] == seen[1] < seen[2]


@pytest.mark.parametrize("secret", ["", "sk_", "sk_unknown", "\ud800", "pt_' OR 1=1"])
def test_anything_else_is_nobody(database: Database, shop: Shop, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        authenticate(database, secret)
