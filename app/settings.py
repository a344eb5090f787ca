"""Every setting, read once from the environment and handed on by value; nothing else reads the environment."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


class GatewaySettings(BaseModel):
    """One gateway: its name here, the module of `app.gateways` that speaks to it, and what that module needs.

    `concurrent_calls` is its own cap; deadlines are among the module's options.
    """

    name: str
    adapter: str
    options: dict[str, Any] = Field(default_factory=dict, repr=False)
    concurrent_calls: int | None = Field(default=None, ge=1, le=256)


class Settings(BaseSettings):
    """Names in the environment are those below in capitals; `SLUICE_` precedes all but the four everybody knows."""

    model_config = SettingsConfigDict(
        env_prefix="SLUICE_", env_nested_delimiter="__", populate_by_name=True, hide_input_in_errors=True
    )

    port: int = Field(default=8000, validation_alias="PORT", description="Where the web listens")
    database_url: str = Field(
        default="", validation_alias="DATABASE_URL", description="A PostgreSQL of your own; empty: the embedded one"
    )
    redis_url: str = Field(
        default="", validation_alias="REDIS_URL", description="Workers on many machines are woken through it"
    )
    var: Path = Field(default=ROOT / "var", description="Data of the embedded servers, keys and credentials")
    host: str = Field(default="127.0.0.1", description="The address the web binds to")
    base_url: str = Field(default="", description="How others reach the web; empty: http://host:port")
    trusted_proxies: int = Field(
        default=0, ge=0, le=8, description="Proxies before the web whose X-Forwarded-For and -Proto are believed"
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""), description="Signs cookies and forms; `sluice up` keeps one in var where it is empty"
    )
    master_key: SecretStr = Field(
        default=SecretStr(""), description="Encrypts secrets at rest; `sluice up` keeps one in var where it is empty"
    )
    gateways: list[GatewaySettings] = Field(default=[], description="The gateways, as a JSON list", repr=False)
    workers: int = Field(default=1, ge=1, le=64, description="Worker processes of `sluice up`")
    web_processes: int = Field(default=2, ge=1, le=32, description="Web processes of `sluice up`")
    web_threads: int = Field(default=8, ge=1, le=256, description="Threads of each web process")
    calls_per_gateway: int = Field(default=16, ge=1, le=256, description="Concurrent calls to one gateway, per worker")
    breaker_failures: int = Field(
        default=5, ge=1, le=1000, description="Failed calls in a row after which a gateway is left alone for a while"
    )
    worker_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Where a worker answers /metrics; 0: nowhere. `sluice up` counts upwards"
    )
    batch: int = Field(default=32, ge=1, le=512, description="Instances a worker claims at a time")
    archive_after_days: int = Field(
        default=30, ge=1, description="Days after its end at which an instance's history moves to the archive"
    )
    webhook_allow_private: bool = Field(
        default=False, description="Let webhooks go to private addresses; for development only"
    )
    secure_cookies: bool = Field(default=False, description="Cookies over HTTPS only; set it wherever TLS is used")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")

    @property
    def exports_folder(self) -> Path:
        """Written by workers and read by the web: on several machines a folder they share."""
        return self.var.absolute() / "exports"

    @property
    def public_url(self) -> str:
        return self.base_url or f"http://{self.host}:{self.port}"
