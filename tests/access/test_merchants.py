import pytest

from app.access.merchants import MerchantSettings, change_settings, settings_of
from app.errors import Forbidden, InvalidInput
from app.kit.database import Database
from tests.access.conftest import Shop


def test_a_new_merchant_has_limits_in_minor_units_of_each_currency(database: Database, shop: Shop) -> None:
    with database.begin() as tx:
        settings = settings_of(tx, shop.merchant_id)
    assert settings.review_limit["EUR"] == 100_000
    assert settings.review_limit["JPY"] == 150_000
    assert settings.gateways == []


def test_settings_are_changed_key_by_key(database: Database, shop: Shop) -> None:
    with database.begin() as tx:
        change_settings(tx, shop.admin, {"review_limit": {"EUR": 5}})
    with database.begin() as tx:
        settings = settings_of(tx, shop.merchant_id)
    assert settings == MerchantSettings(review_limit={"EUR": 5})


@pytest.mark.parametrize(
    "changes",
    [
        {"review_limit": {"EUR": -1}},
        {"review_limit": {"EUR": 1.5}},
        {"review_limit": {"XXX": 1}},
        {"gateways": ["a", "a"]},
        {"review_limits": {}},
    ],
)
def test_a_wrong_setting_is_named_and_nothing_changes(
    database: Database, shop: Shop, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput) as refused, database.begin() as tx:
        change_settings(tx, shop.admin, changes)
    assert refused.value.errors[0].field.startswith(next(iter(changes)))
    with database.begin() as tx:
        assert settings_of(tx, shop.merchant_id) == MerchantSettings()


def test_only_an_administrator_changes_settings(database: Database, shop: Shop) -> None:
    with pytest.raises(Forbidden), database.begin() as tx:
        change_settings(tx, shop.reviewer, {"gateways": []})
