"""Writing to the ledger and reading it back: one way to post, refused unless it balances, and the same fact once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

from sqlalchemy import func, select

from app.errors import AppError
from app.kit.bulk import Part, as_json, insert_rows
from app.kit.database import Json, Tx
from app.kit.ids import derived_id, new_id
from app.kit.money import Money
from app.ledger.accounts import Layer, Name
from app.ledger.models import Account, Entry, Posting


class Unbalanced(AppError):
    code = "unbalanced_posting"
    title = "The entries of a posting do not sum to zero"


@dataclass(frozen=True, slots=True)
class Line:
    """One entry to be: a positive amount is a debit, a negative one a credit."""

    account: Name
    amount: Money
    layer: Layer = Layer.POSTED


@dataclass(frozen=True, slots=True)
class Fact:
    """The business fact a posting books. (source_type, source_id, kind) happens once; `subject` is the payment's id."""

    merchant_id: str
    kind: str
    source_type: str
    source_id: str
    subject: str
    reverses: str | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """The sum of an account's entries in minor units: positive when debits prevail."""

    account: str
    kind: str
    currency: str
    layer: str
    amount: int


def transfer(debit: Name, credit: Name, amount: Money, layer: Layer = Layer.POSTED) -> tuple[Line, Line]:
    """Two lines that move `amount`; the shortest posting there is."""
    return Line(debit, amount, layer), Line(credit, -amount, layer)


# Only the postings that are new have their entries written.
_WRITE = """
booked AS (
    INSERT INTO postings (id, merchant_id, kind, source_type, source_id, subject, reverses, created_at)
    SELECT id, merchant_id, kind, source_type, source_id, subject, reverses, created_at
    FROM json_to_recordset(CAST(:postings AS json)) AS new(
        id text, merchant_id text, kind text, source_type text, source_id text, subject text, reverses text,
        created_at timestamptz
    )
    ON CONFLICT DO NOTHING RETURNING id
),
booked_entries AS (
    INSERT INTO entries (posting_id, account_id, amount, currency, layer)
    SELECT posting_id, account_id, amount, currency, layer
    FROM json_to_recordset(CAST(:entries AS json)) AS new(
        posting_id text, account_id text, amount bigint, currency text, layer text
    )
    JOIN booked ON booked.id = new.posting_id
)
"""


@dataclass
class _Gathered:
    """Postings of one transaction that are not written yet, by the id each will have."""

    postings: dict[str, tuple[Fact, list[Line]]] = field(default_factory=dict)


def post(tx: Tx, fact: Fact, lines: Sequence[Line]) -> None:
    """Book `fact`, unless it was booked before; Unbalanced when the lines do not sum to zero.

    It is written at the end of the transaction, together with its others, or when somebody reads the ledger.
    """
    lines = [line for line in lines if line.amount.minor]
    _must_balance(fact, lines)
    gathered = tx.own(_Gathered).postings
    if not gathered:
        tx.before_commit(partial(write, tx))
    gathered[new_id("pst")] = (fact, lines)


def write(tx: Tx) -> None:
    """Write what was gathered. The unique key of a fact decides which of equal ones is booked."""
    gathered = tx.own(_Gathered).postings
    postings = {one: gathered.pop(one) for one in list(gathered)}
    # In the order of their keys, so that two transactions that tell the same facts cannot deadlock.
    facts = sorted(postings, key=lambda one: _key(postings[one][0]))
    listed = [(one, postings[one][0].merchant_id, line) for one in facts for line in postings[one][1]]
    _open_accounts(tx, listed)
    entries = [
        {
            "posting_id": one,
            "account_id": _account_id(merchant_id, line),
            "amount": line.amount.minor,
            "currency": line.amount.currency,
            "layer": str(line.layer),
        }
        for one, merchant_id, line in listed
    ]
    if facts:
        rows = [_posting(tx, one, postings[one][0]) for one in facts]
        tx.gather_part(Part(_WRITE, {"postings": as_json(rows), "entries": as_json(entries)}))


def _key(fact: Fact) -> tuple[str, str, str]:
    return fact.source_type, fact.source_id, fact.kind


def _posting(tx: Tx, posting_id: str, fact: Fact) -> Json:
    return {
        "id": posting_id,
        "merchant_id": fact.merchant_id,
        "kind": fact.kind,
        "source_type": fact.source_type,
        "source_id": fact.source_id,
        "subject": fact.subject,
        "reverses": fact.reverses,
        "created_at": tx.now(),
    }


def _must_balance(fact: Fact, lines: Sequence[Line]) -> None:
    sums: Counter[tuple[str, Layer]] = Counter()
    for line in lines:
        sums[line.amount.currency, line.layer] += line.amount.minor
    wrong = {key: total for key, total in sums.items() if total}
    if wrong or not lines:
        raise Unbalanced(f"{fact.kind} of {fact.source_id} must sum to zero per currency and layer, not {wrong}")


def _account_id(merchant_id: str, line: Line) -> str:
    return _account(merchant_id, line.account.text, line.amount.currency)


@lru_cache(4096)
def _account(merchant_id: str, name: str, currency: str) -> str:
    return derived_id("acc", merchant_id, name, currency)


def _open_accounts(tx: Tx, listed: Iterable[tuple[str, str, Line]]) -> None:
    """Accounts are never closed, so those this process has seen in the database need not be looked for."""
    rows = {
        account_id: {
            "id": account_id,
            "merchant_id": merchant_id,
            "name": line.account.text,
            "currency": line.amount.currency,
            "kind": str(line.account.kind),
            "created_at": tx.now(),
        }
        for _, merchant_id, line in listed
        if (account_id := _account_id(merchant_id, line)) not in tx.known
    }
    # In the order of their ids, so that two transactions opening the same accounts cannot deadlock.
    insert_rows(tx, Account, [rows[account_id] for account_id in sorted(rows)], once=True)
    tx.after_commit(partial(tx.known.update, rows))


def posting_id(tx: Tx, source_type: str, source_id: str, kind: str) -> str | None:
    """The posting that booked a fact, for the one that reverses it."""
    write(tx)
    return tx.session.scalar(
        select(Posting.id).where(
            Posting.source_type == source_type, Posting.source_id == source_id, Posting.kind == kind
        )
    )


def balances(tx: Tx, merchant_id: str) -> list[Balance]:
    """Every account of the merchant that was ever used, folded from its entries."""
    write(tx)
    rows = tx.session.execute(
        select(Account.name, Account.kind, Account.currency, Entry.layer, func.sum(Entry.amount))
        .join(Entry, Entry.account_id == Account.id)
        .where(Account.merchant_id == merchant_id)
        .group_by(Account.name, Account.kind, Account.currency, Entry.layer)
        .order_by(Account.name, Account.currency, Entry.layer)
    )
    return [Balance(name, kind, currency, layer, int(amount)) for name, kind, currency, layer, amount in rows]


def balances_of(tx: Tx, subjects: Sequence[str]) -> dict[str, dict[tuple[str, str], int]]:
    """Per subject: (account name, layer) -> sum of the entries that its postings made."""
    write(tx)
    rows = tx.session.execute(
        select(Posting.subject, Account.name, Entry.layer, func.sum(Entry.amount))
        .join(Entry, Entry.posting_id == Posting.id)
        .join(Account, Account.id == Entry.account_id)
        .where(Posting.subject.in_(subjects))
        .group_by(Posting.subject, Account.name, Entry.layer)
    )
    found: dict[str, dict[tuple[str, str], int]] = {subject: {} for subject in subjects}
    for subject, name, layer, amount in rows:
        found[subject][name, layer] = int(amount)
    return found


def verify(tx: Tx) -> list[str]:
    """What is wrong with the ledger by itself, one sentence each; an empty list means that the books balance."""
    write(tx)
    problems = []
    unbalanced = tx.session.execute(
        select(Entry.posting_id, Entry.currency, Entry.layer, func.sum(Entry.amount))
        .group_by(Entry.posting_id, Entry.currency, Entry.layer)
        .having(func.sum(Entry.amount) != 0)
    )
    for posting, currency, layer, amount in unbalanced:
        problems.append(f"Posting {posting} is off by {amount} {currency} in the {layer} layer")
    empty = tx.session.scalars(
        select(Posting.id).where(~select(Entry.id).where(Entry.posting_id == Posting.id).exists())
    )
    problems += [f"Posting {posting} has no entries" for posting in empty]
    foreign = tx.session.scalars(
        select(Entry.id).join(Account, Account.id == Entry.account_id).where(Account.currency != Entry.currency)
    )
    problems += [f"Entry {entry} is in another currency than its account" for entry in foreign]
    return problems
