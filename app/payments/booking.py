"""The one way an outcome is booked, whoever brings it: the answer itself, a lookup, a webhook, or people.

What is resolved stays resolved. News that contradicts it moves no terminal state; it is kept on the attempt, told as
an event and shown to people as an incident, so money is never silently orphaned.
"""

from dataclasses import replace
from typing import Final

from app.engine import incidents
from app.events.outbox import emit
from app.gateways.port import GatewayResult, Outcome
from app.gateways.redact import redacted
from app.kit.database import Json
from app.payments.outcomes import UNRESOLVED, WITHOUT_EFFECT
from app.payments.queries import moment, payment_view
from app.payments.verbs import ANSWER, LOOKUP, WEBHOOK, Case, Source, Verb, verb_of

#: The kind of incident of a gateway that says something else than what is resolved.
CONTRADICTION: Final = "contradiction"
#: Sources of evidence that tell how the gateway's object stands at that moment.
_LOOKED_UP: Final = frozenset({LOOKUP.kind, WEBHOOK.kind, "late_failure"})


def settle(case: Case, result: GatewayResult, source: Source) -> None:
    """Book `result` for the attempt. Telling the same thing again changes nothing."""
    attempt = case.attempt
    verb = verb_of(attempt.operation)
    result = _checked(case, verb, result)
    if attempt.state == "finished" and attempt.outcome not in UNRESOLVED:
        _compare(case, verb, result, source)
    elif attempt.state == "finished" and result.outcome in (attempt.outcome, Outcome.UNKNOWN):
        attempt.gateway_reference = attempt.gateway_reference or result.gateway_reference
    elif source is LOOKUP or attempt.state != "begun" or not verb.old(case, result):
        _record(case, result, source)
        verb.book(case, result)


def report(case: Case, kind: str, message: str, details: Json, *, about: str = "") -> None:
    """Open an incident about this attempt; `about` tells those of one kind apart."""
    attempt = case.attempt
    incidents.report(
        case.tx,
        attempt.merchant_id,
        attempt.instance_id,
        attempt.refund_id or attempt.dispute_id or attempt.payment_id,
        f"{attempt.activation}!{about}" if about else attempt.activation,
        kind,
        message,
        {"attempt": attempt.id, "gateway": attempt.gateway, **details},
    )


def contradict(case: Case, result: GatewayResult, source: Source, message: str) -> None:
    """Keep what was said against a resolved attempt, tell it, and show it to people; once per thing said.

    Each charge has an incident of its own, so that none is forgotten when another one is dealt with.
    """
    attempt = case.attempt
    reference = result.gateway_reference or attempt.gateway_reference
    said = {"outcome": str(result.outcome), "gateway_reference": reference, "source": source.kind}
    evidence = attempt.evidence or {}
    if any(old.items() >= said.items() for old in evidence.get("contradictions", [])):
        return
    dated = {**said, "at": moment(case.tx.now())}
    attempt.evidence = {**evidence, "contradictions": [*evidence.get("contradictions", []), dated]}
    report(case, CONTRADICTION, message, said, about=reference)
    payment = case.payment
    emit(
        case.tx,
        payment.merchant_id,
        "payment.contradiction",
        payment.id,
        payment_view(case.tx, payment),
        case.actor.id,
    )


def _checked(case: Case, verb: Verb, result: GatewayResult) -> GatewayResult:
    """An approval of another amount or currency than was asked is no approval: nobody knows what it is. One of a hold
    that nobody could capture or give back is none either.
    """
    asked = case.money
    if result.outcome is not Outcome.APPROVED:
        return result
    if case.attempt.operation == "authorize" and not (result.gateway_reference or case.attempt.gateway_reference):
        message = f"{case.attempt.gateway} approved without naming the charge; look at its books"
        return replace(result, outcome=Outcome.UNKNOWN, message=message)
    if not verb.moves_amount or result.amount in (None, asked):
        return result
    message = f"{case.attempt.gateway} approved {result.amount} where {asked} was asked; look at its books"
    report(case, "amount_mismatch", message, {"approved": str(result.amount), "asked": str(asked)})
    return replace(result, outcome=Outcome.UNKNOWN, message=message)


def _record(case: Case, result: GatewayResult, source: Source) -> None:
    attempt = case.attempt
    attempt.state = "finished"
    attempt.outcome = str(result.outcome)
    attempt.gateway_reference = result.gateway_reference or attempt.gateway_reference
    attempt.decline_code = str(result.decline or "")
    attempt.gateway_code = result.gateway_code
    attempt.message = redacted(result.message)
    attempt.raw = dict(result.raw) or attempt.raw
    attempt.finished_at = case.tx.now()
    if source is not ANSWER:
        attempt.evidence = {
            **(attempt.evidence or {}),
            "source": source.kind,
            "by": list(source.by),
            "note": source.note,
            "at": moment(case.tx.now()),
        }


def _compare(case: Case, verb: Verb, result: GatewayResult, source: Source) -> None:
    attempt = case.attempt
    if result.outcome in UNRESOLVED or result.outcome is Outcome.NOT_SENT:
        return
    if attempt.outcome in WITHOUT_EFFECT and result.outcome in WITHOUT_EFFECT:
        return
    same_reference = not result.gateway_reference or result.gateway_reference == attempt.gateway_reference
    known_by = (attempt.evidence or {}).get("source")
    if source is ANSWER and result.gateway_reference and same_reference and known_by in _LOOKED_UP:
        return  # how the same object stood before it was looked up; that answer only came in later
    if result.outcome == attempt.outcome and same_reference:
        return
    if not attempt.gateway_reference and result.outcome == attempt.outcome:
        attempt.gateway_reference = result.gateway_reference
        return
    if verb.late(case, result):
        return
    message = (
        f"{attempt.gateway} now says {result.outcome} ({result.gateway_reference or 'no reference'}) about the "
        f"{attempt.operation} that was resolved as {attempt.outcome}; compare with its books and repair by hand"
    )
    contradict(case, result, source, message)
