"""The company's books in SQLite: one connection, one lock, so every transaction sees and leaves whole books.

What was committed survives the killing of the process. Records are kept as JSON; only what is searched for is a column.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

import orjson

from app.sandbox.records import Charge, Dispute, Line, Movement, StoredAnswer

Record = TypeVar("Record", Charge, Movement, Dispute, Line)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL UNIQUE, charge TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS record_charge ON record (charge, kind);
CREATE TABLE IF NOT EXISTS stored_answer (key TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS errand (
    seq INTEGER PRIMARY KEY, due REAL NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, argument TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS errand_due ON errand (due);
CREATE TABLE IF NOT EXISTS letter (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL,
    tries INTEGER NOT NULL, due REAL, delivered INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS letter_due ON letter (due);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Errand:
    """Something that happens by itself later; `due` is a time of the sandbox's clock."""

    due: datetime
    action: str
    subject: str
    argument: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One webhook; `due` is None when it is not waiting for delivery."""

    seq: int
    id: str
    body: bytes
    tries: int
    delivered: int


class Books:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = RLock()
        self._db = sqlite3.connect(folder / "books.sqlite", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    # Records

    def add(self, record: Charge | Movement | Dispute | Line) -> None:
        row = (type(record).__name__, record.id, record.charge, orjson.dumps(record))
        self._rows("INSERT INTO record (kind, id, charge, body) VALUES (?, ?, ?, ?)", *row)

    def put(self, record: Charge | Movement | Dispute) -> None:
        self._rows("UPDATE record SET body = ? WHERE id = ?", orjson.dumps(record), record.id)

    def find(self, kind: type[Record], record_id: str) -> Record | None:
        statement = "SELECT body FROM record WHERE id = ? AND kind = ?"
        rows = self._rows(statement, record_id, kind.__name__)
        return kind(**orjson.loads(rows[0][0])) if rows else None

    def every(self, kind: type[Record]) -> list[Record]:
        rows = self._rows("SELECT body FROM record WHERE kind = ? ORDER BY seq", kind.__name__)
        return [kind(**orjson.loads(body)) for (body,) in rows]

    def charges_after(self, charge_id: str, limit: int) -> list[Charge]:
        """In the order they were made; from the first one on after ""."""
        statement = """
        SELECT body FROM record
        WHERE kind = 'Charge' AND seq > coalesce((SELECT seq FROM record WHERE id = ?), 0) ORDER BY seq LIMIT ?
        """
        return [Charge(**orjson.loads(body)) for (body,) in self._rows(statement, charge_id, limit)]

    def of_charge(self, kind: type[Record], charge: str) -> list[Record]:
        statement = "SELECT body FROM record WHERE charge = ? AND kind = ? ORDER BY seq"
        return [kind(**orjson.loads(body)) for (body,) in self._rows(statement, charge, kind.__name__)]

    # Idempotency keys

    def answer(self, key: str) -> StoredAnswer | None:
        rows = self._rows("SELECT body FROM stored_answer WHERE key = ?", key)
        return StoredAnswer(**orjson.loads(rows[0][0])) if rows else None

    def keep_answer(self, answer: StoredAnswer) -> None:
        self._rows("INSERT INTO stored_answer (key, body) VALUES (?, ?)", answer.key, orjson.dumps(answer))

    # Errands

    def add_errand(self, errand: Errand) -> None:
        row = (errand.due.timestamp(), errand.action, errand.subject, errand.argument)
        self._rows("INSERT INTO errand (due, action, subject, argument) VALUES (?, ?, ?, ?)", *row)

    def take_errand(self, now: datetime) -> Errand | None:
        """The first errand that is due, taken off the list."""
        statement = "SELECT seq, due, action, subject, argument FROM errand WHERE due <= ? ORDER BY due, seq LIMIT 1"
        rows = self._rows(statement, now.timestamp())
        if not rows:
            return None
        seq, due, action, subject, argument = rows[0]
        self._rows("DELETE FROM errand WHERE seq = ?", seq)
        return Errand(datetime.fromtimestamp(due, UTC), action, subject, argument)

    def next_errand(self) -> datetime | None:
        ((due,),) = self._rows("SELECT min(due) FROM errand")
        return None if due is None else datetime.fromtimestamp(due, UTC)

    # Letters: their times are the machine's, because the receiver's are

    def add_letter(self, letter_id: str, body: bytes, due: datetime) -> None:
        statement = "INSERT INTO letter (id, body, tries, due, delivered) VALUES (?, ?, 0, ?, 0)"
        self._rows(statement, letter_id, body, due.timestamp())

    def letters(self) -> list[Letter]:
        return [Letter(*row) for row in self._rows("SELECT seq, id, body, tries, delivered FROM letter ORDER BY seq")]

    def letters_due(self, now: datetime, limit: int) -> list[Letter]:
        statement = "SELECT seq, id, body, tries, delivered FROM letter WHERE due <= ? ORDER BY due, seq LIMIT ?"
        return [Letter(*row) for row in self._rows(statement, now.timestamp(), limit)]

    def next_letter(self) -> datetime | None:
        ((due,),) = self._rows("SELECT min(due) FROM letter")
        return None if due is None else datetime.fromtimestamp(due, UTC)

    def letter_delivered(self, seq: int) -> None:
        self._rows("UPDATE letter SET due = NULL, tries = tries + 1, delivered = delivered + 1 WHERE seq = ?", seq)

    def letter_failed(self, seq: int, next_try: datetime) -> None:
        self._rows("UPDATE letter SET due = ?, tries = tries + 1 WHERE seq = ?", next_try.timestamp(), seq)

    def send_again(self, letter_id: str, due: datetime) -> bool:
        statement = "UPDATE letter SET due = ?, tries = 0 WHERE id = ? RETURNING seq"
        return bool(self._rows(statement, due.timestamp(), letter_id))

    # Single facts, such as how far the clock was moved

    def fact(self, name: str) -> str:
        rows = self._rows("SELECT value FROM fact WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def put_fact(self, name: str, value: str) -> None:
        statement = (
            "INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
        self._rows(statement, name, value)
