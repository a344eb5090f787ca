"""Reading the ledger: accounts with their balances, and entries with what they were booked for."""

from dataclasses import dataclass

from sqlalchemy import select

from app.errors import FieldError, InvalidInput
from app.kit.clock import rfc3339
from app.kit.database import Json, Tx
from app.kit.paging import MAX_LIMIT, Page
from app.ledger.models import Account, Entry, Posting
from app.ledger.service import Balance, balances


@dataclass(frozen=True, slots=True)
class Booked:
    """One entry with its account and its posting."""

    entry: Entry
    account: Account
    posting: Posting


def accounts(tx: Tx, merchant_id: str) -> list[Json]:
    """Every account with its balances in the API's shape: `posted` is booked, `pending` only authorized."""
    found: dict[tuple[str, str], Json] = {}
    for balance in balances(tx, merchant_id):
        shown = found.setdefault((balance.account, balance.currency), _account_view(balance))
        shown[balance.layer] = balance.amount
    return list(found.values())


def entries(
    tx: Tx,
    merchant_id: str,
    *,
    account: str | None = None,
    payment: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Page[Booked]:
    """One page, newest first; `account` is an account's name, `payment` what the posting is about."""
    query = (
        select(Entry, Account, Posting)
        .join(Account, Account.id == Entry.account_id)
        .join(Posting, Posting.id == Entry.posting_id)
        .where(Posting.merchant_id == merchant_id)
    )
    if account:
        query = query.where(Account.name == account)
    if payment:
        query = query.where(Posting.subject == payment)
    if after:
        query = query.where(Entry.id < _number(after))
    limit = min(limit, MAX_LIMIT)
    rows = tx.session.execute(query.order_by(Entry.id.desc()).limit(limit + 1)).all()
    shown = [Booked(*row) for row in rows[:limit]]
    return Page(shown, str(shown[-1].entry.id) if len(rows) > limit else None)


def entry_view(booked: Booked) -> Json:
    return {
        "id": str(booked.entry.id),
        "object": "ledger_entry",
        "posting": booked.posting.id,
        "kind": booked.posting.kind,
        "account": booked.account.name,
        "amount": booked.entry.amount,
        "currency": booked.entry.currency,
        "layer": booked.entry.layer,
        "payment": booked.posting.subject,
        "source": booked.posting.source_id,
        "reverses": booked.posting.reverses,
        "created_at": rfc3339(booked.posting.created_at),
    }


def _account_view(balance: Balance) -> Json:
    return {
        "object": "ledger_account",
        "name": balance.account,
        "kind": balance.kind,
        "currency": balance.currency,
        "posted": 0,
        "pending": 0,
    }


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        message = "is not a cursor of this list"
        raise InvalidInput(f"after {message}", errors=[FieldError("after", message)])
    return int(cursor)
