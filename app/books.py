"""Which gateways' books are compared with ours, and from when on."""

from app import demo
from app.kit.database import Json
from app.settings import GatewaySettings, Settings

#: A gateway with years of charges is not read from the first one on unless somebody says so.
DAYS = 30


def with_sandboxes(settings: Settings) -> Settings:
    """The settings with the sandboxes of a running `sluice up`, which are found in its `demo.json`."""
    told = demo.credentials(settings.var / "demo.json") or {"sandboxes": []}
    running = [_sandbox(one) for one in told["sandboxes"]]
    names = {gateway.name for gateway in running}
    others = [gateway for gateway in settings.gateways if gateway.name not in names]
    return settings.model_copy(update={"gateways": others + running})


def _sandbox(told: Json) -> GatewaySettings:
    options = {"base_url": told["url"], "api_key": told.get("api_key", "")}
    return GatewaySettings(name=told["name"], adapter="sandbox", options=options)


def days(settings: Settings, name: str) -> int | None:
    """How far back a gateway is compared where nobody says it; None for a sandbox, which has everything at hand."""
    sandboxes = {gateway.name for gateway in settings.gateways if gateway.adapter == "sandbox"}
    return None if name in sandboxes else DAYS
