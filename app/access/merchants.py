"""Merchants and their settings: what a tenant may decide for itself, kept as one validated document."""

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import select

from app.access.actor import Actor, Role
from app.access.models import Merchant
from app.errors import FieldError, InvalidInput, NotFound
from app.kit.database import Tx
from app.kit.ids import new_id
from app.kit.money import EXPONENTS, MAX_MINOR


def _default_limits(major: int) -> dict[str, int]:
    return {currency: major * 10 ** EXPONENTS[currency] for currency in ("EUR", "USD", "GBP", "CHF")} | {
        "JPY": major * 150,
        "CNY": major * 7 * 100,
    }


class MerchantSettings(BaseModel):
    """Limits are in minor units per currency; a currency that is not listed has no limit.

    `review_limit`: from this amount on a flagged payment needs a second reviewer. `refund_approval_limit`: a refund
    above it needs a second person. `gateways`: names in order of preference, empty for all that are configured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    review_limit: dict[str, int] = Field(default_factory=lambda: _default_limits(1000))
    refund_approval_limit: dict[str, int] = Field(default_factory=lambda: _default_limits(500))
    gateways: list[str] = Field(default_factory=list, max_length=50)

    @field_validator("review_limit", "refund_approval_limit")
    @classmethod
    def _known_currencies_and_sane_amounts(cls, limits: dict[str, int]) -> dict[str, int]:
        for currency, amount in limits.items():
            if currency not in EXPONENTS:
                raise ValueError(f"{currency!r} is not an ISO 4217 currency code")
            if not 0 <= amount <= MAX_MINOR:
                raise ValueError(f"the limit for {currency} must be between 0 and {MAX_MINOR} minor units")
        return limits

    @field_validator("gateways")
    @classmethod
    def _no_gateway_twice(cls, gateways: list[str]) -> list[str]:
        if len(set(gateways)) != len(gateways):
            raise ValueError("a gateway is listed twice")
        return gateways


def create_merchant(
    tx: Tx, name: str, settings: MerchantSettings | None = None, *, merchant_id: str | None = None
) -> Merchant:
    """A new tenant. `merchant_id` is given only for a well-known one, such as the demo's."""
    merchant = Merchant(
        id=merchant_id or new_id("mer"),
        name=name,
        settings=(settings or MerchantSettings()).model_dump(),
        created_at=tx.now(),
    )
    tx.session.add(merchant)
    tx.session.flush()
    return merchant


def find_merchant(tx: Tx, merchant_id: str) -> Merchant:
    merchant = tx.session.get(Merchant, merchant_id)
    if merchant is None:
        raise NotFound(f"There is no merchant {merchant_id}")
    return merchant


def settings_of(tx: Tx, merchant_id: str) -> MerchantSettings:
    """The merchant's settings; a key that was added since they were stored has its default."""
    return MerchantSettings.model_validate(find_merchant(tx, merchant_id).settings)


def change_settings(tx: Tx, actor: Actor, changes: dict[str, object]) -> MerchantSettings:
    """Replace the given keys of the actor's own merchant. InvalidInput names every key that is wrong."""
    actor.require(Role.ADMIN)
    merchant = tx.session.scalars(select(Merchant).where(Merchant.id == actor.merchant_id).with_for_update()).one()
    try:
        settings = MerchantSettings.model_validate({**merchant.settings, **changes})
    except ValidationError as error:
        raise InvalidInput(
            "The settings are not valid",
            errors=[FieldError(".".join(map(str, e["loc"])), e["msg"], e["type"]) for e in error.errors()],
        ) from None
    merchant.settings = settings.model_dump()
    return settings


@dataclass
class _Read:
    """The merchants this transaction has read."""

    merchants: dict[str, Merchant] = field(default_factory=dict)


def merchant_of(tx: Tx, merchant_id: str) -> Merchant:
    """The merchant, read once in a transaction."""
    read = tx.own(_Read).merchants
    if merchant_id not in read:
        with tx.session.no_autoflush:
            read[merchant_id] = tx.session.get_one(Merchant, merchant_id)
    return read[merchant_id]
