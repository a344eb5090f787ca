"""Six gateway calls in a row, once drawn for us and once as SpiffWorkflow's own parser wants it.

Ours calls a gateway in this process through the room of payments as every operation on money does: the payment's row
lock, an attempt written before the call, its outcome after it. It books no ledger entries and tells no events.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from pydantic import Field

from app.gateways.port import (
    Authorize,
    BookedCharge,
    Capability,
    Capture,
    Evidence,
    GatewayDispute,
    GatewayEvent,
    GatewayResult,
    Lookup,
    LookupResult,
    Outcome,
    Refund,
    Void,
)
from app.operations import Effect, OperationContext, Params, Result, operation
from app.payments.attempts import Order, own_attempt, resume, start, write
from app.payments.queries import lock_payment
from app.payments.verbs import Case, Verb, register
from tests.engine.diagrams import chain, draw, end, node, service
from tests.engine.diagrams import start as begin

STEPS = ("validate", "fraud", "authorize", "capture", "ledger", "notify")
PROCESS = "six-calls"
GATEWAY = "instant"
#: What a payment brings along, for us and for every baseline.
PAYLOAD: dict[str, Any] = {
    "amount": 1999,
    "currency": "EUR",
    "merchant": "mer_42",
    "customer": {"id": "cus_1", "email": "a@example.org", "country": "DE"},
    "method": "pm_card_visa",
    "metadata": {"order": "1001", "note": "x" * 120},
}
DI = "http://www.omg.org/spec/DD/20100524/DI"
SPIFF = "http://spiffworkflow.org/bpmn/schema/1.0/core"


def answer(step: str) -> dict[str, Any]:
    """What the gateway says to everybody."""
    return {"ok": True, "reference": f"gw_{step}", "raw": {"status": "succeeded", "code": "00"}}


def _pictured(diagram: bytes) -> bytes:
    """The gate wants a diagram that people can look at: a shape for each node, an edge for each flow."""
    names = ("s", *STEPS, "e")
    box = '<dc:Bounds x="{}" y="0" width="80" height="60"/>'
    shapes = [
        f'<bpmndi:BPMNShape id="shape_{name}" bpmnElement="{name}">{box.format(100 * place)}</bpmndi:BPMNShape>'
        for place, name in enumerate(names)
    ]
    ends = '<di:waypoint x="{}" y="30"/><di:waypoint x="{}" y="30"/>'
    edges = [
        f'<bpmndi:BPMNEdge id="edge_{place}" bpmnElement="{a}_{b}">'
        f"{ends.format(100 * place + 80, 100 * place + 100)}</bpmndi:BPMNEdge>"
        for place, (a, b) in enumerate(pairwise(names))
    ]
    plane = f'<bpmndi:BPMNPlane id="pl" xmlns:di="{DI}" bpmnElement="{PROCESS}">{"".join(shapes + edges)}'
    return diagram.replace(b'<bpmndi:BPMNPlane id="pl">', plane.encode())


OURS = _pictured(
    draw(
        begin(),
        *(
            service(step, "bench.call", inputs={"step": f'="{step}"'}, outputs={f"r_{step}": "=reference"})
            for step in STEPS
        ),
        end(),
        chain("s", *STEPS, "e"),
        process=PROCESS,
    )
)


def _stock(step: str) -> str:
    parameter = '<o:parameter id="amount" type="int" value="amount"/>'
    drawn = f'<o:serviceTaskOperator xmlns:o="{SPIFF}" id="gw.{step}" resultVariable="r_{step}">'
    return node("serviceTask", step, "", f"{drawn}<o:parameters>{parameter}</o:parameters></o:serviceTaskOperator>")


STOCK = draw(begin(), *map(_stock, STEPS), end(), chain("s", *STEPS, "e"), process=PROCESS)


class CallParams(Params):
    step: str = Field(title="Step")


class CallResult(Result):
    attempt: str = Field(title="Attempt")
    reference: str = Field(title="Reference")


@operation("bench.call", title="Call the gateway")
def call(context: OperationContext, params: CallParams) -> CallResult | Effect:  # noqa: ARG001 - an operation's shape
    """Asks the gateway in this process, with everything that comes before and after a call about money."""
    payment = lock_payment(context.tx, context.merchant_id, context.subject)
    attempt = own_attempt(context, payment)
    if attempt is None:
        attempt = write(context, payment, Order("bench", GATEWAY, payment.amount, payment.currency))
        return start(context, Case(context.tx, payment, attempt))
    outcome = resume(context, Case(context.tx, payment, attempt))
    assert isinstance(outcome, CallResult | Effect)
    return outcome


class BenchVerb(Verb):
    operation = "bench"
    declined = "DECLINED"
    moves_amount = False

    def request(self, case: Case) -> Capture:
        return Capture(case.attempt.id, case.attempt.activation, case.money)

    def send(self, gateway: Any, request: object) -> GatewayResult:
        assert isinstance(request, Capture)
        told: GatewayResult = gateway.capture(request)
        return told

    def book(self, case: Case, result: GatewayResult) -> None:  # noqa: ARG002 - a verb's shape
        """Nothing beside the attempt; after the last call the payment is done, or its flow could not end."""
        if case.attempt.activation.startswith(STEPS[-1]):
            case.payment.status = "succeeded"

    def result(self, case: Case) -> CallResult:
        return CallResult(attempt=case.attempt.id, reference=case.attempt.gateway_reference)


register(BenchVerb())


class InstantGateway:
    """Answers at once, from memory."""

    name = GATEWAY
    title = "Instant"
    capabilities = frozenset(Capability)
    visible_after_seconds = 0.0
    lookup_ladder_seconds: tuple[float, ...] = (1.0,)
    pending_ladder_seconds: tuple[float, ...] = (1.0,)

    def capture(self, request: Capture) -> GatewayResult:
        told = answer(request.charge.partition("#")[0])
        return GatewayResult(Outcome.APPROVED, told["reference"], raw=told["raw"])

    def authorize(self, request: Authorize) -> GatewayResult:
        raise NotImplementedError

    def void(self, request: Void) -> GatewayResult:
        raise NotImplementedError

    def refund(self, request: Refund) -> GatewayResult:
        raise NotImplementedError

    def submit_evidence(self, request: Evidence) -> GatewayResult:
        raise NotImplementedError

    def accept_dispute(self, request: Evidence) -> GatewayResult:
        raise NotImplementedError

    def lookup(self, request: Lookup) -> LookupResult:
        raise NotImplementedError

    def dispute(self, dispute: str) -> GatewayDispute | None:
        raise NotImplementedError

    def books(self, since: datetime) -> Iterator[BookedCharge]:
        raise NotImplementedError

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayEvent:
        raise NotImplementedError

    def close(self) -> None:
        """There is nothing open."""
