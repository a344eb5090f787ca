"""A recovery to a moment, by PostgreSQL itself: the same server as before, on another timeline."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.installation import Sending, open_hold
from app.kit.database import Database
from app.kit.embedded import EmbeddedPostgres
from app.migrate import upgrade
from tests.plugins.servers import server_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder() as made:
        yield made.parent


def held(url: str) -> tuple[bool, str]:
    database = Database(url, pool_size=1)
    try:
        with database.begin() as tx:
            return Sending().held(tx), (hold.reason if (hold := open_hold(tx)) else "")
    finally:
        database.close()


def recovering(url: str) -> bool:
    database = Database(url, pool_size=1)
    try:
        with database.begin() as tx:
            return bool(tx.session.scalar(text("SELECT pg_is_in_recovery()")))
    finally:
        database.close()


def test_a_recovered_cluster_is_held_and_a_copied_one_cannot_know(folder: Path) -> None:
    first = EmbeddedPostgres(folder / "first", durable=False)
    with first as url:
        upgrade(url)
        assert held(url) == (False, "")
    for name in ("copied", "recovered"):
        (folder / name).mkdir(mode=0o711)
        subprocess.run(["cp", "-a", folder / "first" / "cluster", folder / name], check=True)
    with EmbeddedPostgres(folder / "copied", durable=False) as url:
        assert held(url) == (False, ""), "why `sluice restored` exists"
    cluster = folder / "recovered" / "cluster"
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\nrecovery_target_action = 'promote'\n")
    (cluster / "recovery.signal").touch()
    shutil.copystat(cluster / "PG_VERSION", cluster / "recovery.signal")
    with EmbeddedPostgres(folder / "recovered", durable=False) as url:
        while recovering(url):
            assert held(url)[0], "nothing is sent from a server that still replays its log"
            time.sleep(0.05)
        was_held, reason = held(url)
        assert was_held
        assert reason == "This is not where the database was: its server was promoted or restored to a moment"
        assert held(url)[0], "and after the next look as well"
