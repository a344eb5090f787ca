"""Many rows in one statement and one parameter: PostgreSQL unfolds them from JSON by the types of their columns.

The text of the statement is the same for every number of rows, so it is prepared once.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import orjson
from sqlalchemy import Executable, Result, Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # it has none


class Executing(Protocol):
    """A transaction."""

    def execute(self, statement: Executable, parameters: Mapping[str, Any], /) -> Result[Any]: ...


def insert_rows(
    tx: Executing, model: type[DeclarativeBase], rows: Sequence[Mapping[str, Any]], *, once: bool = False
) -> list[Any]:
    """Insert `rows`, which all have the same columns and no binary ones; the first column of those inserted.

    With `once` a row that is there already is left alone.
    """
    if not rows:
        return []
    table = model.__table__
    assert isinstance(table, Table)
    statement = _insert(table, tuple(rows[0]), once)
    return list(tx.execute(statement, {"rows": as_json(rows)}).scalars())


def as_json(rows: Iterable[Mapping[str, Any]]) -> str:
    return orjson.dumps(list(rows)).decode()


@cache
def _insert(table: Table, columns: tuple[str, ...], once: bool) -> TextClause:
    names = ", ".join(columns)
    typed = ", ".join(f"{name} {table.c[name].type.compile(_DIALECT)}" for name in columns)
    conflict = "ON CONFLICT DO NOTHING" if once else ""
    return text(
        f"INSERT INTO {table.name} ({names}) SELECT {names} "  # noqa: S608 - names of our own tables
        f"FROM json_to_recordset(CAST(:rows AS json)) AS new({typed}) {conflict} RETURNING {columns[0]}"
    )
