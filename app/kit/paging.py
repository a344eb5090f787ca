"""Keyset paging: a page is the rows after a cursor, so pages stay right while rows are being added."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from app.errors import FieldError, InvalidInput
from app.kit.database import Tx

T = TypeVar("T")
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`next` is the cursor of the following page, None on the last one."""

    rows: Sequence[T]
    next: str | None

    def view(self, show: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
        """The page in the API's shape."""
        return {
            "object": "list",
            "data": [show(row) for row in self.rows],
            "has_more": self.next is not None,
            "next": self.next,
        }


def narrowed(query: Select[T], wanted: Mapping[InstrumentedAttribute[Any], object]) -> Select[T]:
    """Only rows whose columns have these values; None and empty text narrow nothing."""
    return query.where(*(column == value for column, value in wanted.items() if value not in (None, "")))


def fetch(tx: Tx, query: Select[T], key: InstrumentedAttribute[str], limit: int, after: str | None) -> Page[T]:
    """One page of `query`, newest first. `key` is the id column: ids are ordered by time, so it is the cursor."""
    if not 1 <= limit <= MAX_LIMIT:
        message = f"must be between 1 and {MAX_LIMIT}"
        raise InvalidInput(f"limit {message}", errors=[FieldError("limit", message)])
    if after:
        query = query.where(key < after)
    rows = list(tx.session.scalars(query.order_by(key.desc()).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, str(getattr(rows[-1], key.key)) if more else None)
