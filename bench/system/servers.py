"""What the measurements run on: a durable PostgreSQL with a database for each, Redis, and the processes under test."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import psycopg
import urllib3
from sqlalchemy import make_url

from app import migrate
from app.kit.embedded import EmbeddedPostgres, EmbeddedRedis
from app.kit.kept import KeptProcess
from app.kit.keys import new_cookie_key, new_master_key
from app.kit.wheels import postgres_binaries
from app.settings import ROOT

START_SECONDS = 60


@dataclass(frozen=True)
class Servers:
    """Where everything is. `url` gives a database's address for SQLAlchemy, `plain` the same for libpq."""

    server: str
    redis: str
    folder: Path

    def url(self, name: str) -> str:
        return make_url(self.server).set(database=name).render_as_string(hide_password=False)

    def plain(self, name: str) -> str:
        return self.url(name).replace("+psycopg", "", 1)

    def connect(self, name: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.plain(name), autocommit=True)

    def environment(self, name: str, **more: str) -> dict[str, str]:
        """The settings of a process of ours on that database."""
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.url(name),
            "REDIS_URL": "",
            "SLUICE_VAR": str(self.folder),
            "SLUICE_SECRET_KEY": new_cookie_key(),
            "SLUICE_MASTER_KEY": new_master_key(),
            **more,
        }


@contextmanager
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-", dir=os.environ.get("BENCH_DIR")))
    folder.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        server = _postgres(stack, folder / "postgres")
        redis = stack.enter_context(EmbeddedRedis(folder / "redis"))
        found = Servers(server, redis, folder)
        with psycopg.connect(server.replace("+psycopg", "", 1), autocommit=True) as connection:
            for name in ("pgbench", "naive", "dbos", "http"):
                connection.execute(f'CREATE DATABASE "{name}"')
            migrate.upgrade(found.url("http"))
            connection.execute('CREATE DATABASE "engine" TEMPLATE "http"')
        yield found


def _postgres(stack: ExitStack, folder: Path) -> str:
    """As `sluice up` has it, fsync included, but for what keeps contenders from paying for each other."""
    server = EmbeddedPostgres(folder)
    url = stack.enter_context(server)
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        # A checkpoint in the middle of a round would charge one contender for another one's pages.
        connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        connection.execute("ALTER SYSTEM SET checkpoint_timeout = '30min'")
        # When each transaction was committed; latencies are read from it.
        connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    server.stop()
    return server.start()


@contextmanager
def process(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """A process of ours from here to the end of the block, and in no case longer than this one."""
    started = KeptProcess([sys.executable, *command], log=log, environment=environment, directory=ROOT)
    try:
        yield
    finally:
        started.stop()


def output(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """What a command printed, which must succeed."""
    ran = subprocess.run(  # noqa: S603 - the command comes from our own code
        command, env=environment and dict(environment), capture_output=True, text=True, cwd=ROOT, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ran.stderr[-2000:]}")
    return ran.stdout


def pgbench() -> str:
    folder = postgres_binaries(shared=False)
    assert folder is not None
    return str(folder / "pgbench")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_http(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib3.request("GET", url, timeout=1, retries=False)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"Nobody answers at {url}")


def gateways(stub_port: int) -> str:
    """The setting of one gateway that is the stub."""
    options = {"base_url": f"http://127.0.0.1:{stub_port}", "api_key": "sk_bench"}
    return orjson.dumps([{"name": "sandbox_a", "adapter": "sandbox", "options": options}]).decode()
