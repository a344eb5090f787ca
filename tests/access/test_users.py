from datetime import timedelta

import pytest

from app.access import sessions
from app.access.actor import Actor, Role
from app.access.merchants import create_merchant
from app.access.models import User
from app.access.users import (
    FREE_FAILURES,
    EmailTaken,
    LastAdmin,
    NewUser,
    SignInLocked,
    SignInRefused,
    authenticate,
    change_password,
    create_user,
    disable_user,
    find_user,
    forget_failures,
    set_roles,
)
from app.errors import Forbidden, InvalidInput, NotFound
from app.kit.clock import ShiftedClock
from app.kit.database import Database
from tests.access.conftest import PASSWORD, Shop


def sign_in(database: Database, email: str, password: str, address: str = "203.0.113.5") -> object:
    with database.begin() as tx:
        return authenticate(tx, email, password, address)


def test_the_right_password_signs_in_whatever_the_case_of_the_address(database: Database, shop: Shop) -> None:
    user = sign_in(database, " Rob@Shop.Example ", PASSWORD)
    assert isinstance(user, User)
    assert user.id == shop.reviewer.id


def test_unknown_wrong_and_disabled_are_told_apart_by_nothing(database: Database, shop: Shop) -> None:
    with database.begin() as tx:
        disable_user(tx, shop.admin, shop.reviewer.id)
    answers = [
        sign_in(database, "nobody@shop.example", PASSWORD),
        sign_in(database, "ada@shop.example", "not the password"),
        sign_in(database, "rob@shop.example", PASSWORD),
    ]
    assert {(type(answer), str(answer)) for answer in answers} == {(SignInRefused, SignInRefused.title)}


def test_repeated_failures_lock_the_guesser_and_not_the_person(
    database: Database, shop: Shop, clock: ShiftedClock
) -> None:
    for _ in range(FREE_FAILURES):
        assert isinstance(sign_in(database, "rob@shop.example", "guess guess guess", "198.51.100.9"), SignInRefused)
    locked = sign_in(database, "rob@shop.example", PASSWORD, "198.51.100.9")
    assert isinstance(locked, SignInLocked)
    assert 0 < locked.extra["retry_after"] <= 61
    assert isinstance(sign_in(database, "rob@shop.example", PASSWORD, "203.0.113.5"), User)
    clock.advance(timedelta(seconds=61))
    assert isinstance(sign_in(database, "rob@shop.example", PASSWORD, "198.51.100.9"), User)


def test_each_further_failure_doubles_the_lock_up_to_an_hour(
    database: Database, shop: Shop, clock: ShiftedClock
) -> None:
    waits = []
    for _ in range(FREE_FAILURES - 1):
        sign_in(database, "nobody@shop.example", "guess guess guess")
    for _ in range(9):
        assert isinstance(sign_in(database, "nobody@shop.example", "guess guess guess"), SignInRefused)
        locked = sign_in(database, "nobody@shop.example", "guess guess guess")
        assert isinstance(locked, SignInLocked)
        waits.append(round(locked.extra["retry_after"] / 60))
        clock.advance(timedelta(seconds=locked.extra["retry_after"]))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_old_failures_are_forgotten(database: Database, shop: Shop, clock: ShiftedClock) -> None:
    for _ in range(FREE_FAILURES - 1):
        sign_in(database, "rob@shop.example", "guess guess guess")
    clock.advance(timedelta(hours=25))
    with database.begin() as tx:
        forget_failures(tx)
    sign_in(database, "rob@shop.example", "guess guess guess")
    assert isinstance(sign_in(database, "rob@shop.example", PASSWORD), User)


def test_an_address_belongs_to_one_person_in_the_whole_system(database: Database, shop: Shop) -> None:
    with database.begin() as tx:
        other = create_merchant(tx, "Other")
    admin = Actor("usr_x", "X", other.id, frozenset({Role.ADMIN}))
    with pytest.raises(EmailTaken), database.begin() as tx:
        create_user(tx, admin, NewUser("ROB@shop.example", "Rob", frozenset(), PASSWORD))


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (NewUser("no address", "Rob", frozenset(), PASSWORD), "email"),
        (NewUser("a@b.example", "  ", frozenset(), PASSWORD), "name"),
        (NewUser("a@b.example", "A", frozenset(), "short"), "password"),
        (NewUser("a@b.example", "A", frozenset(), PASSWORD, "xx"), "language"),
    ],
)
def test_a_wrong_field_of_a_new_person_is_named(database: Database, shop: Shop, new: NewUser, field: str) -> None:
    with pytest.raises(InvalidInput) as refused, database.begin() as tx:
        create_user(tx, shop.admin, new)
    assert [error.field for error in refused.value.errors] == [field]


def test_only_an_administrator_changes_people(database: Database, shop: Shop) -> None:
    with pytest.raises(Forbidden), database.begin() as tx:
        create_user(tx, shop.reviewer, NewUser("a@b.example", "A", frozenset(), PASSWORD))
    with pytest.raises(Forbidden), database.begin() as tx:
        set_roles(tx, shop.reviewer, shop.reviewer.id, [Role.ADMIN])


def test_people_of_another_merchant_do_not_exist(database: Database, shop: Shop) -> None:
    stranger = Actor("usr_x", "X", "mer_other", frozenset({Role.ADMIN}))
    with database.begin() as tx, pytest.raises(NotFound):
        find_user(tx, stranger, shop.reviewer.id)


def test_the_last_administrator_cannot_be_removed(database: Database, shop: Shop) -> None:
    with pytest.raises(LastAdmin), database.begin() as tx:
        disable_user(tx, shop.admin, shop.admin.id)
    with pytest.raises(LastAdmin), database.begin() as tx:
        set_roles(tx, shop.admin, shop.admin.id, [Role.ANALYST])
    with database.begin() as tx:
        set_roles(tx, shop.admin, shop.reviewer.id, [Role.ADMIN])
        assert set_roles(tx, shop.admin, shop.admin.id, [Role.ANALYST]).roles == ["analyst"]


def test_a_changed_password_ends_every_session(database: Database, shop: Shop) -> None:
    with database.begin() as tx:
        user = find_user(tx, shop.admin, shop.reviewer.id)
        begun = sessions.start(tx, user)
        change_password(tx, user, PASSWORD, "four yellow lemons")
    with database.begin() as tx:
        assert sessions.find(tx, begun.secret) is None
    assert isinstance(sign_in(database, "rob@shop.example", "four yellow lemons"), User)


def test_a_wrong_present_password_changes_nothing(database: Database, shop: Shop) -> None:
    with pytest.raises(InvalidInput), database.begin() as tx:
        change_password(tx, find_user(tx, shop.admin, shop.reviewer.id), "wrong wrong", "four yellow lemons")
    assert isinstance(sign_in(database, "rob@shop.example", PASSWORD), User)
