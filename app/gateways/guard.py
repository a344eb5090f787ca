"""A gateway as the worker sees it: behind its circuit breaker, measured, traced, and with one log line per call.

While the circuit is open nothing is sent. An operation is NOT_SENT, so an authorization fails over and everything else
is tried again as its diagram says; a lookup could not be asked, which proves nothing and books nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from time import monotonic
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.gateways.breaker import Breaker
from app.gateways.port import (
    Authorize,
    BookedCharge,
    Capture,
    CouldNotAsk,
    Evidence,
    Gateway,
    GatewayDispute,
    GatewayEvent,
    GatewayResult,
    Lookup,
    LookupResult,
    Outcome,
    Refund,
    Void,
)
from app.kit.trace import span

log = structlog.get_logger()

T = TypeVar("T")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30)
#: What no working gateway leaves us with.
_FAILURES = frozenset({Outcome.NOT_SENT, Outcome.UNKNOWN})
_CIRCUIT_OPEN = "circuit_open"


class GatewayMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Counter(
            "sluice_gateway_calls",
            "Calls by what they said; circuit_open: not made",
            ("gateway", "operation", "outcome"),
            registry=registry,
        )
        self.seconds = Histogram(
            "sluice_gateway_call_seconds",
            "Time to answer",
            ("gateway", "operation"),
            registry=registry,
            buckets=_SECONDS,
        )
        self.open = Gauge("sluice_gateway_circuit_open", "1 while nothing is sent", ("gateway",), registry=registry)


class Guarded:
    """`gateway` with the same port. `breaker` belongs to it alone."""

    def __init__(self, gateway: Gateway, breaker: Breaker, metrics: GatewayMetrics) -> None:
        self.name = gateway.name
        self.title = gateway.title
        self.capabilities = gateway.capabilities
        self.visible_after_seconds = gateway.visible_after_seconds
        self.lookup_ladder_seconds = gateway.lookup_ladder_seconds
        self.pending_ladder_seconds = gateway.pending_ladder_seconds
        self._gateway = gateway
        self._breaker = breaker
        self._metrics = metrics
        metrics.open.labels(self.name).set_function(lambda: float(breaker.open))

    def authorize(self, request: Authorize) -> GatewayResult:
        return self._order("authorize", request.key, lambda: self._gateway.authorize(request))

    def capture(self, request: Capture) -> GatewayResult:
        return self._order("capture", request.key, lambda: self._gateway.capture(request))

    def void(self, request: Void) -> GatewayResult:
        return self._order("void", request.key, lambda: self._gateway.void(request))

    def refund(self, request: Refund) -> GatewayResult:
        return self._order("refund", request.key, lambda: self._gateway.refund(request))

    def submit_evidence(self, request: Evidence) -> GatewayResult:
        return self._order("submit_evidence", request.key, lambda: self._gateway.submit_evidence(request))

    def accept_dispute(self, request: Evidence) -> GatewayResult:
        return self._order("accept_dispute", request.key, lambda: self._gateway.accept_dispute(request))

    def lookup(self, request: Lookup) -> LookupResult:
        def outcome(answer: LookupResult) -> str:
            if answer.found is None:
                return Outcome.UNKNOWN
            return str(answer.result.outcome) if answer.result else "absent"

        answer = self._call("lookup", request.key, lambda: self._gateway.lookup(request), outcome)
        return answer if answer is not None else LookupResult(None)

    def dispute(self, dispute: str) -> GatewayDispute | None:
        found: list[GatewayDispute | None] = []

        def ask() -> bool:
            found.append(self._gateway.dispute(dispute))
            return True

        if self._call("dispute", dispute, ask, lambda _: "absent" if found[0] is None else "found") is None:
            raise CouldNotAsk(self._refusal)
        return found[0]

    def books(self, since: datetime) -> Iterator[BookedCharge]:
        # A person's command reads them in a process of its own; whether that goes well decides nothing about calls.
        return self._gateway.books(since)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayEvent:
        return self._gateway.read_webhook(headers, body, now)

    def close(self) -> None:
        self._gateway.close()

    @property
    def _refusal(self) -> str:
        return f"{self.title} has not answered several times in a row, so nothing is sent to it for a while"

    def _order(self, operation: str, key: str, send: Callable[[], GatewayResult]) -> GatewayResult:
        answer = self._call(operation, key, send, lambda result: str(result.outcome))
        if answer is None:
            return GatewayResult(Outcome.NOT_SENT, gateway_code=_CIRCUIT_OPEN, message=self._refusal)
        return answer

    def _call(self, operation: str, key: str, call: Callable[[], T], outcome: Callable[[T], str]) -> T | None:
        """The answer of `call`, which is not made (None) while the circuit is open."""
        if not self._breaker.admit():
            self._tell(operation, key, _CIRCUIT_OPEN, 0.0)
            return None
        begun = monotonic()
        told: str = Outcome.UNKNOWN
        try:
            with span("gateway call", gateway=self.name, operation=operation, key=key):
                answer = call()
            told = outcome(answer)
            return answer
        finally:
            # An exception counts as a failure: the probe of an open circuit must always come to an end.
            (self._breaker.failed if told in _FAILURES else self._breaker.succeeded)()
            seconds = monotonic() - begun
            self._metrics.seconds.labels(self.name, operation).observe(seconds)
            self._tell(operation, key, told, seconds)

    def _tell(self, operation: str, key: str, outcome: str, seconds: float) -> None:
        self._metrics.calls.labels(self.name, operation, outcome).inc()
        log.info(
            "gateway.called",
            gateway=self.name,
            operation=operation,
            attempt=key,
            outcome=outcome,
            milliseconds=round(seconds * 1000),
        )
