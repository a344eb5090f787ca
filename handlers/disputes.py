"""Operations on the dispute that an instance is about."""

from typing import Literal

from pydantic import Field

from app.disputes import answering, gathering, service
from app.operations import Effect, OperationContext, Params, Result, operation

ANSWER_ERRORS = {
    "DISPUTE_NOT_DEFENDABLE": "The dispute takes no answer: too late, answered, another stage, or nothing to hand in",
    "GATEWAY_UNAVAILABLE": "The gateway could not be reached; surely nothing was sent",
    "OUTCOME_PENDING": "The gateway accepted it and decides later; wait for its message or look it up",
    "OUTCOME_UNKNOWN": "Nobody knows whether it took effect; look it up before anything else is tried",
}


@operation("dispute.gather", title="Gather evidence")
def gather(context: OperationContext, params: Params) -> gathering.Gathered:
    """Collects what is known about the payment as evidence, and tells until when people must answer."""
    return gathering.gather(context.tx, context.merchant_id, context.subject)


class AnswerParams(Params):
    stage: str | None = Field(default=None, title="Stage", description="Decided in it. Empty: whichever it is in now")


@operation("dispute.submit", title="Submit the evidence", errors=ANSWER_ERRORS)
def submit(context: OperationContext, params: AnswerParams) -> answering.AnswerResult | Effect:
    """Hands the evidence in. That can be done once in each stage."""
    return answering.answer(context, "submit_evidence", params.stage)


@operation("dispute.accept", title="Accept the dispute", moves_money=True, errors=ANSWER_ERRORS)
def accept(context: OperationContext, params: AnswerParams) -> answering.AnswerResult | Effect:
    """Gives the amount up."""
    return answering.answer(context, "accept_dispute", params.stage)


@operation("dispute.refresh", title="Refresh the dispute")
def refresh(context: OperationContext, params: Params) -> answering.RefreshResult | Effect:
    """Asks the gateway how the dispute stands now and books it."""
    return answering.refresh(context)


class TransitionParams(Params):
    to: Literal["expired"] = Field(title="Status", description="All else is the gateway's word")
    reason: str = Field(default="", title="Reason", max_length=200)


class TransitionResult(Result):
    status: str = Field(title="Status", description="The dispute's status now")


@operation("dispute.transition", title="State that the deadline was missed")
def transition(context: OperationContext, params: TransitionParams) -> TransitionResult:
    """Marks a dispute as expired once its deadline has passed without an answer."""
    dispute = service.transition(context.tx, context.merchant_id, context.subject, params.to)
    return TransitionResult(status=dispute.status)
