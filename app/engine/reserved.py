"""Names that belong to the house: what only Sluice itself may send, call or be about."""

from collections.abc import Iterable

#: First words of the messages that Sluice sends: each has a request or a notice of its own, which checks and books.
OWN_MESSAGES = frozenset({"gateway", "capture", "cancel", "payment", "refund", "dispute"})
#: Groups of operations that act on the payment, refund or dispute which an instance is about.
_ABOUT_MONEY = frozenset({"payment", "routing", "risk", "review", "refund", "dispute"})
_SUBJECTS = ("pay_", "ref_", "dis_", "att_")


def is_own_message(name: str) -> bool:
    return name.partition(".")[0] in OWN_MESSAGES


def about_money(operations: Iterable[str]) -> list[str]:
    """Those of `operations` that need a payment, a refund or a dispute to be about, in order."""
    return sorted(name for name in operations if name.partition(".")[0] in _ABOUT_MONEY)


def is_money(subject: str) -> bool:
    """Whether what an instance is about is a payment, a part of one, a refund or a dispute."""
    return subject.startswith(_SUBJECTS)
