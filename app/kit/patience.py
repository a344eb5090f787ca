"""Connections to PostgreSQL that give up on a server which has stopped answering.

The server ends a statement that takes too long, and the kernel a connection whose packets nobody acknowledges. A server
that hangs, or a proxy before it that swallows what it is sent, does neither: so we watch the clock ourselves as well.
"""

from datetime import timedelta
from functools import cached_property
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.rows import namedtuple_row

RV = TypeVar("RV")

#: A transaction that does nothing for so long has been forgotten, and holds locks that others wait for.
IDLE_SECONDS: Final = 60
#: How much longer than the server we wait, so that an answer it gives in time is never missed.
_GRACE: Final = timedelta(seconds=5)
_INTERVAL: Final = 0.1


class PatientConnection(psycopg.Connection[Any]):
    """`limit` is how long one answer may take; None waits for ever. `unhurried` lifts it for one transaction."""

    limit: timedelta | None = None
    unhurried: bool = False

    @cached_property
    def cursor_of_tuples(self) -> psycopg.Cursor[Any]:
        """One for all that is read whole at once: making a cursor costs as much as a short statement."""
        return self.cursor(binary=True, row_factory=namedtuple_row)

    def wait(self, gen: PQGen[RV], interval: float = _INTERVAL, timeout: float | None = None) -> RV:
        """As psycopg's own; out of patience the connection is closed and OperationalError raised."""
        try:
            return self._waited(gen, interval, timeout)
        except psycopg.Error as error:
            # DETAIL and CONTEXT repeat whole rows and parts of what was sent, and errors go into logs and incidents.
            if error.diag.message_primary is not None:
                error.args = (error.diag.message_primary,)
            raise

    def _waited(self, gen: PQGen[RV], interval: float, timeout: float | None) -> RV:
        if timeout is not None or self.limit is None or self.unhurried:
            return super().wait(gen, interval, timeout)
        seconds = (self.limit + _GRACE).total_seconds()
        try:
            return super().wait(gen, interval, seconds)
        except errors._WaitTimeout:  # noqa: SLF001 - it has no public name, and its base is raised for everything
            # What was asked may have happened; nobody will hear it on this connection.
            self.pgconn.finish()
            raise psycopg.OperationalError(f"PostgreSQL has not answered for {seconds:g} s") from None


def connect(conninfo: str, limit: timedelta | None, **options: Any) -> PatientConnection:
    """A connection that waits at most `limit`, and a little, for each answer."""
    made = PatientConnection.connect(conninfo, **_alive(limit), **options)
    made.limit = limit
    return made


def _alive(limit: timedelta | None) -> dict[str, Any]:
    """Parameters by which the kernel and the server notice that the other side is gone."""
    statement = int(limit.total_seconds() * 1000) if limit is not None else 0
    settings = {
        "timezone": "UTC",
        "lock_timeout": "10s",
        "statement_timeout": f"{statement}ms",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    }
    return {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
