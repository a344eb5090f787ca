"""The payments that one transaction holds the locks of, and what their locks make safe to remember: their attempts.

Whoever writes an attempt holds its payment's lock, so what was read under it stays true until the end. What one of the
held payments needs is read for all of them at once.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import select, text

from app.engine import references
from app.events import outbox
from app.kit.database import Json, Tx
from app.kit.direct import ANY_OF_IDS
from app.payments.models import Attempt, Payment
from app.payments.outcomes import UNRESOLVED
from app.payments.shelf import Found, Shelf


@dataclass
class Held:
    """`attempts` are those of each payment for which they were read, by id, in the order of their creation."""

    payments: dict[str, Payment] = field(default_factory=dict)
    attempts: dict[str, dict[str, Attempt]] = field(default_factory=dict)


# The versions of the rows: whoever changes one gives it the number of his transaction.
_LOCK = text(f"""
SELECT id, xmin::text::bigint AS version, pg_current_xact_id()::text::bigint % 4294967296 AS mine
FROM payments WHERE id = {ANY_OF_IDS} ORDER BY id FOR UPDATE
""")  # noqa: S608 - put together from constants
# A statement of its own: it sees what was there when the locks were got, and not when they were asked for.
_UNDER_LOCK = text(f"""
SELECT payment_id, id, xmin::text::bigint AS number FROM attempts WHERE payment_id = {ANY_OF_IDS}
UNION ALL
SELECT object_id, NULL, sequence FROM ({outbox.LAST}) AS last (object_id, sequence)
""")  # noqa: S608 - put together from constants


def take_up(tx: Tx, payment_ids: Collection[str], shelf: Shelf | None = None) -> None:
    """Lock the payments, always in the order of their ids. What lies on `shelf` and is as it was is not read again."""
    held = tx.own(Held)
    missing = sorted(one for one in set(payment_ids) if one not in held.payments)
    if not missing:
        return
    if shelf is not None:
        found = _locked(tx, missing)
        for one in found:
            if not one.attempts:
                held.attempts[one.payment_id] = {}
            if (lain := shelf.take(one)) is not None:
                # What is resolved is left outside of the session until somebody asks for that very one.
                tx.session.add_all((lain.payment, *(one for one in lain.attempts.values() if not _resolved(one))))
                held.payments[one.payment_id], held.attempts[one.payment_id] = lain.payment, lain.attempts
        missing = [one for one in missing if one not in held.payments]
        tx.after_commit(partial(_put_back, held, shelf, found))
    if missing:
        _lock(tx, missing)
    outbox.expect(tx, held.payments)
    references.expect(tx, (payment.instance_id for payment in held.payments.values() if payment.instance_id))


def _lock(tx: Tx, payment_ids: Iterable[str]) -> None:
    query = select(Payment).where(Payment.id.in_(payment_ids)).order_by(Payment.id).with_for_update()
    found = tx.session.scalars(query.execution_options(populate_existing=True))
    tx.own(Held).payments.update((payment.id, payment) for payment in found)


def _locked(tx: Tx, payment_ids: list[str]) -> list[Found]:
    """The versions of the payments, now locked, and of their attempts; how far their events have come is noted."""
    found = {row.id: Found(row.id, row.version, row.mine, {}) for row in tx.rows(_LOCK, {"ids": payment_ids})}
    for row in tx.rows(_UNDER_LOCK, {"ids": list(found)}):
        if row.id is None:
            outbox.begin(tx, row.payment_id, row.number)
        else:
            found[row.payment_id].attempts[row.id] = row.number
    for payment_id in found:
        outbox.begin(tx, payment_id)
    return list(found.values())


def _put_back(held: Held, shelf: Shelf, found: Iterable[Found]) -> None:
    for one in found:
        if one.payment_id in held.attempts:
            shelf.put(one, held.payments[one.payment_id], held.attempts[one.payment_id])


def holds(tx: Tx, payment_id: str) -> bool:
    return payment_id in tx.own(Held).payments


def all_of(tx: Tx) -> Collection[Payment]:
    """Every payment that this transaction holds."""
    return tx.own(Held).payments.values()


def _resolved(attempt: Attempt) -> bool:
    return attempt.state == "finished" and attempt.outcome not in UNRESOLVED


def attempts(tx: Tx, payment_id: str) -> dict[str, Attempt]:
    """Every attempt of a payment that is held, by id, oldest first; for reading. See `attempt` for changing one."""
    held = tx.own(Held)
    if payment_id not in held.attempts:
        missing = [one for one in held.payments if one not in held.attempts]
        held.attempts.update((one, {}) for one in missing)
        query = select(Attempt).where(Attempt.payment_id.in_(missing)).order_by(Attempt.created_at, Attempt.id)
        for one in tx.session.scalars(query.execution_options(populate_existing=True)):
            held.attempts[one.payment_id][one.id] = one
    return held.attempts[payment_id]


def attempt(tx: Tx, payment_id: str, attempt_id: str) -> Attempt | None:
    """One attempt of a payment that is held, to be read or changed."""
    known = attempts(tx, payment_id)
    found = known.get(attempt_id)
    if found is not None and found not in tx.session:
        # Whoever looked at the row before it was held has its own copy of it in the session.
        found = known[attempt_id] = tx.session.merge(found, load=False)
    return found


def find(tx: Tx, attempt_id: str) -> Attempt | None:
    """An attempt of whichever held payment, if it is one of theirs."""
    for payment_id in tx.own(Held).payments:
        if (found := attempt(tx, payment_id, attempt_id)) is not None:
            return found
    return None


def add(tx: Tx, new: Attempt) -> None:
    """An attempt this transaction makes; its payment is held."""
    known = attempts(tx, new.payment_id)
    tx.session.add(new)
    known[new.id] = new


def begin(tx: Tx, values: Json) -> Attempt:
    """An attempt like those of `add`, written with all others that begin in this transaction."""
    known = attempts(tx, values["payment_id"])
    new = tx.insert(Attempt, **values)
    known[new.id] = new
    return new


def made(tx: Tx, payment: Payment) -> None:
    """A payment this transaction makes is nobody else's before it ends, and has no attempts."""
    held = tx.own(Held)
    held.payments[payment.id] = payment
    held.attempts[payment.id] = {}
    outbox.begin(tx, payment.id)
