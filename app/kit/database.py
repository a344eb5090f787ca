"""PostgreSQL: the unit of work. This is the only file that commits.

`with database.begin() as tx:` is one transaction: it commits when the block ends and rolls back when it raises.
Never hold one across a call to somebody else's system.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

import orjson
import psycopg
import structlog
from sqlalchemy import (
    Connection,
    CursorResult,
    Dialect,
    Engine,
    Executable,
    Result,
    TextClause,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import InstanceState, Session, make_transient_to_detached
from sqlalchemy.orm.attributes import instance_state, manager_of_class
from sqlalchemy.pool import ConnectionPoolEntry

from app.kit import direct
from app.kit.bulk import Batch, Part, writing
from app.kit.clock import Clock
from app.kit.mapping import Base as Base  # noqa: PLC0414 - who maps a class also wants transactions
from app.kit.mapping import ChangesSession, columns_of, defaults_of
from app.kit.mapping import Json as Json  # noqa: PLC0414
from app.kit.patience import PatientConnection, connect

T = TypeVar("T")
M = TypeVar("M", bound=Base)

log = structlog.get_logger()

#: serialization_failure and deadlock_detected: the transaction was right, only its moment was not.
_UNDONE: Final = frozenset({"40001", "40P01"})
#: Connections lost, no room or memory left, the server going down or coming up (PostgreSQL, appendix A).
_AWAY: Final = ("08", "53", "57P")

#: Far beyond what any request or step needs.
PATIENCE: Final = timedelta(seconds=30)

#: For a commit that need not wait for the disk: whatever relies on it is written after it, and waits.
NO_WAIT: Final = {"synchronous_commit": "off"}
#: A connection used so lately is taken for alive; if it is not, its next statement says so.
_FRESH_SECONDS: Final = 1.0

_CLOCK = text("SELECT clock_timestamp()")
_LOCAL = text("""
SELECT clock_timestamp(), count(set_config(key, value, true)) FROM json_each_text(CAST(:settings AS json))
""")

_open_transactions: ContextVar[int] = ContextVar("open_transactions", default=0)


def in_transaction() -> bool:
    """Whether this thread holds a transaction open; whoever calls somebody else's system asserts that it does not."""
    return _open_transactions.get() > 0


def is_away(error: BaseException) -> bool:
    """Whether this says that the database cannot work now, and nothing about what was asked of it."""
    if not isinstance(error, OperationalError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state.startswith(_AWAY)


class Tx:
    """One open transaction: the ORM session, the database's time, and wake-ups that leave with the commit."""

    def __init__(
        self,
        connection: Connection,
        shift: Callable[[], timedelta],
        tell: Callable[[str], None] | None = None,
        known: set[str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._connection = connection
        self._session: ChangesSession | None = None
        #: Rows that this database is known to hold for ever, such as accounts; shared by all its transactions.
        self.known = known if known is not None else set()
        self._shift = shift
        self._tell = tell
        self._clock = clock
        self._told: dict[tuple[str, str], None] = {}
        self._now: datetime | None = None
        self._own: dict[type, Any] = {}
        self._before: list[Callable[[], None]] = []
        self._batch = Batch()
        #: The rows of the batch that belong to objects.
        self._fresh: dict[InstanceState[Any], Json] = {}
        self._after: list[Callable[[], None]] = []

    @property
    def session(self) -> Session:
        """Made when first asked for: what needs only fixed texts does without."""
        if self._session is None:
            self._session = ChangesSession(self._connection, expire_on_commit=False)
            self._session.gathered = self._write
        return self._session

    def now(self) -> datetime:
        """The database's clock, read once per transaction, so that every row of it carries the same moment."""
        if self._now is None:
            self._now = (self._clock.now() if self._clock is not None else self._read()) + self._shift()
        return self._now

    def _read(self) -> datetime:
        read: datetime = self.value(_CLOCK)
        return read.astimezone(UTC)

    def local(self, settings: Mapping[str, str]) -> None:
        """Settings of PostgreSQL for the rest of this transaction; the same statement reads its clock."""
        self.clocked(self.value(_LOCAL, {"settings": orjson.dumps(dict(settings)).decode()}))

    def clocked(self, read: datetime) -> None:
        """A statement read PostgreSQL's clock on its way, so that no other one need ask for it."""
        if self._now is None and self._clock is None:
            self._now = read.astimezone(UTC) + self._shift()

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Result[Any]:
        """A statement that SQLAlchemy builds; `rows`, `row`, `column` and `value` are for fixed texts."""
        return self.session.execute(statement, parameters)

    def rows(self, statement: TextClause, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """What a fixed text returns, as named tuples. What the session or the gathered rows hold is written before."""
        if self._session is not None and self._session.autoflush:
            self._session.flush()
        elif self._session is None:
            self._write()
        return direct.rows(self._connection, statement, parameters)

    def apart(self, statement: TextClause, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """As `rows`, for what has nothing to do with anything that is not written yet, which may then come later."""
        return direct.rows(self._connection, statement, parameters)

    def row(self, statement: TextClause, parameters: Mapping[str, Any] | None = None) -> Any:
        """The one row that a fixed text returns, or None."""
        found = self.rows(statement, parameters)
        assert len(found) <= 1, "a statement for one row found more"
        return found[0] if found else None

    def column(self, statement: TextClause, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """The first column of what a fixed text returns."""
        return [row[0] for row in self.rows(statement, parameters)]

    def value(self, statement: TextClause, parameters: Mapping[str, Any] | None = None) -> Any:
        """The one value that a fixed text returns, or None."""
        found = self.row(statement, parameters)
        return found[0] if found is not None else None

    def changed(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> int:
        """Execute an UPDATE, DELETE or INSERT; how many rows it touched."""
        # Without the option SQLAlchemy says -1 for every INSERT.
        result = self.session.execute(statement, parameters, execution_options={"preserve_rowcount": True})
        assert isinstance(result, CursorResult)
        return result.rowcount

    def own(self, kind: type[T]) -> T:
        """This transaction's one `kind`, made when first asked for: what its locks make safe to remember."""
        if kind not in self._own:
            self._own[kind] = kind()
        found: T = self._own[kind]
        return found

    def notify(self, channel: str, payload: str = "") -> None:
        """LISTEN/NOTIFY hint; PostgreSQL delivers it at commit, equal ones once."""
        if (channel, payload) in self._told:
            return
        self._told[channel, payload] = None
        if self._tell is not None:
            self.after_commit(partial(self._tell, channel))

    def be_patient(self) -> None:
        """Let the statements of this transaction take as long as they need: for jobs that nobody waits for."""
        self.local({"statement_timeout": "0"})
        direct.driver_of(self._connection).unhurried = True

    def gather(self, model: type[Base], row: Json) -> None:
        """Insert a row together with the others, of whatever tables, before the session writes or reads anything.

        All rows of a table have the same columns.
        """
        self._batch.inserts.setdefault(model, []).append(row)

    def gather_part(self, part: Part) -> None:
        """Write something else together with those rows."""
        if any(part.text == other.text for other in self._batch.parts):
            self._write()
        self._batch.parts.append(part)

    def insert(self, model: type[M], **values: Any) -> M:
        """A new row as an object that looks as if it had been read. What is not given has its default, or is None."""
        columns = columns_of(model)
        assert values.keys() <= columns.keys(), f"{model.__name__} has no {values.keys() - columns.keys()}"
        filled = {**defaults_of(model), **values}
        new: M = manager_of_class(model).new_instance()
        new.__dict__.update(filled)
        make_transient_to_detached(new)
        self._fresh[instance_state(new)] = row = {columns[key]: value for key, value in filled.items()}
        self.gather(model, row)
        self.session.add(new)
        return new

    def _write(self, hints: Sequence[tuple[str, str]] = ()) -> None:
        """Write the batch and the changes that belong to it. A row of the batch is inserted as it is by now."""
        changes = self._session.take_changes() if self._session is not None else []
        batch, self._batch = self._batch, Batch()
        fresh, self._fresh = self._fresh, {}
        for change in changes:
            if change.state in fresh:
                fresh[change.state].update(change.columns)
            elif change.columns:
                batch.changes.setdefault(change.model, []).append({**change.key, **change.columns})
        if batch or hints:
            (written,) = direct.rows(self._connection, *writing(batch, hints))
            there = written.changed == sum(map(len, batch.changes.values()))
            assert there, "a row that was read and changed is not there any more"

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of the transaction that is undone alone when it raises, with what it gathered and came to know."""
        self._write_gathered()
        told, after = dict(self._told), list(self._after)
        try:
            with self.session.begin_nested():
                # It sets its savepoint when it first asks for something, and fixed texts do not go through it.
                self.session.connection()
                yield
                # What breaks when it is written belongs to the part, too.
                self._write_gathered()
        except BaseException:
            # What locks made safe to remember went with the locks.
            self._own.clear()
            self._batch = Batch()
            self._fresh.clear()
            self._before.clear()
            self._told, self._after = told, after
            # The session does not know which changes were written, and undone, without it.
            self.session.expire_all()
            raise

    def before_commit(self, action: Callable[[], None]) -> None:
        """Run `action` as the last part of the transaction: for rows that are gathered and written together."""
        self._before.append(action)

    def settle(self) -> None:
        """Write what was gathered, and send the hints."""
        self._prepare()
        hints, self._told = list(self._told), {}
        self._write(hints)
        if self._session is not None:
            self._session.flush()

    def commit(self) -> None:
        """Write what is left, and make it certain."""
        self.settle()
        if self._session is not None:
            self._session.commit()
        # The session ends what it has begun itself, and it may not have asked the database for anything.
        with direct.as_sqlalchemy_raises(self._connection):
            direct.driver_of(self._connection).commit()

    def close(self) -> None:
        """What was not committed is undone; the objects that were read are nobody's any more."""
        if self._session is not None:
            self._session.close()

    def _write_gathered(self) -> None:
        self._prepare()
        self.session.flush()

    def _prepare(self) -> None:
        """Run what was kept for the end, which may gather still more."""
        while self._before:
            self._before.pop(0)()

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run `action` once the commit is certain. It is a hint: nothing may depend on its being run."""
        self._after.append(action)

    def committed(self) -> None:
        for action in self._after:
            try:
                action()
            except Exception:
                # The work is on disk; whoever asked for it must not hear that it failed.
                log.exception("hint.failed")


def _come_back(driver: PatientConnection | None, record: ConnectionPoolEntry) -> None:
    if driver is not None:
        driver.unhurried = False
        record.info["used"] = time.monotonic()


def _ask_idle(dialect: Dialect, driver: DBAPIConnection, record: ConnectionPoolEntry, _fairy: object) -> None:
    """A connection that lay in the pool for a while is asked whether it still lives; if not, the pool opens others."""
    used = record.info.get("used")
    if used is None or time.monotonic() - used < _FRESH_SECONDS:
        return
    try:
        dialect.do_ping(driver)
    except psycopg.Error as error:
        raise InvalidatePoolError(str(error)) from None


class Database:
    """A pool of connections to one PostgreSQL. `shift` moves the clock that transactions see, for tests and demos.

    `patience` is how long one statement may take, on the server and as we see it; None where a person watches.
    Simulations, whose time is made up, give a `clock` that they see instead of the database's.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        shift: Callable[[], timedelta] = timedelta,
        patience: timedelta | None = PATIENCE,
        clock: Clock | None = None,
    ) -> None:
        self.url = url
        self._shift = shift
        self._clock = clock
        self._tell: Callable[[str], None] | None = None
        self._known: set[str] = set()
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=10,
            hide_parameters=True,  # an error is logged, and what people and systems sent is not for logs
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )
        event.listen(self.engine, "do_connect", lambda _dialect, _record, _args, given: connect("", patience, **given))
        event.listen(self.engine, "checkin", _come_back)
        event.listen(self.engine, "checkout", partial(_ask_idle, self.engine.dialect))

    def on_notify(self, tell: Callable[[str], None]) -> None:
        """Call `tell` with the channel after every commit that notified it, beside PostgreSQL's own NOTIFY."""
        self._tell = tell

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        with self.engine.connect() as connection:
            tx = Tx(connection, self._shift, self._tell, self._known, self._clock)
            outer = _open_transactions.set(_open_transactions.get() + 1)
            try:
                yield tx
                tx.commit()
            finally:
                _open_transactions.reset(outer)
                tx.close()
        tx.committed()

    def run(self, work: Callable[[Tx], T], tries: int = 4) -> T:
        """`work` in one transaction, from the start again when PostgreSQL undid it for the sake of another one.

        For work that does nothing outside the transaction.
        """
        for left in reversed(range(tries)):
            try:
                with self.begin() as tx:
                    return work(tx)
            except DBAPIError as error:
                if left == 0 or getattr(error.orig, "sqlstate", None) not in _UNDONE:
                    raise
        raise AssertionError("tries must be at least 1")

    def close(self) -> None:
        self.engine.dispose()
