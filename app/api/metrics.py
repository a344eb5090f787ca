"""What the API counts of itself: requests and how long they took, by declared route and never by concrete path."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class ApiMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        labels = ("method", "route")
        self._requests = Counter("sluice_http_requests", "Answered requests", (*labels, "status"), registry=registry)
        self._seconds = Histogram(
            "sluice_http_request_seconds", "Time to answer", labels, registry=registry, buckets=_SECONDS
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """The exposition format that Prometheus reads."""
        return generate_latest(self._registry)
