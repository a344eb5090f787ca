"""One real PostgreSQL per run, one database per worker, emptied for each test that asks for it; a Redis per worker.

The server starts when the first worker or test needs it. Its databases are clones of a template in which the
migrations ran once. `TEST_DATABASE_URL` names a server of your own instead, whose role may create databases.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import make_url

from app.kit.clock import ShiftedClock
from app.kit.database import Database
from app.kit.embedded import EmbeddedPostgres, EmbeddedRedis
from app.migrate import upgrade

TEMPLATE = "sluice_template"

# Only tables with rows are emptied: that takes a millisecond where all of them would take fifty. As a replica the
# server runs no triggers, so tables that guard themselves against such things are emptied too.
EMPTY_ALL_TABLES = """
SET LOCAL session_replication_role = replica;
SET LOCAL lock_timeout = '10s';
DO $$
DECLARE
    candidate text;
    filled text[] := '{}';
    found boolean;
BEGIN
    FOR candidate IN
        SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname = current_schema() AND tablename <> 'alembic_version'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', candidate) INTO found;
        IF found THEN
            filled := filled || candidate;
        END IF;
    END LOOP;
    IF filled <> '{}' THEN
        EXECUTE 'TRUNCATE ' || array_to_string(filled, ', ') || ' RESTART IDENTITY CASCADE';
    END IF;
END $$
"""


class PostgresForTests:
    """Lives in the process that pytest was started as; the workers are told its URL."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._url: str | None = None

    def url(self) -> str:
        """URL of the server's maintenance database, with the template made."""
        if self._url is None:
            self._url = os.environ.get("TEST_DATABASE_URL") or self._start()
            create_database(self._url, TEMPLATE)
            upgrade(in_database(self._url, TEMPLATE))
        return self._url

    def close(self) -> None:
        self._open.close()

    def _start(self) -> str:
        return self._open.enter_context(EmbeddedPostgres(self._open.enter_context(server_folder()), durable=False))


class server_folder:  # noqa: N801 - used as a function
    """A folder under a short and public path: as root the server is not allowed into pytest's private ones."""

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp(prefix="sluice-test-"))
        self.path.chmod(0o711)
        return self.path / "server"

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path)


def in_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def create_database(url: str, name: str, template: str = "template1") -> None:
    with _connection(url) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def _connection(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


POSTGRES = pytest.StashKey[PostgresForTests]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[POSTGRES] = PostgresForTests()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[POSTGRES].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Called by xdist in the first process, once for each worker it is about to start."""
    node.workerinput["postgres_url"] = node.config.stash[POSTGRES].url()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def worker_database_url(request: pytest.FixtureRequest, worker_id: str) -> str:
    """A database of this worker's own, made once and not emptied."""
    told = getattr(request.config, "workerinput", {}).get("postgres_url")
    server = told or request.config.stash[POSTGRES].url()
    name = f"sluice_{worker_id}"
    create_database(server, name, TEMPLATE)
    return in_database(server, name)


@pytest.fixture
def database_url(worker_database_url: str) -> str:
    """An empty database with the newest schema."""
    with psycopg.connect(worker_database_url.replace("+psycopg", "", 1)) as connection:
        connection.execute(EMPTY_ALL_TABLES)
    return worker_database_url


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
def database(database_url: str, clock: ShiftedClock) -> Iterator[Database]:
    """An empty database whose transactions see the moved clock."""
    opened = Database(database_url, shift=lambda: clock.shift)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def worker_redis_url() -> Iterator[str]:
    with server_folder() as folder, EmbeddedRedis(folder) as url:
        yield url


@pytest.fixture
def redis_url(worker_redis_url: str) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(worker_redis_url) as client:
        client.flushall()
    return worker_redis_url
