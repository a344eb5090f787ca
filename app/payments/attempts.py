"""One attempt from intent to outcome: begin writes it ahead, call asks the gateway, finish books what came back.

`begin` is the operation's own transaction, `call` has none, `finish` is another. A crash anywhere in between is found
by the attempt's row: it is looked up, or sent again under the same key where that is safe, and otherwise unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from typing import Final

from app.engine.models import Instance
from app.gateways.port import Capability, Gateway, GatewayResult, Lookup, Outcome
from app.gateways.registry import Registry as Gateways
from app.installation import Sending
from app.kit.database import Tx, in_transaction
from app.kit.ids import derived_id
from app.kit.pulse import Pulse
from app.operations import OperationContext, OperationError, Result
from app.payments import held
from app.payments.booking import settle
from app.payments.charges import given_back, is_open, orphans, place_of
from app.payments.models import Attempt, Payment
from app.payments.queries import attempts_of, lock_payment, moment
from app.payments.verbs import ANSWER, Case, Verb, verb_of

#: A prepared call is not sent later than this unless the process is known to have been awake: shorter than what is left
#: of any lease after a save, so a worker that slept cannot send what somebody else has already found to be absent.
SEND_WITHIN_SECONDS: Final = 4.5
#: Gateways forget idempotency keys, the quickest after a day; an older attempt is never sent again.
RESEND_WITHIN: Final = timedelta(hours=12)

#: In an attempt's evidence: when another worker than the one that began it went on with it.
_RESUMED_AT: Final = "resumed_at"


@dataclass(frozen=True, slots=True)
class Order:
    """What an activation asks for: the operation, where, how much in minor units, and what it acts on."""

    operation: str
    gateway: str
    amount: int
    currency: str
    charge: str = ""
    final: bool = True
    refund_id: str | None = None
    dispute_id: str | None = None


@dataclass(frozen=True)
class Calling:
    """The effect of a begun attempt. `resumed` says that an earlier call may have been sent and its answer lost."""

    lane: str
    gateway: Gateway
    verb: Verb
    request: object
    lookup: Lookup
    payment_id: str
    resumed: bool
    may_resend: bool
    prepared_at: float
    pulse: Pulse

    def call(self) -> GatewayResult:
        assert not in_transaction(), "a gateway is never called inside a transaction"
        return self._recover() if self.resumed else self._send()

    def finish(self, context: OperationContext, answer: object) -> Result:
        """Book the answer and tell the diagram; raises OperationError for every outcome but an approval."""
        assert isinstance(answer, GatewayResult)
        payment = lock_payment(context.tx, context.merchant_id, self.payment_id)
        attempt = held.attempt(context.tx, payment.id, self.lookup.key)
        assert attempt is not None
        case = Case(context.tx, payment, attempt)
        settle(case, self._of_all_sendings(attempt, answer), ANSWER)
        return tell(context, case)

    def _of_all_sendings(self, attempt: Attempt, answer: GatewayResult) -> GatewayResult:
        """That this sending did not happen says nothing of the attempt once somebody else has gone on with it."""
        others = attempt.state == "finished" or _RESUMED_AT in (attempt.evidence or {})
        if answer.outcome is Outcome.NOT_SENT and others and not self.resumed:
            return replace(answer, outcome=Outcome.UNKNOWN)
        return answer

    def _send(self) -> GatewayResult:
        awake = self.pulse.unbroken_since(self.prepared_at)
        if not awake and self.pulse.moment() - self.prepared_at > SEND_WITHIN_SECONDS:
            return GatewayResult(Outcome.NOT_SENT, message="The call waited too long to be sent safely")
        return self.verb.send(self.gateway, self.request)

    def _recover(self) -> GatewayResult:
        if Capability.LOOKUP_BY_KEY in self.gateway.capabilities:
            found = self.verb.find(self.gateway, self.lookup)
            if found.found and found.result is not None:
                return found.result
        result = self._send() if self.may_resend else GatewayResult(Outcome.UNKNOWN)
        if result.outcome in (Outcome.NOT_SENT, Outcome.UNKNOWN):
            # This sending had no effect, but an earlier one may have had.
            return replace(result, outcome=Outcome.UNKNOWN, message="The answer to the call was lost")
        return result


def own_attempt(context: OperationContext, payment: Payment) -> Attempt | None:
    """The attempt this activation made before, if it came this far; the caller holds the payment's lock."""
    return held.attempt(context.tx, payment.id, _own_id(context))


def read(tx: Tx, attempt_id: str) -> Attempt | None:
    """The attempt as it is now; whoever is about to change it holds the payment's lock."""
    return held.find(tx, attempt_id) or tx.session.get(Attempt, attempt_id, populate_existing=True)


def write(context: OperationContext, payment: Payment, order: Order) -> Attempt:
    """Write the intent, already begun. Its id is the key under which the gateway will know it for ever.

    UnknownGateway, with nothing written, when the gateway is not configured.
    """
    context.use(Gateways).get(order.gateway)
    return held.begin(
        context.tx,
        {
            "id": _own_id(context),
            "merchant_id": payment.merchant_id,
            "payment_id": payment.id,
            "refund_id": order.refund_id,
            "dispute_id": order.dispute_id,
            "instance_id": context.instance_id,
            "activation": context.activation,
            "operation": order.operation,
            "gateway": order.gateway,
            "charge": order.charge,
            "amount": order.amount,
            "currency": order.currency,
            "final": order.final,
            "state": "begun",
            "begun_at": context.tx.now(),
            "created_at": context.tx.now(),
        },
    )


def start(context: OperationContext, case: Case, *, resumed: bool = False) -> Calling:
    """The effect that will call the gateway once this transaction is committed.

    An instance from before a restore may have made the very call that the restored database knows nothing of.
    """
    attempt = case.attempt
    gateway = context.use(Gateways).get(attempt.gateway)
    verb = verb_of(attempt.operation)
    found = context.resources.get(Pulse)
    pulse = found if isinstance(found, Pulse) else Pulse()
    return Calling(
        lane=gateway.name,
        gateway=gateway,
        verb=verb,
        request=verb.request(case),
        lookup=lookup_of(attempt),
        payment_id=case.payment.id,
        resumed=resumed or _from_before_restore(context),
        may_resend=_may_resend(gateway, attempt, case.tx),
        prepared_at=pulse.moment(),
        pulse=pulse,
    )


def resume(context: OperationContext, case: Case) -> Result | Calling:
    """Go on with an attempt that exists: tell its outcome again, or find out what became of it."""
    if case.attempt.state == "finished":
        return tell(context, case)
    # Whoever began it may be asleep and not dead; what it says later is to be seen in this light.
    case.attempt.evidence = {**(case.attempt.evidence or {}), _RESUMED_AT: moment(case.tx.now())}
    return start(context, case, resumed=True)


def tell(context: OperationContext, case: Case) -> Result:
    """The outcome as the diagram hears it: a result for an approval, an OperationError for everything else."""
    attempt = case.attempt
    verb = verb_of(attempt.operation)
    facts: dict[str, object] = {"attempt": attempt.id, "gateway": attempt.gateway, "ladder": ladder(context, attempt)}
    match attempt.outcome:
        case Outcome.APPROVED:
            return verb.result(case)
        case Outcome.DECLINED:
            return verb.tell_decline(case)
        case Outcome.NOT_SENT:
            message = attempt.message or f"{attempt.gateway} could not be reached; nothing was sent"
            raise OperationError("GATEWAY_UNAVAILABLE", message, facts)
        case Outcome.NEEDS_ACTION:
            url = (case.payment.next_action or {}).get("url", "")
            raise OperationError("AUTHENTICATION_REQUIRED", "The customer must authenticate", {**facts, "url": url})
        case Outcome.PENDING:
            raise OperationError("OUTCOME_PENDING", f"{attempt.gateway} has not decided yet", facts)
        case _:
            raise unknown(context, attempt)


def unknown(context: OperationContext, attempt: Attempt) -> OperationError:
    message = f"Nobody knows yet whether the {attempt.operation} took effect at {attempt.gateway}"
    facts = {"attempt": attempt.id, "gateway": attempt.gateway, "ladder": ladder(context, attempt)}
    return OperationError("OUTCOME_UNKNOWN", message, facts)


def ladder(context: OperationContext, attempt: Attempt) -> list[int]:
    """The waits in whole seconds before each lookup of an attempt whose outcome is open."""
    return rungs(context.use(Gateways).get(attempt.gateway), attempt)


def rungs(gateway: Gateway, attempt: Attempt) -> list[int]:
    """The gateway's ladder for how the attempt stands now: what is pending is in no hurry, what is unknown is."""
    pending = attempt.outcome == Outcome.PENDING
    waits = gateway.pending_ladder_seconds if pending else gateway.lookup_ladder_seconds
    return [ceil(seconds) for seconds in waits]


def unresolved(tx: Tx, payment: Payment, operations: Sequence[str], *, but: str = "") -> Attempt | None:
    """An attempt of one of `operations` whose effect is not known, leaving aside the one with id `but`.

    An authorization that was given back holds nothing, whatever it was. What is done to a hold that the payment does
    not count on says nothing of the one that it has.
    """
    attempts = attempts_of(tx, payment.id)
    gone, aside = given_back(attempts), orphans(payment, attempts)
    found = (
        attempt
        for attempt in attempts
        if attempt.operation in operations
        and attempt.id != but
        and is_open(attempt)
        and not (attempt.operation == "authorize" and place_of(attempt) in gone)
        and (attempt.gateway, attempt.charge) not in aside
    )
    return next(found, None)


def lookup_of(attempt: Attempt) -> Lookup:
    reference, charge = attempt.gateway_reference, attempt.charge
    return Lookup(attempt.operation, attempt.id, reference, charge, attempt.begun_at)


def _own_id(context: OperationContext) -> str:
    return derived_id("att", context.instance_id, context.activation)


def _from_before_restore(context: OperationContext) -> bool:
    sending = context.resources.get(Sending)
    if not isinstance(sending, Sending) or sending.restored_at is None:
        return False
    return context.tx.session.get_one(Instance, context.instance_id).created_at <= sending.restored_at


def _may_resend(gateway: Gateway, attempt: Attempt, tx: Tx) -> bool:
    begun_at = attempt.begun_at
    recent = begun_at is not None and tx.now() - begun_at < RESEND_WITHIN
    return recent and Capability.IDEMPOTENT in gateway.capabilities
