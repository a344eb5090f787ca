"""Operations about risk: facts to judge by, and what was judged."""

from typing import Any

from pydantic import Field

from app.kit.database import Json
from app.kit.money import EXPONENTS
from app.operations import OperationContext, Params, Result, operation
from app.payments import risk
from app.payments.queries import find_payment, lock_payment


@operation("risk.facts", title="Gather risk facts")
def facts(context: OperationContext, params: Params) -> risk.RiskFacts:
    """Counts what this card and this customer did lately, for a decision table to judge."""
    return risk.risk_facts(context.tx, find_payment(context.tx, context.merchant_id, context.subject))


class RecordParams(Params):
    score: int = Field(title="Score", description="0 to 100", ge=0, le=100)
    outcome: str = Field(title="Outcome", description="What the rules say: allow, review or block")
    rules: list[Any] = Field(default=[], title="Rules", description="The rules that fired: rule, sentence")
    compared_amount: int | None = Field(
        default=None, title="Compared amount", description="Minor units of the currency that rules compare in, about"
    )
    compared_currency: str = Field(default="", title="Compared currency", description="ISO 4217 code")


@operation("risk.record", title="Record the risk judgement")
def record(context: OperationContext, params: RecordParams) -> Result:
    """Keeps the score, the outcome and the rules that fired with the payment, for reviewers and reports."""
    payment = lock_payment(context.tx, context.merchant_id, context.subject)
    judged: Json = {"score": params.score, "outcome": params.outcome, "rules": params.rules}
    if params.compared_amount is not None and params.compared_currency in EXPONENTS:
        judged["compared"] = {"amount": params.compared_amount, "currency": params.compared_currency}
    payment.risk = judged
    return Result()
