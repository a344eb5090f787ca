"""Keyset paging for lists whose order is not that of their ids: the most urgent first, the nearest deadline first."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, extract, literal_column, select, tuple_
from sqlalchemy.orm import aliased

from app.kit.database import Tx
from app.kit.paging import Page

R = TypeVar("R", bound=Any)
#: The columns that a model's rows are ordered by, all of them ascending; the last is the id. None may be NULL.
Order = Callable[[type[R]], Sequence[ColumnElement[Any]]]


def ordered(tx: Tx, query: Select[R], model: type[R], order: Order[R], limit: int, after: str | None) -> Page[R]:
    """One page of `query`. The cursor is the id of the last row, whose place is what it is when the next is read."""
    columns = order(model)
    if after:
        mark = aliased(model)
        place = select(*order(mark)).where(mark.id == after).scalar_subquery()
        query = query.where(tuple_(*columns) > place)
    rows = list(tx.session.scalars(query.order_by(*columns).limit(limit + 1)))
    return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)


def never() -> ColumnElement[Any]:
    """Where a point in time is missing: after all that are known."""
    return literal_column("'infinity'::timestamptz")


def latest_first(at: Any) -> ColumnElement[Any]:
    return -extract("epoch", at)
