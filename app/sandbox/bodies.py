"""The shapes of request bodies. They are strict: a field that is unknown or of another type is refused by name."""

from typing import Annotated, Literal, TypeVar

import orjson
from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.kit.money import MAX_MINOR
from app.sandbox.refusals import Malformed

Amount = Annotated[int, Field(gt=0, le=MAX_MINOR)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Url = Annotated[str, Field(max_length=2000, pattern="^(https?://.*)?$")]


class Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ChargeBody(Body):
    reference: Annotated[str, Field(min_length=1, max_length=100)]
    amount: Amount
    currency: Currency
    payment_method: Annotated[str, Field(min_length=1, max_length=100)]
    return_url: Url = ""
    capture: bool = False


class CaptureBody(Body):
    amount: Amount | None = None
    currency: Currency = ""
    final: bool = True


class RefundBody(Body):
    amount: Amount | None = None
    currency: Currency = ""
    reason: Annotated[str, Field(max_length=200)] = ""


class EmptyBody(Body):
    pass


class EvidenceBody(Body):
    facts: dict[str, Annotated[str, Field(max_length=20_000)]]


class ClockBody(Body):
    advance_seconds: Annotated[float, Field(ge=0, le=10 * 366 * 86_400)]


class FaultBody(Body):
    fault: str
    operation: str = "any"
    method: str = ""
    count: int = 1


class AuthenticateBody(Body):
    success: bool = True


class DisputeBody(Body):
    stage: str = "chargeback"
    reason: str = "fraudulent"
    amount: Amount | None = None


class DecisionBody(Body):
    status: Literal["won", "lost"]


class ReplayBody(Body):
    event: str


Shape = TypeVar("Shape", bound=Body)


def read_body(shape: type[Shape]) -> Shape:
    """The JSON body of the request in hand; an absent one counts as an empty object."""
    try:
        return shape.model_validate(orjson.loads(request.get_data() or b"{}"))
    except orjson.JSONDecodeError:
        raise Malformed("The body is not JSON") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Malformed(f"{field or 'body'}: {first['msg']}") from None
