from collections.abc import Iterator

import pytest

from app.gateways.registry import (
    BadGatewaySetting,
    GatewaySetting,
    Registry,
    UnknownGateway,
    build_registry,
)
from app.kit.crypto import new_signing_secret

OPTIONS = {"base_url": "http://127.0.0.1:9", "api_key": "sk_very_secret", "webhook_secrets": [new_signing_secret()]}


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = build_registry([GatewaySetting(name, "sandbox", OPTIONS) for name in ("sandbox_a", "sandbox_b")])
    yield registry
    registry.close()


def test_gateways_are_found_by_name_in_the_order_of_the_settings(registry: Registry) -> None:
    assert registry.names == ("sandbox_a", "sandbox_b")
    assert [gateway.name for gateway in registry] == ["sandbox_a", "sandbox_b"]
    assert registry.get("sandbox_b").name == "sandbox_b"


def test_an_unknown_name_says_which_are_configured(registry: Registry) -> None:
    with pytest.raises(UnknownGateway, match="sandbox_a, sandbox_b"):
        registry.get("stripe")


@pytest.mark.parametrize("adapter", ["nonsense", "port", "wire", "../sandbox", "sandbox.build", "", "Sandbox"])
def test_only_modules_that_build_gateways_are_adapters(adapter: str) -> None:
    with pytest.raises(BadGatewaySetting, match="no adapter"):
        build_registry([GatewaySetting("gateway_a", adapter, OPTIONS)])


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "1a", "a" * 41])
def test_names_are_plain_words(name: str) -> None:
    with pytest.raises(BadGatewaySetting, match="lower-case"):
        build_registry([GatewaySetting(name, "sandbox", OPTIONS)])


def test_a_name_is_given_once() -> None:
    with pytest.raises(BadGatewaySetting, match="Two gateways"):
        build_registry([GatewaySetting("sandbox_a", "sandbox", OPTIONS)] * 2)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"base_url": "ftp://x"}, "base_url"), ({"api_kye": "x"}, "api_kye"), ({"webhook_secrets": ["wh_bad"]}, "secret")],
)
def test_a_bad_option_is_named_and_no_value_is_repeated(change: dict[str, object], field: str) -> None:
    with pytest.raises(BadGatewaySetting) as refused:
        build_registry([GatewaySetting("sandbox_a", "sandbox", OPTIONS | change)])
    assert field in refused.value.detail
    assert "sandbox_a" in refused.value.detail
    assert "sk_very_secret" not in repr(refused.value) + refused.value.detail
    assert "wh_bad" not in refused.value.detail


def test_a_setting_does_not_show_its_options() -> None:
    assert "sk_very_secret" not in repr(GatewaySetting("sandbox_a", "sandbox", OPTIONS))
