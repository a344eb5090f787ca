"""What the API is wired with: everything a request may need that is not in the request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from app.kit.database import Database
from app.kit.sealing import Sealer

T = TypeVar("T")


@dataclass(frozen=True)
class ApiContext:
    """`wait_until_rest(instance_id, seconds)` returns when the instance rests, or after `seconds`.

    `resources` are services by their type, such as the gateway registry. `limits_storage` is `memory://` or a Redis
    URL, shared by all web processes; `rate_limit` counts per key, and per address where there is none.
    """

    database: Database
    sealer: Sealer
    wait_until_rest: Callable[[str, float], None]
    resources: Mapping[type, object] = field(default_factory=dict)
    base_url: str = "http://127.0.0.1:8080"
    limits_storage: str = "memory://"
    rate_limit: str = "6000/minute"
    max_body_bytes: int = 256 * 1024

    def use(self, kind: type[T]) -> T:
        """A service that was wired at start-up."""
        return cast(T, self.resources[kind])
