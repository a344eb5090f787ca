"""The reference flow of the benchmark, once in our dialect and once as SpiffWorkflow's own parser wants it.

Both draw the same 20 nodes: a risk score, authorization, a review for the risky, capture, and a settlement message; one
instance waits twice. The stock variant differs in the language of its expressions and in nothing else.
"""

from typing import Any

from tests.engine.diagrams import (
    boundary,
    catch,
    chain,
    declared_error,
    declared_message,
    draw,
    end,
    error,
    flow,
    gateway,
    message,
    node,
    script,
    service,
    start,
    timer,
    user,
)

DECLARED = (declared_message("settled", "=payment.id"), declared_error("DECLINED"))
STOCK_DECLARED = (declared_message("settled"), declared_error("DECLINED"))
SPIFF = "http://spiffworkflow.org/bpmn/schema/1.0/core"
VARIABLES: dict[str, Any] = {
    "payment": {"id": "pay_01", "amount": 12500, "currency": "EUR", "method": "card", "country": "DE"},
    "customer": {"id": "cus_1", "email": "buyer@example.test", "orders": 3, "tags": ["new", "newsletter"]},
    "basket": [{"sku": f"sku_{number}", "quantity": number, "price": 1250} for number in range(1, 6)],
    "gateway": "auto",
}
AUTHORIZED = {"reference": "ch_1", "score": 71}
DECIDED = {"decision": "approve", "reason": "known customer", "note": "", "data": {}, "actor": "usr_1"}


def _wired(*tasks: str, risky: str, capture: str) -> tuple[str, ...]:
    return (
        start(),
        *tasks,
        gateway("exclusive", "risky", "risky_take"),
        boundary("declined", "authorize", error("DECLINED")),
        boundary("overdue", "review", timer("timeDuration", capture)),
        gateway("exclusive", "approved", "approved_void"),
        gateway("exclusive", "take"),
        gateway("parallel", "fork"),
        gateway("parallel", "join"),
        end(),
        end("refused"),
        end("voided"),
        chain("s", "prepare", "authorize", "score", "risky"),
        flow("risky", "review", risky),
        chain("risky", "take", "capture", "fork", "settled", "join", "close", "e"),
        chain("fork", "notify", "join"),
        chain("review", "approved"),
        flow("approved", "void", "", "approved_void"),
        chain("void", "voided"),
        chain("declined", "refused"),
        chain("overdue", "voided"),
    )


OURS = draw(
    *_wired(
        script("prepare", "=payment.amount * 2", "limit"),
        service(
            "authorize", inputs={"amount": "=payment.amount"}, outputs={"reference": "=reference", "score": "=score"}
        ),
        script("score", '=if score > 70 then "high" else "low"', "level"),
        user("review", inputs={"amount": "=payment.amount"}, outputs={"decision": "=decision"}),
        service("capture", inputs={"reference": "=reference"}, outputs={"captured": "=reference"}),
        service("void", outputs={"released": "=reference"}),
        catch("settled", message("settled"), {"line": "=line"}),
        script("notify", '="told " + customer.email', "told"),
        script("close", "=true", "closed"),
        risky='=score > 70 and payment.amount >= 5000 and payment.currency in ["EUR", "USD"]',
        capture="PT4H",
    ),
    flow("approved", "take", '=decision = "approve"'),
    declare=DECLARED,
)


def _code(identity: str, text: str) -> str:
    return node("scriptTask", identity, f"<bpmn:script>{text}</bpmn:script>")


def _operator(identity: str, result: str) -> str:
    """A service task whose operation SpiffWorkflow's engine calls by itself; the answer goes into `result`."""
    drawn = f'<o:serviceTaskOperator xmlns:o="{SPIFF}" id="gw.{identity}" resultVariable="{result}"><o:parameters/>'
    return node("serviceTask", identity, "", f"{drawn}</o:serviceTaskOperator>")


STOCK = draw(
    *_wired(
        _code("prepare", "limit = payment['amount'] * 2"),
        _operator("authorize", "answer"),
        _code("score", "score = answer['score']; level = 'high' if score &gt; 70 else 'low'"),
        node("userTask", "review"),
        _operator("capture", "captured"),
        _operator("void", "released"),
        node("intermediateCatchEvent", "settled", message("settled")),
        _code("notify", "told = 'told ' + customer['email']"),
        _code("close", "closed = True"),
        risky="score > 70 and payment['amount'] >= 5000 and payment['currency'] in ['EUR', 'USD']",
        capture='"PT4H"',
    ),
    flow("approved", "take", "decision == 'approve'"),
    declare=STOCK_DECLARED,
)
