"""Which PostgreSQL this is, and whether it may send.

A database that was restored remembers less than the gateways do. It finds that out by itself: the server, its
timeline, the database and this table are then not those that were written down. From that moment nothing is sent,
no gateway call and no delivery, until `sluice recover` has looked and a person has released it.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import orjson
import structlog
from sqlalchemy import BigInteger, Identity, Index, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.errors import Conflict
from app.kit.database import Base, Json, Tx

log = structlog.get_logger()


class NotHeld(Conflict):
    code = "sending_not_held"
    title = "Nothing is held"


class NotRecovered(Conflict):
    code = "not_recovered"
    title = "Nobody has looked yet what the gateways did"


_OPEN: Final = text("released_at IS NULL")


class Installation(Base):
    """The one row that says where this database last knew itself to be."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(primary_key=True)
    identity: Mapped[Json]  # {"system", "timeline", "database", "table"}


class Hold(Base):
    """A time in which nothing is sent. At most one is open; the closed ones are history."""

    __tablename__ = "holds"
    __table_args__ = (Index("uq_holds_open", text("(released_at IS NULL)"), unique=True, postgresql_where=_OPEN),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    reason: Mapped[str]
    opened_at: Mapped[datetime]
    recovered_at: Mapped[datetime | None]
    findings: Mapped[Json | None]  # {"differences": [sentence], "unseen": [gateway whose books nobody read as a whole]}
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None]
    note: Mapped[str | None]


_ONE: Final = 1
# The timeline comes from the name of the WAL file written now: the control file learns of a promotion only with the
# next checkpoint.
_LOOK: Final = text("""
SELECT known.identity AS known,
       jsonb_build_object(
           'system', (SELECT system_identifier::text FROM pg_control_system()),
           'timeline', CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
           'database', (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
           'table', 'installation'::regclass::oid::bigint
       ) AS identity,
       EXISTS (SELECT FROM holds WHERE released_at IS NULL) AS held,
       pg_is_in_recovery() AS recovering,
       (SELECT max(opened_at) FROM holds) AS restored_at,
       here.clock, here.settings
FROM (
    SELECT clock_timestamp() AS clock, count(set_config(key, value, true)) AS settings
    FROM json_each_text(CAST(:settings AS json))
) AS here LEFT JOIN installation AS known ON known.id = 1
""")
_WORDS: Final = {
    "system": "it lies on another PostgreSQL server",
    "timeline": "its server was promoted or restored to a moment",
    "database": "it is a copy beside the former one",
    "table": "its tables were made anew from a dump",
}


class Sending:
    """What one process knows of it. `restored_at` is when this database was last found, or said, to be restored."""

    def __init__(self) -> None:
        self.restored_at: datetime | None = None
        self._told = False

    def held(self, tx: Tx, settings: Mapping[str, str] = MappingProxyType({})) -> bool:
        """Whether nothing may be sent, looked up anew. A database that finds itself elsewhere is held from now on.

        The same statement gives the transaction these settings of PostgreSQL's and its time.

        A server that still replays its log can be read but not written: nothing is sent, and where it is will be seen
        when that is over.
        """
        seen = tx.row(_LOOK, {"settings": orjson.dumps(dict(settings)).decode()})
        tx.clocked(seen.clock)
        if seen.recovering:
            return True
        held: bool = seen.held
        self.restored_at = seen.restored_at
        if seen.known != seen.identity:
            reason = _settle_in(tx, seen.identity)
            if reason:
                held, self.restored_at = True, tx.now()
        if held and not self._told:
            log.warning("sending.held", remedy="sluice recover, then sluice release-sending")
        self._told = held
        return held


def _settle_in(tx: Tx, identity: Json) -> str:
    """Write down where the database is now; why it must be held, or "" when it is new or somebody was quicker."""
    tx.execute(insert(Installation).values(id=_ONE, identity=identity).on_conflict_do_nothing())
    row = tx.session.get_one(Installation, _ONE, with_for_update=True, populate_existing=True)
    changed = [words for part, words in _WORDS.items() if row.identity.get(part) != identity[part]]
    if not changed:
        return ""
    row.identity = identity
    reason = "This is not where the database was: " + ", ".join(changed)
    hold(tx, reason)
    return reason


def open_hold(tx: Tx) -> Hold | None:
    return tx.session.scalar(select(Hold).where(Hold.released_at.is_(None)))


def hold(tx: Tx, reason: str) -> Hold:
    """Send nothing from now on. A hold that is open begins again: what was recovered before does not count."""
    found = open_hold(tx)
    if found is None:
        found = Hold(reason=reason, opened_at=tx.now())
        tx.session.add(found)
    else:
        found.opened_at, found.recovered_at, found.findings = tx.now(), None, None
        found.reason = reason if found.reason == reason else f"{found.reason}; {reason}"
    tx.session.flush()
    return found


def recovered(tx: Tx, found: Hold, findings: Json) -> None:
    """Keep what was found; from now on the hold may be released."""
    found.recovered_at, found.findings = tx.now(), findings
    tx.session.flush()


def release(tx: Tx, by: str, note: str, compared: frozenset[str]) -> Hold:
    """Let it send again. NotHeld; NotRecovered while the gateways were not asked.

    `compared` names the gateways that did not show all their books and whose pages or files a person has compared.
    """
    found = open_hold(tx)
    if found is None:
        raise NotHeld("Nothing is held; there is nothing to release")
    if found.recovered_at is None or found.findings is None:
        raise NotRecovered("Run `sluice recover` first: it asks every gateway what it did")
    left = sorted(set(found.findings["unseen"]) - compared)
    if left:
        raise NotRecovered(
            f"{', '.join(left)} did not show all its books here: compare what it did since the backup on its own "
            f"pages, then say so with {' '.join(f'--compared {name}' for name in left)}"
        )
    found.released_at, found.released_by, found.note = tx.now(), by, note
    tx.session.flush()
    return found
