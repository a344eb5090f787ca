"""Fixed texts of SQL, given to psycopg as they are.

SQLAlchemy compiles, wraps and reads each statement anew, which costs more processor time than psycopg and PostgreSQL
take for it together; a payment is made of some forty of them. What fails raises the same errors as SQLAlchemy does.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, TextClause
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.exc import DBAPIError

from app.kit.patience import PatientConnection

DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]  # it has none
#: For texts that run again and again with other numbers of ids: PostgreSQL plans one only once where it does not see
#: how many there are.
ANY_OF_IDS: Final = "ANY(ARRAY(SELECT unnest(CAST(:ids AS text[]))))"


def driver_of(connection: Connection) -> PatientConnection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, PatientConnection)
    return driver


def rows(connection: Connection, statement: TextClause, parameters: Mapping[str, Any] | None = None) -> list[Any]:
    """What the statement returns, as named tuples; nothing if it returns no rows."""
    driver = driver_of(connection)
    try:
        cursor = driver.cursor_of_tuples.execute(_text(statement), parameters)
        # The cursor's `description` would be made anew for the question, an object a column.
        return cursor.fetchall() if cursor.pgresult is not None and cursor.pgresult.nfields else []
    except psycopg.Error as error:
        raise _as_sqlalchemy(error, connection, driver, statement.text) from error


@cache
def _text(statement: TextClause) -> bytes:
    return str(statement.compile(dialect=DIALECT)).encode()


@contextmanager
def as_sqlalchemy_raises(connection: Connection) -> Iterator[None]:
    """Raise psycopg's errors as SQLAlchemy raises them; a connection that is gone is given up."""
    driver = driver_of(connection)
    try:
        yield
    except psycopg.Error as error:
        raise _as_sqlalchemy(error, connection, driver) from error


def _as_sqlalchemy(
    error: psycopg.Error, connection: Connection, driver: PatientConnection, statement: str | None = None
) -> Exception:
    if gone := driver.closed:
        _find_out(connection)
    return DBAPIError.instance(
        statement,
        None,
        error,
        psycopg.Error,
        hide_parameters=True,
        connection_invalidated=gone,
        dialect=DIALECT,
    )


def _find_out(connection: Connection) -> None:
    """Let SQLAlchemy see for itself that the connection is gone, so that its pool trusts the others no more."""
    if not connection.in_transaction():
        # Otherwise it would go on with another connection, and half of the transaction would be committed there.
        connection.begin()
    try:
        connection.exec_driver_sql("SELECT 1")
    except DBAPIError:
        return
