"""Many rows in one statement, a parameter a table: PostgreSQL unfolds them from JSON by the types of their columns.

The text of the statement is the same for every number of rows, so it is prepared once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import orjson
from sqlalchemy import Table, TextClause, text
from sqlalchemy.orm import DeclarativeBase

from app.kit.direct import DIALECT

Row = Mapping[str, Any]

_TOLD = """
FROM (
    SELECT pg_notify(channel, payload)::text AS told
    FROM unnest(CAST(:channels AS text[]), CAST(:payloads AS text[])) AS hints (channel, payload)
) AS telling
"""


class Reading(Protocol):
    """A transaction."""

    def column(self, statement: TextClause, parameters: Mapping[str, Any], /) -> list[Any]: ...


def insert_rows(tx: Reading, model: type[DeclarativeBase], rows: Sequence[Row], *, once: bool = False) -> list[Any]:
    """Insert `rows`, which all have the same columns; the first column of those inserted.

    With `once` a row that is there already is left alone.
    """
    if not rows:
        return []
    table, columns = _shape(model, rows)
    return tx.column(_insert(table, columns, once), {"rows": as_json(rows)})


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a WITH that writes and whose result nobody needs: `text` is one or more `name AS (...)`.

    The names in it, and those of its parameters, are no other part's.
    """

    text: str
    parameters: Mapping[str, Any]


@dataclass
class Batch:
    """What leaves in one statement. None of it sees what another part writes, so no row is in two of them.

    `inserts` are rows by their columns; `changes` hold the key of a row and those of its columns that change.
    """

    inserts: dict[type[DeclarativeBase], list[Row]] = field(default_factory=dict)
    changes: dict[type[DeclarativeBase], list[Row]] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.inserts or self.changes or self.parts)


def writing(batch: Batch, hints: Sequence[tuple[str, str]]) -> tuple[TextClause, Mapping[str, Any]]:
    """One statement, and its parameters, that writes the batch, sends `hints`, and returns how many rows it changed.

    Rows may refer to each other in any order: PostgreSQL checks foreign keys at the end of a statement.
    """
    # In one order whoever gathered them, so that one text serves them all.
    inserts = sorted(batch.inserts.items(), key=_by_table)
    changes = sorted(batch.changes.items(), key=_by_table)
    parts = sorted(batch.parts, key=lambda part: part.text)
    parameters: dict[str, Any] = {
        "channels": [channel for channel, _ in hints],
        "payloads": [payload for _, payload in hints],
    }
    parameters |= {f"rows_{place}": as_json(rows) for place, (_, rows) in enumerate(inserts)}
    parameters |= {f"changes_{place}": as_json(rows) for place, (_, rows) in enumerate(changes)}
    for part in parts:
        parameters |= part.parameters
    shapes = tuple(_shape(model, rows) for model, rows in inserts)
    tables = tuple(_table(model) for model, _ in changes)
    return _writing(shapes, tables, tuple(part.text for part in parts)), parameters


def _by_table(item: tuple[type[DeclarativeBase], object]) -> str:
    return _table(item[0]).name


def as_json(rows: Iterable[Row]) -> str:
    return orjson.dumps(list(rows), default=_bytea).decode()


def _bytea(value: object) -> str:
    """Bytes as PostgreSQL reads them from text."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} is no value of a column")


def _shape(model: type[DeclarativeBase], rows: Sequence[Row]) -> tuple[Table, tuple[str, ...]]:
    return _table(model), tuple(rows[0])


def _table(model: type[DeclarativeBase]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table


@cache
def _insert(table: Table, columns: tuple[str, ...], once: bool) -> TextClause:
    conflict = "ON CONFLICT DO NOTHING" if once else ""
    return text(f"{_insertion(table, columns, 'rows')} {conflict} RETURNING {columns[0]}")


@cache
def _writing(
    inserts: tuple[tuple[Table, tuple[str, ...]], ...], changes: tuple[Table, ...], parts: tuple[str, ...]
) -> TextClause:
    inserting = [
        f"{table.name}_rows AS ({_insertion(table, columns, f'rows_{place}')})"
        for place, (table, columns) in enumerate(inserts)
    ]
    changing = [f"{table.name}_changes AS ({_change(table, place)})" for place, table in enumerate(changes)]
    changed = " + ".join(f"(SELECT count(*) FROM {table.name}_changes)" for table in changes) or "0"  # noqa: S608 - names of our own tables
    first = ", ".join((*inserting, *changing, *parts))
    return text(f"{'WITH ' if first else ''}{first} SELECT {changed} AS changed, count(told) {_TOLD}")


def _change(table: Table, place: int) -> str:
    """What a row does not name stays as it is: its former values are what the JSON is laid upon."""
    keys = [column for column in table.columns if column.primary_key]
    same = " AND ".join(f"former.{key.name} = given.{key.name}" for key in keys)
    typed = ", ".join(f"{key.name} {key.type.compile(DIALECT)}" for key in keys)
    names = [column.name for column in table.columns if not column.primary_key]
    new = ", ".join(f"laid.{name}" for name in names)
    return (
        f"UPDATE {table.name} AS former SET ({', '.join(names)}) = "  # noqa: S608 - names of our own tables
        f"(SELECT {new} FROM json_populate_record(former, given.changed) AS laid) "
        f"FROM (SELECT one.changed, key.* FROM json_array_elements(CAST(:changes_{place} AS json)) AS one(changed), "
        f"json_to_record(one.changed) AS key({typed})) AS given WHERE {same} RETURNING 1"
    )


def _insertion(table: Table, columns: tuple[str, ...], parameter: str) -> str:
    names = ", ".join(columns)
    typed = ", ".join(f"{name} {table.c[name].type.compile(DIALECT)}" for name in columns)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {names} "  # noqa: S608 - names of our own tables
        f"FROM json_to_recordset(CAST(:{parameter} AS json)) AS new({typed})"
    )
