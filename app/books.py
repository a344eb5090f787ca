"""Our books beside each gateway's: the totals of both per currency, and every line on which they disagree."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app import demo
from app.errors import AppError
from app.kit.database import Json, Tx
from app.kit.http import HttpClient, NoAnswer
from app.payments.reconcile import COLUMNS, Difference, our_charges, verify_books
from app.settings import Settings


class BooksUnreadable(AppError):
    code = "gateway_books_unreadable"
    title = "The gateway does not show its books"
    status = 502


@dataclass(frozen=True, slots=True)
class Total:
    """One column of one currency in both books, in minor units."""

    currency: str
    what: str
    ours: int
    theirs: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`undecided` are differences no greater than what is not known yet; they may go away when it is."""

    gateway: str
    totals: list[Total]
    differences: list[Difference]
    undecided: list[Difference]


def addresses(settings: Settings) -> dict[str, str]:
    """Where each gateway's books can be read, by name; "" for a gateway that does not show them.

    The sandboxes of a running `sluice up` are found in its `demo.json`.
    """
    found = {
        gateway.name: str(gateway.options["base_url"]) if gateway.adapter == "sandbox" else ""
        for gateway in settings.gateways
    }
    told = demo.credentials(settings.var / "demo.json") or {"sandboxes": []}
    return found | {sandbox["name"]: sandbox["url"] for sandbox in told["sandboxes"]}


def read(name: str, url: str) -> list[Json]:
    """The charges in a gateway's own books. BooksUnreadable when it does not answer with them."""
    client = HttpClient(connect_seconds=2, total_seconds=30, max_bytes=1 << 28)
    try:
        answer = client.exchange("GET", f"{url}/admin/books", {})
    finally:
        client.close()
    if isinstance(answer, NoAnswer) or answer.status != 200:
        why = answer.message if isinstance(answer, NoAnswer) else f"it answered {answer.status}"
        raise BooksUnreadable(f"{name} at {url} does not show its books: {why}")
    return list(orjson.loads(answer.body)["charges"])


def compare(tx: Tx, gateway: str, charges: list[Json]) -> Comparison:
    ours: Counter[tuple[str, str]] = Counter()
    for charge in our_charges(tx, gateway):
        ours.update({(charge.currency, column): charge.sums[column] for column in COLUMNS})
    found = verify_books(tx, gateway, charges)
    return Comparison(
        gateway,
        list(_totals(ours, charges)),
        [difference for difference in found if not difference.may_go],
        [difference for difference in found if difference.may_go],
    )


def _totals(ours: Mapping[tuple[str, str], int], charges: Iterable[Mapping[str, Any]]) -> Iterator[Total]:
    theirs: Counter[tuple[str, str]] = Counter()
    for charge in charges:
        theirs.update({(str(charge["currency"]), column): int(charge.get(column, 0)) for column in COLUMNS})
    for currency in sorted({currency for currency, _ in ours.keys() | theirs.keys()}):
        for column in COLUMNS:
            yield Total(currency, column, ours.get((currency, column), 0), theirs[currency, column])
