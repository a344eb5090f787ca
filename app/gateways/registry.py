"""The configured gateways by name. One adapter may serve several of them: `sandbox_a` and `sandbox_b`.

An adapter is the module of its name in this package with a function `build(name, options)`; it is imported only when
configured, so a provider's SDK that is not installed matters only to who wants it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module, util
from typing import Any

from pydantic import ValidationError

from app.errors import AppError, FieldError, InvalidInput, NotFound
from app.gateways.port import Gateway

_NAME = re.compile("[a-z][a-z0-9_]{0,39}")


class UnknownGateway(NotFound):
    code = "unknown_gateway"
    title = "No gateway of this name is configured"


class BadGatewaySetting(InvalidInput):
    code = "bad_gateway_setting"
    title = "A gateway is not configured correctly"


@dataclass(frozen=True, slots=True)
class GatewaySetting:
    """`adapter` is a module of `app.gateways`; what `options` may hold is the adapter's business."""

    name: str
    adapter: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Registry:
    def __init__(self, gateways: Iterable[Gateway]) -> None:
        self._gateways: dict[str, Gateway] = {}
        for gateway in gateways:
            if gateway.name in self._gateways:
                raise BadGatewaySetting(f"Two gateways are called {gateway.name!r}; rename one")
            self._gateways[gateway.name] = gateway

    def __iter__(self) -> Iterator[Gateway]:
        return iter(self._gateways.values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._gateways)

    def get(self, name: str) -> Gateway:
        try:
            return self._gateways[name]
        except KeyError:
            known = ", ".join(self._gateways) or "none"
            raise UnknownGateway(f"There is no gateway {name!r}; configured are: {known}") from None

    def close(self) -> None:
        for gateway in self:
            gateway.close()


def build_registry(settings: Iterable[GatewaySetting]) -> Registry:
    """Build every configured gateway; BadGatewaySetting names the gateway and the option, never a value."""
    return Registry([_build(setting) for setting in settings])


def _build(setting: GatewaySetting) -> Gateway:
    if not _NAME.fullmatch(setting.name):
        raise BadGatewaySetting(f"Gateway name {setting.name!r}: use lower-case letters, digits and underscores")
    build = _adapter(setting)
    try:
        gateway: Gateway = build(setting.name, setting.options)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        errors = [FieldError(".".join(map(str, each["loc"])), each["msg"]) for each in found]
        options = "; ".join(f"{each.field}: {each.message}" for each in errors)
        raise BadGatewaySetting(f"Gateway {setting.name!r}: {options}", errors=errors) from None
    except AppError as error:
        raise BadGatewaySetting(f"Gateway {setting.name!r}: {error.detail}") from None
    return gateway


def _adapter(setting: GatewaySetting) -> Any:
    module_name = f"{__package__}.{setting.adapter}"
    if _NAME.fullmatch(setting.adapter) and util.find_spec(module_name):
        build = getattr(import_module(module_name), "build", None)
        if build is not None:
            return build
    raise BadGatewaySetting(f"Gateway {setting.name!r}: there is no adapter {setting.adapter!r} in app.gateways")
