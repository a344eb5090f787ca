"""What may be asked of a payment from outside, with every limit of every field."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.kit.money import EXPONENTS, MAX_MINOR
from app.kit.pan import refuse_card_numbers


def _plain(text: str) -> str:
    """PostgreSQL cannot hold NUL, and a lone surrogate is no text."""
    if "\x00" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise ValueError("must be plain text without NUL or broken characters")
    return text


def _known_currency(code: str) -> str:
    if code not in EXPONENTS:
        raise ValueError("must be an ISO 4217 currency code in capitals, such as EUR")
    return code


def _few(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > 50:
        raise ValueError("may hold 50 entries at most")
    return metadata


Amount = Annotated[int, Field(strict=True, gt=0, le=MAX_MINOR, description="Minor units: 1250 is 12.50 EUR")]
Currency = Annotated[str, AfterValidator(_known_currency), Field(description="ISO 4217 code")]
ShortText = Annotated[str, StringConstraints(max_length=200), AfterValidator(_plain)]
LongText = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_plain)]
Token = Annotated[str, StringConstraints(max_length=255, pattern=r"^[\x21-\x7e]*$")]
Url = Annotated[str, StringConstraints(max_length=2000, pattern=r"^(https?://[^\s]+)?$"), AfterValidator(_plain)]
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(_plain)],
        Annotated[str, StringConstraints(max_length=500), AfterValidator(_plain)],
    ],
    AfterValidator(_few),
]


class Command(BaseModel):
    """Base of what comes in: unknown fields are refused, and card numbers before anything could repeat them."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _no_card_numbers(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            refuse_card_numbers(values)
        return values


class Customer(Command):
    """Who pays, as far as the merchant says; every part is optional."""

    id: ShortText = ""
    email: Annotated[
        str, StringConstraints(max_length=254, pattern=r"^([^@\s]+@[^@\s]+)?$"), AfterValidator(_plain)
    ] = ""
    name: ShortText = ""
    country: Annotated[str, StringConstraints(pattern=r"^([A-Z]{2})?$")] = ""
    ip: Annotated[str, StringConstraints(max_length=45, pattern=r"^[0-9A-Fa-f:.]*$")] = ""


#: The flow of a payment that names none.
USUAL_PROCESS: Final = "card-payment"


class CreatePayment(Command):
    """`POST /v1/payments`. Without `confirm` nothing starts until it is confirmed."""

    amount: Amount
    currency: Currency
    payment_method: Token = Field(default="", description="A token of the gateway, never a card number")
    capture_method: Literal["automatic", "manual"] = "automatic"
    reference: ShortText = Field(default="", description="Your own name for it, such as an order number")
    customer: Customer = Customer()
    metadata: Metadata = Field(default_factory=dict)
    return_url: Url = ""
    process: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.-]{0,99}$")] = USUAL_PROCESS
    confirm: bool = True

    @model_validator(mode="after")
    def _method_to_confirm(self) -> "CreatePayment":
        if self.confirm and not self.payment_method:
            raise ValueError("payment_method is needed, or send confirm: false and give it when you confirm")
        return self


class ConfirmPayment(Command):
    payment_method: Token = ""


class CapturePayment(Command):
    """`amount` is by default all that is capturable. A `final` capture releases what it leaves; a part is not final."""

    amount: Amount | None = None
    final: bool | None = None


class CancelPayment(Command):
    reason: Literal["requested_by_customer", "duplicate", "fraudulent", "abandoned"] = "requested_by_customer"
