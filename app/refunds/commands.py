"""What may be asked about refunds from outside."""

from typing import Literal

from pydantic import Field

from app.payments.commands import Amount, Command, ShortText


class CreateRefund(Command):
    """`POST /v1/refunds`. Without an amount it is everything that can still be given back."""

    payment: ShortText = Field(description="Id of the payment")
    amount: Amount | None = None
    reason: Literal["requested_by_customer", "duplicate", "fraudulent", "other"] = "requested_by_customer"
