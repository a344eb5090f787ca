"""The stack under torture: databases, sandboxes, web and workers as processes, started again when they are killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import psycopg
import urllib3

from app import demo
from app.bootstrap import wire
from app.kit.crypto import new_signing_secret
from app.kit.database import Database, Json
from app.kit.embedded import EmbeddedPostgres, EmbeddedRedis
from app.kit.ids import new_secret
from app.kit.keys import new_cookie_key, new_master_key
from app.migrate import upgrade
from app.settings import ROOT
from proof.torture.plan import SANDBOXES, Plan

START_SECONDS: Final = 60
#: How often in a thousand kills each kind of victim is chosen.
VICTIMS: Final = {"worker": 910, "web": 45, "sandbox": 35, "backend": 7, "postmaster": 3}
#: How long Redis stays away when it is killed for the first time; afterwards it comes back at once, and empty or not.
REDIS_AWAY_SECONDS: Final = 60


class Stack:
    def __init__(self, plan: Plan, *, redis: bool) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sluice-torture-"))
        self._folder.chmod(0o711)
        (self._folder / "log").mkdir()
        self._open = ExitStack()
        self._open.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._postgres = EmbeddedPostgres(self._folder / "postgres")
        self._open.callback(self._postgres.stop)
        url = self._postgres.start()
        self._redis = EmbeddedRedis(self._folder / "redis") if redis else None
        redis_url = self._open.enter_context(self._redis) if self._redis is not None else ""
        upgrade(url)
        self.plan = replace(
            plan,
            folder=str(self._folder),
            database_url=url,
            redis_url=redis_url,
            port=_free_port(),
            secret_key=new_cookie_key(),
            master_key=new_master_key(),
            ports={name: _free_port() for name in SANDBOXES},
            api_keys={name: new_secret("sk") for name in SANDBOXES},
            secrets={name: new_signing_secret() for name in SANDBOXES},
        )
        self._lock = threading.Lock()
        self._pids: dict[str, int] = {}
        #: Processes that ended and were not killed by us.
        self.ended_by_themselves: list[str] = []
        self._killed: set[str] = set()
        self._redis_away = REDIS_AWAY_SECONDS
        self._redis_back_at: float | None = None
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "proof.torture.nursery", str(self.plan.write())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        self._open.callback(self._end)

    @property
    def victims(self) -> dict[str, int]:
        """Whom to kill, and how often among the others."""
        return VICTIMS if self._redis is None else VICTIMS | {"redis": 10}

    @property
    def names(self) -> list[str]:
        return [*SANDBOXES, "web", *(f"worker-{number}" for number in range(1, self.plan.workers + 1))]

    def start(self) -> Json:
        """Everything up; what `demo.json` would tell: addresses, the key, people and their tokens."""
        wired = wire(self.plan.settings())
        with wired.database.begin() as tx:
            demo.prepare(tx, list(SANDBOXES), ROOT / "workflows")
            issued = demo.issue_credentials(tx)
        wired.database.close()
        for name in self.names:
            self.raise_up(name)
        self.wait_for_web()
        sandboxes = [{"name": name, "url": self.plan.sandbox_url(name)} for name in SANDBOXES]
        return {"base_url": self.plan.base_url, "sandboxes": sandboxes, **issued}

    def raise_up(self, name: str) -> None:
        """Start the process of this name."""
        with self._lock:
            assert self._nursery.stdin is not None
            assert self._nursery.stdout is not None
            self._nursery.stdin.write(f"{name}\n")
            self._nursery.stdin.flush()
            self._pids[name] = int(self._nursery.stdout.readline())
            self._killed.discard(name)

    def kill(self, kind: str, random: Random) -> str:
        """SIGKILL for one of this kind; who it was. PostgreSQL is started again here, everything else by `revive`."""
        if kind == "postmaster":
            self._kill_postmaster()
            return kind
        if kind == "backend":
            return self._kill_backend(random)
        if kind == "redis":
            return self._kill_redis()
        names = [name for name in self.names if name.startswith(kind) and name not in self._killed]
        if not names:
            return ""
        name = random.choice(names)
        self._killed.add(name)
        try:
            os.killpg(self._pids[name], signal.SIGKILL)
        except ProcessLookupError:
            # It was born this moment and leads no group yet, or has just ended.
            self._killed.discard(name)
            return ""
        return name

    def revive(self) -> None:
        """Start again what is not there."""
        for name in self.names:
            if not _alive(self._pids[name]):
                if name not in self._killed:
                    self.ended_by_themselves.append(name)
                self.raise_up(name)
        if self._redis is not None and self._redis_back_at is not None and time.monotonic() >= self._redis_back_at:
            self._redis.start()
            self._redis_back_at = None

    def wait_for_web(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(urllib3.exceptions.HTTPError):
                if urllib3.request("GET", f"{self.plan.base_url}/healthz", timeout=1, retries=False).status == 200:
                    return
            time.sleep(0.1)
        raise AssertionError((self._folder / "log" / "web.log").read_text()[-3000:])

    def database(self) -> Database:
        return Database(self.plan.database_url, pool_size=2)

    def log(self, name: str) -> str:
        path = self._folder / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        self._open.close()

    def _kill_postmaster(self) -> None:
        pid = int((self._folder / "postgres" / "cluster" / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, signal.SIGKILL)
        self._postgres.stop()
        self._postgres.start()

    def _kill_redis(self) -> str:
        if self._redis is None or self._redis_back_at is not None:
            return ""
        os.kill(int((self._folder / "redis" / "redis.pid").read_text()), signal.SIGKILL)
        self._redis.stop()
        self._redis_back_at = time.monotonic() + self._redis_away
        self._redis_away = 0
        return "redis"

    def _kill_backend(self, random: Random) -> str:
        query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        try:
            with psycopg.connect(self.plan.database_url.replace("+psycopg", "", 1), connect_timeout=5) as connection:
                pids = sorted(row[0] for row in connection.execute(query))
        except psycopg.Error:
            return ""
        if not pids:
            return ""
        with suppress(ProcessLookupError):
            os.kill(random.choice(pids), signal.SIGKILL)
        return "backend"

    def _end(self) -> None:
        for pid in self._pids.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait(10)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
