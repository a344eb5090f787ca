"""A disk that is full for what is written into one table."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from app.kit.database import Database

_REFUSE = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'could not extend file: no space left on device' USING ERRCODE = 'disk_full'; END $$
"""


@contextmanager
def full_disk(database: Database, what: str) -> Iterator[None]:
    """There is no room for `what`, such as `INSERT ON payments`, until the end of the block."""
    with database.begin() as tx:
        tx.execute(text(_REFUSE))
        tx.execute(text(f"CREATE TRIGGER full_disk BEFORE {what} EXECUTE FUNCTION full_disk()"))
    try:
        yield
    finally:
        with database.begin() as tx:
            tx.execute(text("DROP FUNCTION full_disk CASCADE"))
