"""What a torture is told, and where its processes find each other: one file that all of them read."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import orjson
from pydantic import SecretStr

from app.settings import GatewaySettings, Settings

SANDBOXES: Final = {"sandbox_a": (), "sandbox_b": ("pm_card_unavailable",)}
#: Where a worker notes each order it is about to send, below the run's folder.
SENDS: Final = "sends.log"


@dataclass(frozen=True)
class Plan:
    """`breaking` is one of `proof.relay.BREAKS`; ports and keys of the sandboxes are by their name."""

    folder: str
    seed: int
    kills: int
    payments: int
    workers: int
    breaking: str
    database_url: str
    redis_url: str
    port: int
    secret_key: str
    master_key: str
    ports: dict[str, int] = field(default_factory=dict)
    api_keys: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sends(self) -> Path:
        return Path(self.folder) / SENDS

    def sandbox_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def settings(self) -> Settings:
        gateways = [
            GatewaySettings(
                name=name,
                adapter="sandbox",
                options={
                    "base_url": self.sandbox_url(name),
                    "api_key": self.api_keys[name],
                    "webhook_secrets": [self.secrets[name]],
                },
            )
            for name in SANDBOXES
        ]
        return Settings(
            port=self.port,
            database_url=self.database_url,
            redis_url=self.redis_url,
            var=Path(self.folder),
            secret_key=SecretStr(self.secret_key),
            master_key=SecretStr(self.master_key),
            gateways=gateways,
            webhook_allow_private=True,
            log_level="WARNING",
        )

    def write(self) -> Path:
        path = Path(self.folder) / "plan.json"
        path.write_bytes(orjson.dumps(asdict(self)))
        return path


def read(path: Path) -> Plan:
    return Plan(**orjson.loads(path.read_bytes()))
