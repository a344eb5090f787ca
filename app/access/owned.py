"""What belongs to a merchant: nobody learns whether another merchant has a thing of that id."""

from typing import Protocol, TypeVar

from app.errors import NotFound
from app.kit.database import Tx


class Owned(Protocol):
    """A row that carries its merchant."""

    @property
    def merchant_id(self) -> str: ...


T = TypeVar("T", bound=Owned)


def find_owned(tx: Tx, kind: type[T], merchant_id: str, row_id: str, missing: type[NotFound]) -> T:
    """The merchant's own row; `missing` when there is none, whoever else may have one."""
    row = tx.session.get(kind, row_id)
    if row is None or row.merchant_id != merchant_id:
        raise missing(f"There is no {kind.__name__.lower()} {row_id!r}")
    return row
