"""The ledger, read only: accounts and their entries."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.access.actor import Role
from app.api.route import Call, Listing, Resource, View, by_name
from app.kit.database import Json
from app.ledger import queries

READERS = (Role.INTEGRATOR, Role.OPERATOR, Role.ADMIN)

resource = Resource("Ledger", "Double entry, append-only: every posting sums to zero per currency.")


class AccountView(View):
    """Balances in minor units; positive when debits prevail."""

    object: Literal["ledger_account"]
    name: str
    kind: Literal["asset", "liability", "expense", "income"]
    currency: str
    posted: int
    pending: int = Field(description="Only authorized")


class EntryView(View):
    """One side of a posting: a positive amount is a debit, a negative one a credit, in minor units."""

    id: str
    object: Literal["ledger_entry"]
    posting: str
    kind: str
    account: str
    amount: int
    currency: str
    layer: Literal["posted", "pending"]
    payment: str
    source: str
    reverses: str | None
    created_at: datetime


class ListEntries(Listing):
    account: str | None = Field(None, max_length=200, description="An account's name")
    payment: str | None = Field(None, max_length=100)


@resource.route(
    "GET",
    "/v1/ledger/accounts",
    summary="List ledger accounts",
    query=Listing,
    response=AccountView,
    listed=True,
    roles=READERS,
)
def list_ledger_accounts(call: Call, query: Listing) -> Json:
    """Every account that was ever used, with its balances, by name and currency."""
    found = queries.accounts(call.tx, call.actor.merchant_id)
    return by_name(found, lambda one: f"{one['name']} {one['currency']}", query).view(dict)


@resource.route(
    "GET",
    "/v1/ledger/entries",
    summary="List ledger entries",
    query=ListEntries,
    response=EntryView,
    listed=True,
    roles=READERS,
)
def list_ledger_entries(call: Call, query: ListEntries) -> Json:
    """The newest first."""
    page = queries.entries(
        call.tx,
        call.actor.merchant_id,
        account=query.account,
        payment=query.payment,
        limit=query.limit,
        after=query.after,
    )
    return page.view(queries.entry_view)
