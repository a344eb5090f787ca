"""Answering a dispute at its gateway: evidence is handed in once per stage, or the dispute is accepted."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from pydantic import Field

from app.disputes.funds import move
from app.disputes.models import Dispute
from app.disputes.queries import lock_dispute
from app.disputes.service import AnswerOutdated, take_in, unresolved_attempt
from app.disputes.states import DisputeStatus
from app.gateways.port import Evidence, Gateway, GatewayDispute, GatewayResult, Lookup, LookupResult, Outcome
from app.gateways.registry import Registry as Gateways
from app.kit.database import in_transaction
from app.operations import Effect, OperationContext, OperationError, Result
from app.payments import attempts
from app.payments.queries import moment
from app.payments.verbs import Case, Verb, register


class AnswerResult(Result):
    """The gateway has the answer."""

    attempt: str = Field(title="Attempt", description="Id of the attempt")
    status: str = Field(title="Status", description="The dispute's status now")


class RefreshResult(Result):
    """The dispute as the gateway tells it now."""

    stage: str = Field(title="Stage", description="The dispute's stage now")
    status: str = Field(title="Status", description="The dispute's status now")
    due_by: str | None = Field(title="Due by", description="The gateway's deadline")


def answer(context: OperationContext, operation: str, stage: str | None) -> AnswerResult | Effect:
    """Begin to answer the dispute the instance is about: `submit_evidence` or `accept_dispute`.

    DISPUTE_NOT_DEFENDABLE when it is in another stage than the given one.
    """
    payment, dispute = lock_dispute(context.tx, context.merchant_id, context.subject)
    attempt = attempts.own_attempt(context, payment)
    if attempt is not None:
        outcome = attempts.resume(context, Case(context.tx, payment, attempt))
        assert isinstance(outcome, AnswerResult | attempts.Calling)
        if isinstance(outcome, attempts.Calling) and stage not in (None, dispute.stage):
            # Nobody has decided about this stage: what became of the answer is found out, and it is not sent again.
            return replace(outcome, may_resend=False)
        return outcome
    open_attempt = unresolved_attempt(context.tx, dispute.id)
    if open_attempt is not None:
        raise attempts.unknown(context, open_attempt)
    _check(context, dispute, operation, stage)
    order = attempts.Order(
        operation, dispute.gateway, dispute.amount, dispute.currency, dispute.gateway_reference, dispute_id=dispute.id
    )
    attempt = attempts.write(context, payment, order)
    return attempts.start(context, Case(context.tx, payment, attempt))


def _check(context: OperationContext, dispute: Dispute, operation: str, stage: str | None) -> None:
    why = ""
    if stage is not None and dispute.stage != stage:
        why = f"the answer was meant for stage {stage}, and it is in {dispute.stage}"
    elif dispute.status != DisputeStatus.NEEDS_RESPONSE:
        why = f"it is {dispute.status}"
    elif dispute.due_by is not None and dispute.due_by <= context.tx.now():
        why = f"its deadline passed at {moment(dispute.due_by)}"
    elif operation == "submit_evidence" and dispute.submitted_at is not None:
        why = "evidence was handed in before"
    elif operation == "submit_evidence" and not dispute.evidence:
        why = "there is no evidence; put some first"
    if why:
        facts = {"stage": dispute.stage, "status": dispute.status}
        raise OperationError("DISPUTE_NOT_DEFENDABLE", f"The dispute takes no answer: {why}", facts)


class AnswerVerb(Verb):
    """What evidence and acceptance have in common."""

    declined = "DISPUTE_NOT_DEFENDABLE"
    moves_amount = False
    becomes: ClassVar[DisputeStatus]
    #: What gateways call the operation when it is looked up.
    known_as: ClassVar[str]

    def find(self, gateway: Gateway, lookup: Lookup) -> LookupResult:
        return gateway.lookup(replace(lookup, operation=self.known_as))

    def request(self, case: Case) -> Evidence:
        facts = {name: str(text) for name, text in _dispute(case).evidence.items()}
        return Evidence(case.attempt.id, case.attempt.charge, facts)

    def book(self, case: Case, result: GatewayResult) -> None:
        if result.outcome is not Outcome.APPROVED:
            return
        dispute = _dispute(case)
        if self.becomes is DisputeStatus.UNDER_REVIEW:
            dispute.submitted_at = case.tx.now()
        if dispute.status == DisputeStatus.NEEDS_RESPONSE:
            move(case.tx, case.payment, dispute, dispute.stage, self.becomes, case.actor)

    def result(self, case: Case) -> AnswerResult:
        return AnswerResult(attempt=case.attempt.id, status=_dispute(case).status)


class SubmitVerb(AnswerVerb):
    operation = "submit_evidence"
    becomes = DisputeStatus.UNDER_REVIEW
    known_as = "evidence"

    def send(self, gateway: Gateway, request: object) -> GatewayResult:
        assert isinstance(request, Evidence)
        return gateway.submit_evidence(request)


class AcceptVerb(AnswerVerb):
    operation = "accept_dispute"
    becomes = DisputeStatus.ACCEPTED
    known_as = "accept"

    def send(self, gateway: Gateway, request: object) -> GatewayResult:
        assert isinstance(request, Evidence)
        return gateway.accept_dispute(request)


def _dispute(case: Case) -> Dispute:
    return case.tx.session.get_one(Dispute, case.attempt.dispute_id, populate_existing=True)


@dataclass(frozen=True, slots=True)
class Refreshing:
    """The effect of asking a gateway how a dispute stands."""

    lane: str
    gateway: Gateway
    gateway_reference: str
    asked_at: datetime

    def call(self) -> GatewayDispute | None:
        assert not in_transaction(), "a gateway is never called inside a transaction"
        return self.gateway.dispute(self.gateway_reference)

    def finish(self, context: OperationContext, answer: object) -> RefreshResult:
        payment, dispute = lock_dispute(context.tx, context.merchant_id, context.subject)
        if isinstance(answer, GatewayDispute):
            # What was booked meanwhile is newer.
            with suppress(AnswerOutdated):
                take_in(context.tx, payment, dispute, answer, self.asked_at)
        return RefreshResult(stage=dispute.stage, status=dispute.status, due_by=moment(dispute.due_by))


def refresh(context: OperationContext) -> Effect:
    """Ask the gateway how the dispute the instance is about stands now."""
    _, dispute = lock_dispute(context.tx, context.merchant_id, context.subject)
    gateway = context.use(Gateways).get(dispute.gateway)
    return Refreshing(gateway.name, gateway, dispute.gateway_reference, context.now)


SUBMIT = SubmitVerb()
ACCEPT = AcceptVerb()
register(SUBMIT)
register(ACCEPT)
