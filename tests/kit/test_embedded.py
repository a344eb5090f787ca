"""The embedded servers keep what they were given, whatever is killed, and have one owner at a time."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from app.kit.embedded import EmbeddedPostgres, EmbeddedRedis, EmbeddedServerFailed

ROOT = Path(__file__).parents[2]

OWNER = """
import sys
from pathlib import Path
from app.kit.embedded import EmbeddedPostgres, EmbeddedRedis
server = globals()[sys.argv[1]](Path(sys.argv[2]))
print(server.start(), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="sluice-test-"))
    path.chmod(0o711)
    yield path / "server"
    shutil.rmtree(path)


@pytest.fixture
def owner(folder: Path) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], str]]]:
    """Starts a process of its own that owns a server on `folder`; gives the process and the server's URL."""
    started = []

    def start(kind: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, kind, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.communicate()


def put(url: str, number: int) -> None:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("INSERT INTO kept VALUES (%s)", [number])


def kept(url: str) -> list[int]:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM kept ORDER BY number")]


def test_postgres_keeps_its_rows_over_a_restart(folder: Path) -> None:
    with EmbeddedPostgres(folder) as url:
        put(url, 1)
    with EmbeddedPostgres(folder) as url:
        put(url, 2)
        assert kept(url) == [1, 2]


def test_postgres_outlives_neither_a_killed_owner_nor_loses_its_rows(
    folder: Path, owner: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    process, url = owner("EmbeddedPostgres")
    put(url, 1)
    server = psutil.Process(int((folder / "cluster" / "postmaster.pid").read_text().split("\n")[0]))
    process.kill()
    with EmbeddedPostgres(folder) as again:
        assert not server.is_running()
        assert kept(again) == [1]


def test_postgres_that_was_killed_itself_starts_again(folder: Path) -> None:
    first = EmbeddedPostgres(folder)
    put(first.start(), 1)
    os.kill(int((folder / "cluster" / "postmaster.pid").read_text().split("\n")[0]), signal.SIGKILL)
    first.stop()
    with EmbeddedPostgres(folder) as url:
        assert kept(url) == [1]


def test_a_stale_pid_that_went_to_another_process_harms_nobody(folder: Path) -> None:
    with EmbeddedPostgres(folder) as url:
        put(url, 1)
    stale = folder / "cluster" / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"]) as bystander:
        stale.write_text(f"{bystander.pid}\n{folder / 'cluster'}\n")
        with EmbeddedPostgres(folder) as url:
            assert kept(url) == [1]
        assert bystander.poll() is None
        bystander.kill()


def test_one_folder_has_one_owner(
    folder: Path, owner: Callable[[str], tuple[subprocess.Popen[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, url = owner("EmbeddedPostgres")
    monkeypatch.setattr("app.kit.embedded.OWNER_PATIENCE_SECONDS", 0.2)
    with pytest.raises(EmbeddedServerFailed, match=f"process {process.pid}"):
        EmbeddedPostgres(folder).start()
    assert EmbeddedPostgres(folder).url() == url


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    (folder / "cluster" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerFailed, match="no_such_setting"):
        EmbeddedPostgres(folder).start()


def test_a_folder_too_deep_for_a_socket_still_serves(folder: Path) -> None:
    deep = folder / ("x" * 60) / ("y" * 60)
    deep.parent.mkdir(parents=True)
    for opened in (folder, deep.parent):
        opened.chmod(0o711)
    with EmbeddedPostgres(deep) as url:
        put(url, 1)
        assert kept(url) == [1]
    shutil.rmtree((deep / "short").resolve())


def test_redis_keeps_its_keys_when_its_owner_is_killed(
    folder: Path, owner: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    process, url = owner("EmbeddedRedis")
    with redis.Redis.from_url(url) as client:
        client.set("kept", "yes")
        server = psutil.Process(client.info("server")["process_id"])
    process.kill()
    with EmbeddedRedis(folder) as again, redis.Redis.from_url(again) as client:
        assert not server.is_running()
        assert client.get("kept") == b"yes"


def test_redis_refuses_writes_rather_than_forgetting_keys(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_root_serves_from_elsewhere_and_leaves_a_private_home_private(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.kit.wheels.SHARED", folder.parent / "shared")
    home = folder.parent / "home"
    home.mkdir(mode=0o700)
    for _ in range(2):
        with EmbeddedPostgres(home / "var" / "postgres") as url:
            put(url, 1)
            assert set(kept(url)) == {1}
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "var" / "postgres").is_symlink() == (os.geteuid() == 0)


def test_root_serves_the_data_of_an_ordinary_user(folder: Path) -> None:
    with EmbeddedPostgres(folder) as url:
        put(url, 1)
    if os.geteuid() == 0:
        for path in (folder / "cluster", *(folder / "cluster").rglob("*")):
            shutil.chown(path, "daemon", "daemon")
    with EmbeddedPostgres(folder) as url:
        assert kept(url) == [1]


def test_a_folder_of_another_user_is_refused_with_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "lock").touch()

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "lock"))

    monkeypatch.setattr("app.kit.embedded.FileIO", denied)
    with pytest.raises(EmbeddedServerFailed, match="belongs to another user"):
        EmbeddedPostgres(folder).start()
