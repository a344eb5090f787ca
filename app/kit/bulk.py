"""Many rows in one statement, a parameter a table: PostgreSQL unfolds them from JSON by the types of their columns.

The text of the statement is the same for every number of rows, so it is prepared once.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import orjson
from sqlalchemy import Table, TextClause, text
from sqlalchemy.orm import DeclarativeBase

from app.kit.direct import DIALECT

_TELL = """
SELECT count(pg_notify(channel, payload)::text)
FROM unnest(CAST(:channels AS text[]), CAST(:payloads AS text[])) AS told (channel, payload)
"""


class Reading(Protocol):
    """A transaction."""

    def column(self, statement: TextClause, parameters: Mapping[str, Any], /) -> list[Any]: ...


def insert_rows(
    tx: Reading, model: type[DeclarativeBase], rows: Sequence[Mapping[str, Any]], *, once: bool = False
) -> list[Any]:
    """Insert `rows`, which all have the same columns; the first column of those inserted.

    With `once` a row that is there already is left alone.
    """
    if not rows:
        return []
    table, columns = _shape(model, rows)
    return tx.column(_insert(table, columns, once), {"rows": as_json(rows)})


def inserting_and_telling(
    rows: Iterable[tuple[type[DeclarativeBase], Sequence[Mapping[str, Any]]]], hints: Sequence[tuple[str, str]]
) -> tuple[TextClause, Mapping[str, Any]]:
    """One statement, and its parameters, that inserts the rows of each table and sends `hints`, channels and payloads.

    Rows may refer to each other in any order: PostgreSQL checks foreign keys at the end of a statement.
    """
    # In one order whoever gathered them, so that one text serves them all.
    ordered = sorted(rows, key=lambda item: item[0].__tablename__)
    parameters: dict[str, Any] = {f"rows_{place}": as_json(some) for place, (_, some) in enumerate(ordered)}
    parameters["channels"] = [channel for channel, _ in hints]
    parameters["payloads"] = [payload for _, payload in hints]
    return _insert_and_tell(tuple(_shape(model, some) for model, some in ordered)), parameters


def as_json(rows: Iterable[Mapping[str, Any]]) -> str:
    return orjson.dumps(list(rows), default=_bytea).decode()


def _bytea(value: object) -> str:
    """Bytes as PostgreSQL reads them from text."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} is no value of a column")


def _shape(model: type[DeclarativeBase], rows: Sequence[Mapping[str, Any]]) -> tuple[Table, tuple[str, ...]]:
    table = model.__table__
    assert isinstance(table, Table)
    return table, tuple(rows[0])


@cache
def _insert(table: Table, columns: tuple[str, ...], once: bool) -> TextClause:
    conflict = "ON CONFLICT DO NOTHING" if once else ""
    return text(f"{_insertion(table, columns, 'rows')} {conflict} RETURNING {columns[0]}")


@cache
def _insert_and_tell(shapes: tuple[tuple[Table, tuple[str, ...]], ...]) -> TextClause:
    parts = [
        f"{table.name}_rows AS ({_insertion(table, columns, f'rows_{place}')})"
        for place, (table, columns) in enumerate(shapes)
    ]
    return text(f"{'WITH ' if parts else ''}{', '.join(parts)} {_TELL}")


def _insertion(table: Table, columns: tuple[str, ...], parameter: str) -> str:
    names = ", ".join(columns)
    typed = ", ".join(f"{name} {table.c[name].type.compile(DIALECT)}" for name in columns)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {names} "  # noqa: S608 - names of our own tables
        f"FROM json_to_recordset(CAST(:{parameter} AS json)) AS new({typed})"
    )
