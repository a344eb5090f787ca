"""The two operators of a torture find what only people can settle, wherever its flow was called from, and settle it."""

from collections.abc import Iterator

import pytest

from app.access.actor import Role, system
from app.access.api_keys import create_key, create_token
from app.access.models import User
from app.traffic.shop import SHOP, Place, Shop
from proof.torture import operators
from proof.torture.operators import Operators
from tests.house import MERCHANT, House
from tests.traffic.test_day import web


@pytest.fixture
def shop(house: House) -> Iterator[Shop]:
    people = {name: house.person(name, Role.OPERATOR) for name in operators.PEOPLE.values()}
    with house.database.begin() as tx:
        secrets = {SHOP: create_key(tx, system(MERCHANT), "shop", [Role.INTEGRATOR]).secret}
        for name, person in people.items():
            secrets[name] = create_token(tx, tx.session.get_one(User, person.id), "torture").secret
    with web(house) as url:
        opened = Shop(Place(url, secrets, {one.config.name: one.base_url for one in house.sandboxes}), 20)
        yield opened
        opened.close()


@pytest.mark.parametrize(
    ("fault", "decision", "status"),
    [("timeout_applied", "charged", "succeeded"), ("timeout_lost", "not_charged", "failed")],
)
def test_what_no_lookup_found_out_is_decided_by_both_as_the_books_show_it(
    house: House, shop: Shop, monkeypatch: pytest.MonkeyPatch, fault: str, decision: str, status: str
) -> None:
    monkeypatch.setattr(operators, "_EVERY_SECONDS", 0.1)
    house.a.fault(fault, "authorize")
    house.a.fault("unavailable", "lookup", count=100)
    payment_id = house.pay()
    house.run()
    for seconds in (2, 3, 5, 10, 30):
        house.later(seconds=seconds)
    assert [task.element for task in house.tasks()] == ["first_person"]

    working = Operators(shop)
    try:
        house.until(payment_id, status)
    finally:
        working.end()
    assert working.decided == {decision: 2}
    house.check_books()
