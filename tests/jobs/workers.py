"""Workers beside the house: threads of this process for most tests, processes where one is to be killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import pytest
from prometheus_client import CollectorRegistry

from app.bootstrap import create_worker
from app.kit.database import Database
from app.kit.keys import new_master_key
from app.kit.pulse import Pulse
from app.settings import ROOT
from tests.house import House


@contextmanager
def working(house: House, redis_url: str = "", database_url: str = "") -> Iterator[None]:
    """While this is open a whole worker runs on threads, with a database pool of its own."""
    database = Database(database_url or house.database.url, shift=lambda: house.clock.shift)
    settings = house.wired.settings.model_copy(update={"redis_url": redis_url})
    wired = replace(house.wired, settings=settings, database=database, pulse=Pulse(), metrics=CollectorRegistry())
    worker = create_worker(wired)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()
        database.close()


@dataclass
class Workers:
    """`start` a worker as people do; whatever still runs at the end is killed."""

    house: House
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, redis_url: str = "", **settings: str) -> subprocess.Popen[bytes]:
        gateways = [
            {
                "name": sandbox.config.name,
                "adapter": "sandbox",
                "options": {
                    "base_url": sandbox.base_url,
                    "api_key": sandbox.config.api_key,
                    "webhook_secrets": [sandbox.config.webhook_secret],
                },
            }
            for sandbox in self.house.sandboxes
        ]
        environment = os.environ | {
            "DATABASE_URL": self.house.database.url,
            "REDIS_URL": redis_url,
            "SLUICE_VAR": str(self.folder),
            "SLUICE_MASTER_KEY": new_master_key(),
            "SLUICE_GATEWAYS": orjson.dumps(gateways).decode(),
            **settings,
        }
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "app.cli", "worker"]
            process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=log)
        self.processes.append(process)
        return process

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def lines(self, event: str) -> list[dict[str, object]]:
        """What the workers logged under this name."""
        raw = self.log.read_bytes().splitlines()
        return [line for line in map(orjson.loads, filter(_is_json, raw)) if line["event"] == event]

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


def _is_json(line: bytes) -> bool:
    return line.startswith(b"{")


@pytest.fixture
def workers(house: House, tmp_path: Path) -> Iterator[Workers]:
    started = Workers(house, tmp_path)
    yield started
    started.close()
