"""Merchants and their settings: what a tenant may decide for itself, kept as one validated document."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import select

from app.access.actor import Actor, Role
from app.access.models import Merchant
from app.errors import Conflict, FieldError, Forbidden, FourEyes, InvalidInput, NotFound
from app.kit.database import Tx
from app.kit.ids import new_id
from app.kit.money import EXPONENTS, MAX_MINOR


def _default_limits(major: int) -> dict[str, int]:
    return {currency: major * 10 ** EXPONENTS[currency] for currency in ("EUR", "USD", "GBP", "CHF")} | {
        "JPY": major * 150,
        "CNY": major * 7 * 100,
    }


class Limits(BaseModel):
    """Above these two people must decide, in minor units per currency; a currency that is not listed has no limit.

    `review_limit`: a flagged payment above it needs a second reviewer. `refund_approval_limit`: a refund above it needs
    somebody else than who asked for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    review_limit: dict[str, int] = Field(default_factory=lambda: _default_limits(1000))
    refund_approval_limit: dict[str, int] = Field(default_factory=lambda: _default_limits(500))

    @field_validator("review_limit", "refund_approval_limit")
    @classmethod
    def _known_currencies_and_sane_amounts(cls, limits: dict[str, int]) -> dict[str, int]:
        for currency, amount in limits.items():
            if currency not in EXPONENTS:
                raise ValueError(f"{currency!r} is not an ISO 4217 currency code")
            if not 0 <= amount <= MAX_MINOR:
                raise ValueError(f"the limit for {currency} must be between 0 and {MAX_MINOR} minor units")
        return limits

    def loosens(self, present: "Limits") -> bool:
        """Whether something that needs two people by `present` would need one by these."""
        pairs = (
            (self.review_limit, present.review_limit),
            (self.refund_approval_limit, present.refund_approval_limit),
        )
        return any(
            currency not in new or new[currency] > limit for new, old in pairs for currency, limit in old.items()
        )


class Proposal(BaseModel):
    """Limits that would loosen the present ones, asked for by one person and waiting for another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    limits: Limits
    by: str

    @property
    def mark(self) -> str:
        """Tells this proposal from every other one: whoever confirms says which one they have read."""
        return hashlib.sha256(orjson.dumps(self.model_dump(), option=orjson.OPT_SORT_KEYS)).hexdigest()


class MerchantSettings(Limits):
    """`gateways`: names in order of preference, empty for all that are configured."""

    gateways: list[str] = Field(default_factory=list, max_length=50)
    proposal: Proposal | None = None

    @property
    def limits(self) -> Limits:
        return Limits(review_limit=self.review_limit, refund_approval_limit=self.refund_approval_limit)

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


def change_limits(
    tx: Tx, actor: Actor, review_limit: dict[str, int], refund_approval_limit: dict[str, int]
) -> MerchantSettings:
    """Stricter limits count at once; looser ones are kept as a proposal until another person confirms them."""
    actor.require(Role.ADMIN)
    _require_person(actor)
    merchant = _lock(tx, actor)
    wanted = {"review_limit": review_limit, "refund_approval_limit": refund_approval_limit}
    settings = _validated({**merchant.settings, **wanted, "proposal": None})
    if settings.limits.loosens(_validated(merchant.settings).limits):
        settings = _validated({**merchant.settings, "proposal": {"limits": wanted, "by": actor.id}})
    merchant.settings = settings.model_dump()
    return settings


def confirm_limits(tx: Tx, actor: Actor, mark: str) -> MerchantSettings:
    """The second person's word; FourEyes for the one who proposed, Conflict when it is no longer what `mark` names."""
    actor.require(Role.ADMIN, Role.OPERATOR)
    _require_person(actor)
    merchant = _lock(tx, actor)
    proposal = _validated(merchant.settings).proposal
    if proposal is None:
        raise Conflict("No change of limits waits for anybody")
    if actor.id == proposal.by:
        raise FourEyes("You proposed these limits; another person must confirm them")
    if mark != proposal.mark:
        raise Conflict("Other limits were proposed meanwhile; read them before you confirm")
    settings = _validated({**merchant.settings, **proposal.limits.model_dump(), "proposal": None})
    merchant.settings = settings.model_dump()
    return settings


def withdraw_limits(tx: Tx, actor: Actor) -> None:
    """Drop the proposal; one person is enough to leave things as they are."""
    actor.require(Role.ADMIN, Role.OPERATOR)
    merchant = _lock(tx, actor)
    merchant.settings = _validated({**merchant.settings, "proposal": None}).model_dump()


def _require_person(actor: Actor) -> None:
    if not actor.is_person:
        raise Forbidden("Only people change limits")


def _lock(tx: Tx, actor: Actor) -> Merchant:
    query = select(Merchant).where(Merchant.id == actor.merchant_id).with_for_update()
    return tx.session.scalars(query.execution_options(populate_existing=True)).one()


def _validated(document: Mapping[str, object]) -> MerchantSettings:
    """InvalidInput names every key that is wrong."""
    try:
        return MerchantSettings.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(
            "The settings are not valid",
            errors=[FieldError(".".join(map(str, e["loc"])), e["msg"], e["type"]) for e in error.errors()],
        ) from None


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
