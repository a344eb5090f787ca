"""Gateways that stand before another one: a witness that looks whether intents were written, and the breaks.

The breaks are what Sluice must never do. A run with one of them has to fail, or it would prove nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from app.gateways.port import (
    Authorize,
    BookedCharge,
    Capture,
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
from app.kit.ids import new_id
from app.operations import Effect, OperationContext, Params, Registry, Result

BREAKS: Final = ("", "fresh-keys", "no-write-ahead", "hasty-failover")
Order = TypeVar("Order", Authorize, Capture, Void, Refund, Evidence)


class Relay:
    """Passes everything on. `before` may look at an order, or change it, on its way."""

    def __init__(self, gateway: Gateway) -> None:
        self.name = gateway.name
        self.title = gateway.title
        self.capabilities = gateway.capabilities
        self.visible_after_seconds = gateway.visible_after_seconds
        self.lookup_ladder_seconds = gateway.lookup_ladder_seconds
        self.pending_ladder_seconds = gateway.pending_ladder_seconds
        self._gateway = gateway

    def before(self, verb: str, order: Order) -> Order:  # noqa: ARG002 - for those who look
        return order

    def authorize(self, request: Authorize) -> GatewayResult:
        return self._gateway.authorize(self.before("authorize", request))

    def capture(self, request: Capture) -> GatewayResult:
        return self._gateway.capture(self.before("capture", request))

    def void(self, request: Void) -> GatewayResult:
        return self._gateway.void(self.before("void", request))

    def refund(self, request: Refund) -> GatewayResult:
        return self._gateway.refund(self.before("refund", request))

    def submit_evidence(self, request: Evidence) -> GatewayResult:
        return self._gateway.submit_evidence(self.before("submit_evidence", request))

    def accept_dispute(self, request: Evidence) -> GatewayResult:
        return self._gateway.accept_dispute(self.before("accept_dispute", request))

    def lookup(self, request: Lookup) -> LookupResult:
        return self._gateway.lookup(request)

    def dispute(self, dispute: str) -> GatewayDispute | None:
        return self._gateway.dispute(dispute)

    def books(self, since: datetime) -> Iterator[BookedCharge]:
        return self._gateway.books(since)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayEvent:
        return self._gateway.read_webhook(headers, body, now)

    def close(self) -> None:
        self._gateway.close()


class Witnessed(Relay):
    """Tells `witness` the verb and the key of every order before it leaves."""

    def __init__(self, gateway: Gateway, witness: Callable[[str, str], None]) -> None:
        super().__init__(gateway)
        self._witness = witness

    def before(self, verb: str, order: Order) -> Order:
        self._witness(verb, order.key)
        return order


class FreshKeys(Relay):
    """Every sending has a key of its own, so that a gateway cannot know that it was asked before."""

    def before(self, verb: str, order: Order) -> Order:  # noqa: ARG002 - it does so to all of them
        return replace(order, key=new_id("att"))


class HastyFailover(Relay):
    """An authorization that nobody answered counts as one that was not sent, so the next gateway is asked at once."""

    def authorize(self, request: Authorize) -> GatewayResult:
        result = super().authorize(request)
        return replace(result, outcome=Outcome.NOT_SENT) if result.outcome is Outcome.UNKNOWN else result


def relayed(gateways: Iterable[Gateway], breaking: str) -> list[Gateway]:
    """The gateways as this break has them."""
    relays: Mapping[str, type[Relay]] = {"fresh-keys": FreshKeys, "hasty-failover": HastyFailover}
    relay = relays.get(breaking)
    return [gateway if relay is None else relay(gateway) for gateway in gateways]


@dataclass(frozen=True)
class _Sent:
    """An effect that was made before its intent was on disk."""

    effect: Effect
    answer: object

    @property
    def lane(self) -> str:
        return self.effect.lane

    def call(self) -> object:
        return self.answer

    def finish(self, context: OperationContext, answer: object) -> Result:
        return self.effect.finish(context, answer)


def without_write_ahead(operations: Registry) -> Registry:
    """The same operations, whose calls are made in the middle of the transaction that writes their intent."""
    hasty = Registry()
    for operation in operations:

        def handler(
            context: OperationContext,
            params: Params,
            given: Callable[[OperationContext, Params], Result | Effect] = operation.handler,
        ) -> Result | Effect:
            outcome = given(context, params)
            # In a context of its own the call does not notice that a transaction is open.
            return _Sent(outcome, Context().run(outcome.call)) if isinstance(outcome, Effect) else outcome

        hasty._operations[operation.name] = replace(operation, handler=handler)  # noqa: SLF001 - that is the break
    return hasty
