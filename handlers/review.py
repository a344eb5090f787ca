"""Operations about people's work: when two must decide, and when more must see it."""

from pydantic import Field

from app.engine import people
from app.operations import OperationContext, Params, Result, operation
from app.payments.queries import find_payment
from app.payments.reviewing import approval_limit, asked_by


class LimitsParams(Params):
    amount: int | None = Field(default=None, title="Amount", description="Minor units; empty: the payment's")
    currency: str | None = Field(default=None, title="Currency", description="Empty: the payment's")


class LimitsResult(Result):
    second_person: bool = Field(title="Second person", description="Whether two people must decide")
    limit: int | None = Field(title="Limit", description="The merchant's limit in minor units, if it set one")
    asked_by: list[str] = Field(title="Asked by", description="Who made the payment or its key; they may not decide")


@operation("review.limits", title="Apply the review limit")
def limits(context: OperationContext, params: LimitsParams) -> LimitsResult:
    """Tells whether the amount is above the merchant's limit, so that a second person must decide too, and who may not
    decide because they asked for it: exclude them from the tasks.
    """
    payment = find_payment(context.tx, context.merchant_id, context.subject)
    amount, currency = params.amount or payment.amount, params.currency or payment.currency
    limit = approval_limit(context.tx, context.merchant_id, "review_limit", currency)
    second_person = limit is not None and amount > limit
    return LimitsResult(second_person=second_person, limit=limit, asked_by=asked_by(context.tx, payment))


class EscalateParams(Params):
    groups: list[str] = Field(title="Groups", description="Groups who shall see the open tasks too")
    priority: int = Field(default=90, title="Priority", description="0 to 100; higher comes first", ge=0, le=100)


@operation("review.escalate", title="Escalate open tasks")
def escalate(context: OperationContext, params: EscalateParams) -> Result:
    """Shows the instance's open tasks to more people and puts them further up."""
    people.escalate(context.tx, context.instance_id, params.groups, params.priority)
    return Result()
