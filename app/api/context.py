"""What the API is wired with: everything a request may need that is not in the request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from app.events.endpoints import Endpoints
from app.events.webhooks import Webhooks
from app.jobs.exports import Exports
from app.kit.database import Database, Tx
from app.kit.sealing import Sealer


@dataclass(frozen=True)
class ApiContext:
    """`wait_until_rest(instance_id, seconds)` returns when the instance rests, or after `seconds`.

    `receive_webhook(tx, gateway, headers, body)` verifies and stores what a gateway tells us. `limits_redis` is
    the URL where all web processes count together, or empty; `rate_limit` counts per key, or per address without one.
    `troubles()` tells what does not work although everything goes on. `metrics` is what `/metrics` shows.
    At most `waiting` requests of a process wait for an instance at a time; more are answered at once.
    """

    database: Database
    sealer: Sealer
    wait_until_rest: Callable[[str, float], None]
    receive_webhook: Callable[[Tx, str, Mapping[str, str], bytes], object]
    webhooks: Webhooks
    endpoints: Endpoints
    exports: Exports
    base_url: str = "http://127.0.0.1:8080"
    limits_redis: str = ""
    rate_limit: str = "30000/minute"
    max_body_bytes: int = 256 * 1024
    troubles: Callable[[], Sequence[str]] = tuple
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    waiting: int = 4
