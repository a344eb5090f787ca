"""A backup taken while payments are under way, gateways that go on, and the backup brought back."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import orjson
import psycopg
import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from app.kit.database import Database
from app.kit.wheels import postgres_binaries
from tests.fixtures_sandbox import sandbox
from tests.house import House, house
from tests.plugins.servers import create_database, in_database

__all__ = ["house", "sandbox"]
NAME = "sluice_restored"


class Sluice(Protocol):
    def __call__(self, where: House, *arguments: str) -> Result: ...


class Backup:
    """A dump of the house's database, and the house on the database it is restored to."""

    def __init__(self, house: House, folder: Path) -> None:
        self._house = house
        self._dump = folder / "dump"
        self._open = ExitStack()

    def take(self) -> None:
        _run("pg_dump", "--format=custom", f"--file={self._dump}", f"--dbname={_plain(self._house.database.url)}")

    def restore(self) -> House:
        """The same house with what the backup remembers, and its gateways as they are now."""
        create_database(self._house.database.url, NAME)
        url = in_database(self._house.database.url, NAME)
        _run("pg_restore", "--exit-on-error", f"--dbname={_plain(url)}", str(self._dump))
        return self.house_on(url)

    def house_on(self, url: str) -> House:
        opened = Database(url, shift=lambda: self._house.clock.shift)
        self._open.callback(opened.close)
        again = House(opened, self._house.clock, self._house.sandboxes, self._house.inbound, patience=1.5)
        self._open.callback(again.close)
        self._house.inbound.house = again
        return again

    def close(self) -> None:
        self._house.inbound.house = None
        self._open.close()
        with psycopg.connect(_plain(in_database(self._house.database.url, "postgres")), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{NAME}" WITH (FORCE)')


def _run(program: str, *arguments: str) -> None:
    binaries = postgres_binaries(shared=False)
    assert binaries is not None
    done = subprocess.run([binaries / program, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _plain(url: str) -> str:
    return url.replace("+psycopg", "", 1)


@pytest.fixture
def backup(house: House, tmp_path: Path) -> Iterator[Backup]:
    made = Backup(house, tmp_path)
    yield made
    made.close()


@pytest.fixture
def sluice(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sluice:
    """Run a command on a house's database, with the house's gateways in the settings."""
    gateways = [
        {
            "name": server.config.name,
            "adapter": "sandbox",
            "options": {
                "base_url": server.base_url,
                "api_key": server.config.api_key,
                "webhook_secrets": [server.config.webhook_secret],
            },
        }
        for server in house.sandboxes
    ]
    monkeypatch.setenv("SLUICE_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("SLUICE_GATEWAYS", orjson.dumps(gateways).decode())

    def run(where: House, *arguments: str) -> Result:
        monkeypatch.setenv("DATABASE_URL", where.database.url)
        return CliRunner().invoke(cli, arguments, catch_exceptions=False)

    return run
