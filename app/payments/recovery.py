"""Finding out what became of an attempt: a lookup at its gateway, or two people who looked into its books.

An attempt that is resolved is told at once. "Absent" is evidence only after the gateway's visibility window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field
from sqlalchemy import select

from app.access.models import User
from app.engine import inbox, people
from app.engine.models import Task
from app.errors import AppError, FourEyes, InvalidInput, NotFound
from app.gateways.port import Gateway, GatewayResult, Lookup, LookupResult, Outcome
from app.gateways.registry import Registry as Gateways
from app.kit.database import Tx, in_transaction
from app.operations import Effect, OperationContext, OperationError, Result
from app.payments.attempts import lookup_of, read, rungs
from app.payments.booking import settle
from app.payments.models import Attempt, Payment
from app.payments.outcomes import UNRESOLVED
from app.payments.queries import lock_payment
from app.payments.verbs import LOOKUP, Case, Source, Verb, retry_of, verb_of

#: What people say about an attempt in their tasks.
CHARGED: Final = "charged"
NOT_CHARGED: Final = "not_charged"
_MESSAGE_LASTS: Final = timedelta(days=7)


class AttemptNotFound(NotFound):
    code = "attempt_not_found"
    title = "There is no such attempt"


class TwoPeopleNeeded(FourEyes):
    title = "Two different people must decide this"


class NotUnknown(AppError):
    code = "not_unknown"
    title = "The outcome of this attempt is already known"
    status = 409


class LookupResolution(Result):
    """`resolution`: approved, declined, pending, needs_action, absent (surely no effect) or unclear.

    `needs_action` is said of an authorization alone: the gateway waits for its customer, so asking on is in vain.
    `expires_at` is when the hold ends that an approved authorization made. `waits` is how long to wait before each
    further look, in seconds; empty when there is nothing left to find out.
    """

    resolution: str = Field(title="Resolution", description="See the operation")
    decline_code: str = Field(title="Decline code", description="Why it was declined")
    retry: str = Field(title="Retry", description="What the decline allows: never, later, authenticate")
    expires_at: datetime | None = Field(title="Expires", description="When the payment's authorization ends")
    waits: list[int] = Field(default=[], title="Waits", description="Seconds to wait before each further look")


class Answered(LookupResolution):
    """`said` is the gateway's own word, which changes nothing of what is resolved: an outcome, absent or unclear."""

    said: str = Field(default="", title="Said", description="The gateway's own word; empty when it was not asked")


@dataclass(frozen=True, slots=True)
class Looking:
    """The effect of a lookup. `absence_counts` was decided before asking, so a slow answer makes nothing older.

    `again` wants to know how it stands now: what was known `before` is no answer, and others may wait for what is new.
    """

    lane: str
    gateway: Gateway
    verb: Verb
    lookup: Lookup
    payment_id: str
    merchant_id: str
    absence_counts: bool
    again: bool = False
    before: str = ""

    def call(self) -> LookupResult:
        assert not in_transaction(), "a gateway is never called inside a transaction"
        return self.verb.find(self.gateway, self.lookup)

    def finish(self, context: OperationContext, answer: object) -> Answered:
        assert isinstance(answer, LookupResult)
        attempt = self.take_in(context.tx, answer, LOOKUP)
        found = Answered(**resolution(context.tx, attempt).model_dump(), said=_word(answer))
        if self.again and in_words(attempt) != self.before:
            wake(context.tx, attempt)
        if self.again and not answer.found:
            return found.model_copy(update={"resolution": "unclear"})
        open_still = attempt.outcome in UNRESOLVED
        return found.model_copy(update={"waits": rungs(self.gateway, attempt)}) if open_still else found

    def take_in(self, tx: Tx, answer: object, source: Source) -> Attempt:
        """Book what the answer proves, if anything."""
        assert isinstance(answer, LookupResult)
        payment = lock_payment(tx, self.merchant_id, self.payment_id)
        attempt = read(tx, self.lookup.key)
        assert attempt is not None
        attempt.lookups += 1
        case = Case(tx, payment, attempt)
        if answer.found and answer.result is not None:
            settle(case, answer.result, source)
        elif answer.found is False and self.absence_counts and attempt.outcome == "unknown":
            message = f"{attempt.gateway} knows no such {attempt.operation}, and would by now"
            settle(case, GatewayResult(Outcome.NOT_SENT, message=message), source)
        tx.session.flush()
        return attempt


def looking(tx: Tx, gateways: Gateways, attempt: Attempt) -> Looking:
    """The lookup of `attempt`, to be called with no transaction open."""
    gateway = gateways.get(attempt.gateway)
    # The window opens when our side had surely stopped sending.
    since = attempt.finished_at or attempt.begun_at
    window = timedelta(seconds=gateway.visible_after_seconds)
    return Looking(
        lane=gateway.name,
        gateway=gateway,
        verb=verb_of(attempt.operation),
        lookup=lookup_of(attempt),
        payment_id=attempt.payment_id,
        merchant_id=attempt.merchant_id,
        absence_counts=attempt.state == "finished" and since is not None and tx.now() - since >= window,
    )


def lookup(context: OperationContext, attempt_id: str, *, again: bool = False) -> Answered | Effect:
    """Ask the gateway what became of the attempt, unless that is known; `again` asks even then, for late failures."""
    attempt = find_attempt(context.tx, context.merchant_id, attempt_id)
    if attempt.state == "finished" and attempt.outcome not in UNRESOLVED and not again:
        return Answered(**resolution(context.tx, attempt).model_dump())
    return replace(looking(context.tx, context.use(Gateways), attempt), again=again, before=in_words(attempt))


def wake(tx: Tx, attempt: Attempt, once: str = "") -> None:
    """Tell the flow that waits for news of the attempt, if there is one, that there are some.

    `once` names what brought them; by itself it is that somebody asked and heard this outcome.
    """
    heard = {"attempt": attempt.id, "outcome": attempt.outcome}
    once = once or f"recheck:{attempt.id}:{attempt.outcome}"
    inbox.publish_message(tx, attempt.merchant_id, "gateway.event", attempt.id, heard, once, ttl=_MESSAGE_LASTS)


def _word(answer: LookupResult) -> str:
    if answer.found and answer.result is not None:
        return str(answer.result.outcome)
    return "absent" if answer.found is False else "unclear"


def resolution(tx: Tx, attempt: Attempt) -> LookupResolution:
    """How the attempt stands, in the words of a lookup; `expires_at` is when the payment's authorization ends."""
    payment = tx.session.get_one(Payment, attempt.payment_id)
    declined = attempt.outcome == "declined"
    holds = attempt.operation == "authorize" and attempt.outcome == "approved"
    return LookupResolution(
        resolution=in_words(attempt),
        decline_code=attempt.decline_code if declined else "",
        retry=str(retry_of(attempt.decline_code)) if declined else "",
        expires_at=payment.authorization_expires_at if holds else None,
    )


def in_words(attempt: Attempt) -> str:
    """The attempt's outcome as a resolution."""
    if attempt.outcome == Outcome.NEEDS_ACTION and attempt.operation != "authorize":
        return "unclear"  # no flow could send the customer anywhere
    words = {"not_sent": "absent", "unknown": "unclear", None: "unclear"}
    return words.get(attempt.outcome) or str(attempt.outcome)


def find_attempt(tx: Tx, merchant_id: str, attempt_id: str) -> Attempt:
    attempt = read(tx, attempt_id)
    if attempt is None or attempt.merchant_id != merchant_id:
        raise AttemptNotFound(f"There is no attempt {attempt_id!r}")
    return attempt


@dataclass(frozen=True, slots=True)
class Finding:
    """What two people found in the gateway's books about one attempt; `gateway_reference` is what both read there."""

    attempt: str
    charged: bool
    by: Sequence[str]
    note: str
    gateway_reference: str = ""


def resolve(tx: Tx, merchant_id: str, instance_id: str, finding: Finding) -> LookupResolution:
    """Book what two different people of the merchant found; TwoPeopleNeeded for fewer.

    A name in `finding` is no evidence: each of them must have said so last in a task of the instance, and of what took
    effect each must have written the same reference. REFERENCE_MISSING when a capture would not know its charge.
    """
    attempt = find_attempt(tx, merchant_id, finding.attempt)
    payment = lock_payment(tx, merchant_id, attempt.payment_id)
    attempt = find_attempt(tx, merchant_id, finding.attempt)
    found = Outcome.APPROVED if finding.charged else Outcome.NOT_SENT
    if attempt.state != "finished" or attempt.outcome not in UNRESOLVED:
        if attempt.outcome == found:
            return resolution(tx, attempt)
        raise NotUnknown(f"The attempt is {attempt.outcome or attempt.state}; there is nothing to resolve")
    agreeing = _people(tx, merchant_id, instance_id, finding)
    if not finding.note.strip():
        raise InvalidInput("Say in a note what was found in the gateway's books")
    reference = finding.gateway_reference or attempt.gateway_reference
    if finding.charged and attempt.operation == "authorize" and not reference:
        raise OperationError(
            "REFERENCE_MISSING", "A capture needs the charge's reference as the gateway's books show it"
        )
    case = Case(tx, payment, attempt)
    result = GatewayResult(found, gateway_reference=finding.gateway_reference, message="Resolved by people")
    settle(case, result, Source("people", agreeing, finding.note))
    return resolution(tx, attempt)


def _people(tx: Tx, merchant_id: str, instance_id: str, finding: Finding) -> tuple[str, ...]:
    known = tx.session.scalars(
        select(User.id).where(User.merchant_id == merchant_id, User.id.in_(finding.by), User.disabled_at.is_(None))
    )
    about = Task.facts["attempt"].astext == finding.attempt
    decided = people.decisions(tx, Task.instance_id == instance_id, about)
    agreeing = tuple(sorted(user for user in known if user in decided and _says(decided[user], finding)))
    if len(agreeing) < 2:
        what = f"“{CHARGED}” and written the same reference" if finding.charged else f"“{NOT_CHARGED}”"
        raise TwoPeopleNeeded(f"Two different people of the merchant must have decided {what} about the attempt")
    return agreeing


def _says(task: Task, finding: Finding) -> bool:
    if not finding.charged:
        return task.decision == NOT_CHARGED
    reference = str((task.data or {}).get("gateway_reference", "")).strip()
    return task.decision == CHARGED and reference == finding.gateway_reference
