"""What a worker counts of itself, and the port where Prometheus reads it."""

from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

log = structlog.get_logger()

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class WorkerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._instances = Counter("sluice_worker_instances", "Instances advanced, once per turn", registry=registry)
        self._seconds = Histogram(
            "sluice_worker_turn_seconds", "Turns that advanced something", registry=registry, buckets=_SECONDS
        )
        self._taken_over = Counter(
            "sluice_lease_expiries", "Leases of other workers that ran out and were taken over", registry=registry
        )

    def took_over(self, leases: int) -> None:
        self._taken_over.inc(leases)

    def turned(self, instances: int, seconds: float) -> None:
        self._instances.inc(instances)
        self._seconds.observe(seconds)


def serve(registry: CollectorRegistry, host: str, port: int) -> Callable[[], None]:
    """Answer `GET /metrics` on a thread; what is returned ends it. A port that is taken is told and does no harm."""
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        log.warning("metrics.not_served", port=port, error=str(error))
        return lambda: None

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close
