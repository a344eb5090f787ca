from dataclasses import replace

import pytest

from app.access.actor import Role
from app.access.merchants import (
    Limits,
    MerchantSettings,
    change_limits,
    confirm_limits,
    settings_of,
    withdraw_limits,
)
from app.errors import Conflict, Forbidden, FourEyes, InvalidInput
from app.kit.database import Database
from tests.access.conftest import Shop

EUR = {"EUR": 100_000}


def set_limits(database: Database, shop: Shop, review: dict[str, int], refund: dict[str, int]) -> MerchantSettings:
    with database.begin() as tx:
        return change_limits(tx, shop.admin, review, refund)


def limits(database: Database, shop: Shop) -> Limits:
    with database.begin() as tx:
        return settings_of(tx, shop.merchant_id).limits


def proposed(database: Database, shop: Shop) -> str:
    """What tells the waiting proposal from others."""
    with database.begin() as tx:
        proposal = settings_of(tx, shop.merchant_id).proposal
    assert proposal is not None
    return proposal.mark


def test_a_new_merchant_has_limits_in_minor_units_of_each_currency(database: Database, shop: Shop) -> None:
    with database.begin() as tx:
        settings = settings_of(tx, shop.merchant_id)
    assert settings.review_limit["EUR"] == 100_000
    assert settings.review_limit["JPY"] == 150_000
    assert settings.gateways == []


def test_a_stricter_limit_counts_at_once(database: Database, shop: Shop) -> None:
    present = limits(database, shop)
    stricter = {**present.review_limit, "EUR": 5, "KWD": 0}
    assert set_limits(database, shop, stricter, present.refund_approval_limit).proposal is None
    assert limits(database, shop).review_limit == stricter


@pytest.mark.parametrize("looser", [{"EUR": 100_001}, {}], ids=["raised", "removed"])
def test_a_looser_limit_waits_for_another_person(database: Database, shop: Shop, looser: dict[str, int]) -> None:
    present = limits(database, shop)
    wanted = {**{k: v for k, v in present.review_limit.items() if k != "EUR"}, **looser}
    settings = set_limits(database, shop, wanted, present.refund_approval_limit)
    assert settings.proposal is not None
    assert (settings.proposal.by, limits(database, shop)) == (shop.admin.id, present)
    mark = proposed(database, shop)
    with database.begin() as tx, pytest.raises(FourEyes):
        confirm_limits(tx, shop.admin, mark)
    with database.begin() as tx, pytest.raises(Forbidden):
        confirm_limits(tx, shop.reviewer, mark)
    other = replace(shop.reviewer, roles=frozenset({Role.OPERATOR}))
    with database.begin() as tx, pytest.raises(Forbidden, match="Only people"):
        confirm_limits(tx, replace(other, id="key_1"), mark)
    with database.begin() as tx:
        confirm_limits(tx, other, mark)
    assert limits(database, shop).review_limit == wanted
    with database.begin() as tx, pytest.raises(Conflict):
        confirm_limits(tx, other, mark)


def test_nobody_confirms_limits_that_were_exchanged_after_they_read_them(database: Database, shop: Shop) -> None:
    present = limits(database, shop)
    other = replace(shop.reviewer, roles=frozenset({Role.OPERATOR}))
    set_limits(database, shop, {**present.review_limit, "EUR": 100_001}, present.refund_approval_limit)
    read = proposed(database, shop)
    set_limits(database, shop, {}, {})
    with database.begin() as tx, pytest.raises(Conflict, match="meanwhile"):
        confirm_limits(tx, other, read)
    assert limits(database, shop) == present


def test_a_proposal_can_be_withdrawn_and_a_later_change_replaces_it(database: Database, shop: Shop) -> None:
    present = limits(database, shop)
    set_limits(database, shop, {}, {})
    with database.begin() as tx:
        withdraw_limits(tx, shop.admin)
        assert settings_of(tx, shop.merchant_id).proposal is None
    set_limits(database, shop, {}, {})
    assert set_limits(database, shop, present.review_limit, present.refund_approval_limit).proposal is None
    assert limits(database, shop) == present


@pytest.mark.parametrize("wrong", [{"EUR": -1}, {"EUR": 1.5}, {"XXX": 1}])
def test_a_wrong_limit_is_named_and_nothing_changes(database: Database, shop: Shop, wrong: dict[str, int]) -> None:
    present = limits(database, shop)
    with pytest.raises(InvalidInput) as refused:
        set_limits(database, shop, wrong, EUR)
    assert refused.value.errors[0].field.startswith("review_limit")
    assert limits(database, shop) == present


def test_a_gateway_is_listed_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        MerchantSettings(gateways=["a", "a"])


def test_only_an_administrator_changes_limits_and_no_key_does(database: Database, shop: Shop) -> None:
    for actor in (shop.reviewer, replace(shop.admin, id="key_1")):
        with pytest.raises(Forbidden), database.begin() as tx:
            change_limits(tx, actor, EUR, EUR)
