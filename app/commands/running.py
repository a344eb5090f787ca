"""Reaching what runs: the database of a `sluice up` beside us, or the one that DATABASE_URL names."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.bootstrap import Wired, wire
from app.demo import NothingRuns
from app.kit.database import Database
from app.kit.embedded import EmbeddedPostgres
from app.kit.keys import KeyFile, new_master_key
from app.settings import Settings


def database_url(settings: Settings) -> str:
    """DATABASE_URL, or that of the embedded database which a running `sluice up` keeps."""
    if settings.database_url:
        return settings.database_url
    folder = settings.var / "postgres"
    if not folder.exists():
        raise NothingRuns(f"There is no database in {settings.var}. Start `make up`, or set DATABASE_URL")
    return EmbeddedPostgres(folder).url()


@contextmanager
def database(settings: Settings) -> Iterator[Database]:
    """An open database; NothingRuns when it does not answer."""
    opened = Database(database_url(settings), pool_size=2, patience=None)
    try:
        with opened.begin() as tx:
            tx.value(text("SELECT 1"))
    except OperationalError as error:
        opened.close()
        why = str(error.orig).strip().splitlines()[0]
        raise NothingRuns(f"The database does not answer ({why}). Start `make up`, or set DATABASE_URL") from None
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def wired(settings: Settings) -> Iterator[Wired]:
    """Everything wired to that database, with the key that `sluice up` keeps when none is set."""
    with database(settings) as opened:
        update: dict[str, object] = {"database_url": opened.url}
        if not settings.master_key.get_secret_value():
            update["master_key"] = SecretStr(KeyFile(settings.var / "keys.json").get("master_key", new_master_key))
        yield wire(settings.model_copy(update=update), opened)
