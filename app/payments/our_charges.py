"""What we did to the charges at a gateway, by our attempts: the one side of every comparison with its books."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, and_, or_, select

from app.kit.database import Tx
from app.payments.charges import GONE
from app.payments.models import Attempt, Payment
from app.payments.outcomes import UNRESOLVED

_COLUMN: Final = {"authorize": "authorized", "capture": "captured", "refund": "refunded", "void": "voided"}
#: What both books tell of a charge, in minor units.
COLUMNS: Final = (*_COLUMN.values(), "disputed")
_NOTHING: Final = dict.fromkeys(COLUMNS, 0)


@dataclass(frozen=True, slots=True)
class OurCharge:
    """What we did to one charge; `key` is the attempt that authorized it, each of the sums has every column.

    `reference` is the gateway's, "" while it is not known. What we cannot tell is None in `sums`. `undecided` may be
    added to them once it is known what became of it. `unseen` is the part of them that was done after the gateway was
    asked.
    """

    key: str
    reference: str
    currency: str
    sums: Mapping[str, int | None]
    undecided: Mapping[str, int]
    unseen: Mapping[str, int]


def our_charges(tx: Tx, gateway: str, keys: Collection[str], asked_at: datetime) -> dict[str, OurCharge]:
    """By key, each authorization among `keys` that is approved or not decided, with all that was done to it."""
    rows = _attempts(tx, gateway, keys)
    effects: dict[str, _Effects] = defaultdict(_Effects)
    for row in rows:
        if row.operation != "authorize":
            effects[row.charge].add(row, asked_at)
    return {
        row.id: _our_charge(row, effects[row.gateway_reference], asked_at)
        for row in rows
        if row.operation == "authorize" and row.id in keys
    }


class _Effects:
    """What captures, refunds and voids did to one charge, or may have done."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.unseen: Counter[str] = Counter()
        self.undecided: Counter[str] = Counter()
        #: Whether a void found no hold any more: who gave it back, or whether time did, it does not tell.
        self.is_gone = False

    def add(self, row: Row[Any], asked_at: datetime) -> None:
        column = _COLUMN[row.operation]
        if row.outcome == "declined":
            self.is_gone = True
            return
        if row.outcome != "approved":
            self.undecided[column] += row.amount
            return
        self.done[column] += row.amount
        if row.finished_at > asked_at:
            self.unseen[column] += row.amount


def _our_charge(row: Row[Any], effects: _Effects, asked_at: datetime) -> OurCharge:
    """`row` is the authorization. As long as it is not decided, nothing that came after it is."""
    disputed = row.amount_disputed if row.payment_charge == row.gateway_reference else 0
    own = {"authorized": row.amount, "disputed": disputed}
    if row.outcome != "approved":
        undecided = {**_NOTHING, **(effects.done + effects.undecided), **own}
        return OurCharge(row.id, row.gateway_reference, row.currency, _NOTHING, undecided, _NOTHING)
    unseen = {**_NOTHING, **effects.unseen, "authorized": row.amount if row.finished_at > asked_at else 0}
    sums: dict[str, int | None] = {**_NOTHING, **effects.done, **own}
    if effects.is_gone and not effects.done["voided"]:
        sums["voided"] = None
    return OurCharge(row.id, row.gateway_reference, row.currency, sums, {**_NOTHING, **effects.undecided}, unseen)


def _attempts(tx: Tx, gateway: str, keys: Collection[str]) -> Sequence[Row[Any]]:
    """All that may have had an effect, of the payments that the keys are about, and voids that found no hold."""
    undecided = or_(Attempt.state == "begun", Attempt.outcome.in_(UNRESOLVED))
    gone = and_(Attempt.operation == "void", Attempt.outcome == "declined", Attempt.decline_code.in_(GONE))
    return tx.execute(
        select(
            Attempt.id,
            Attempt.operation,
            Attempt.charge,
            Attempt.gateway_reference,
            Attempt.amount,
            Attempt.currency,
            Attempt.outcome,
            Attempt.finished_at,
            Payment.gateway_reference.label("payment_charge"),
            Payment.amount_disputed,
        )
        .join(Payment, Payment.id == Attempt.payment_id)
        .where(
            Attempt.payment_id.in_(select(Attempt.payment_id).where(Attempt.id.in_(keys))),
            Attempt.gateway == gateway,
            Attempt.operation.in_(list(_COLUMN)),
            or_(Attempt.outcome == "approved", undecided, gone),
        )
    ).all()


def authorized_since(tx: Tx, gateway: str, since: datetime) -> Sequence[str]:
    """Keys of approved authorizations begun since then.

    They are read at once: no index finds them, so each part of them would be a scan of all attempts there are.
    """
    return tx.session.scalars(
        select(Attempt.id)
        .where(
            Attempt.gateway == gateway,
            Attempt.operation == "authorize",
            Attempt.outcome == "approved",
            Attempt.begun_at >= since,
        )
        .order_by(Attempt.id)
    ).all()
