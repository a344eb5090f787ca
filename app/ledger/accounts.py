"""The chart of accounts. An account exists per merchant and currency from the first entry that names it."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an account is; assets and expenses grow by debits, liabilities and income by credits."""

    ASSET = "asset"
    LIABILITY = "liability"
    EXPENSE = "expense"
    INCOME = "income"


class Layer(StrEnum):
    """`pending` holds what is only authorized; it resolves into `posted` or into nothing."""

    POSTED = "posted"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Name:
    """The name of an account and what it is."""

    text: str
    kind: Kind


#: What we owe the merchant.
PAYABLE = Name("merchant:payable", Kind.LIABILITY)
#: Refunds that were asked for and are not known to have arrived or failed.
REFUNDS_IN_FLIGHT = Name("refunds:in_flight", Kind.LIABILITY)
#: Money that disputes took for good.
CHARGEBACK_LOSSES = Name("losses:chargeback", Kind.EXPENSE)


def clearing(gateway: str) -> Name:
    """What a gateway holds for us and has not paid out."""
    return Name(f"psp:{gateway}:clearing", Kind.ASSET)


def withheld(gateway: str) -> Name:
    """What a gateway took from us for disputes that are not decided."""
    return Name(f"disputes:{gateway}:withheld", Kind.ASSET)


def fees(gateway: str) -> Name:
    return Name(f"fees:{gateway}", Kind.EXPENSE)
