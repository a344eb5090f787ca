"""Operations on the refund that an instance is about."""

from typing import Literal

from pydantic import Field

from app.operations import Effect, OperationContext, Params, Result, operation
from app.refunds import sending, service


class StatusResult(Result):
    status: str = Field(title="Status", description="The refund's status now")


@operation("refund.check", title="Check the refund")
def check(context: OperationContext, params: Params) -> service.RefundCheck:
    """Tells the amount, who asked for it, and whether another person must approve it."""
    return service.check(context.tx, context.merchant_id, context.subject)


class ApproveParams(Params):
    by: str = Field(title="Approved by", description="Who decided `approve` in a task of this flow; never who asked")


@operation("refund.approve", title="Approve the refund")
def approve(context: OperationContext, params: ApproveParams) -> StatusResult:
    """Lets the refund go out. Refused when the same person asked for it, or did not approve it in a task."""
    refund = service.approve(context.tx, context.merchant_id, context.subject, params.by)
    return StatusResult(status=refund.status)


@operation(
    "refund.send",
    title="Send the refund",
    moves_money=True,
    errors={
        "REFUND_DECLINED": "The gateway refused the refund",
        "GATEWAY_UNAVAILABLE": "The gateway could not be reached; surely nothing was sent",
        "OUTCOME_PENDING": "The gateway accepted it and decides later; wait for its message or look it up",
        "OUTCOME_UNKNOWN": "Nobody knows whether it took effect; look it up before anything else is tried",
    },
)
def send(context: OperationContext, params: Params) -> sending.SentResult | Effect:
    """Gives the money back through the gateway that took it."""
    return sending.send(context)


class TransitionParams(Params):
    to: Literal["failed", "canceled"] = Field(title="Status")
    reason: str = Field(default="", title="Reason", description="Shown as status_reason", max_length=200)


@operation("refund.transition", title="End the refund")
def transition(context: OperationContext, params: TransitionParams) -> StatusResult:
    """Ends a refund that took no effect and frees what it had reserved."""
    refund = service.transition(context.tx, context.merchant_id, context.subject, params.to, params.reason)
    return StatusResult(status=refund.status)
