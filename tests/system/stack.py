"""`sluice up` as real processes, in a folder of its own, to be killed and started again."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import urllib3

from app.kit.database import Database
from app.kit.embedded import EmbeddedPostgres
from app.settings import ROOT

START_SECONDS = 120


class RunningStack:
    """Everything `sluice up` starts: database, two sandboxes, web, worker."""

    def __init__(self) -> None:
        # A short and public path: as root the database is not allowed into pytest's private ones.
        self._folder = Path(tempfile.mkdtemp(prefix="sluice-test-"))
        self._folder.chmod(0o711)
        self.var = self._folder / "var"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = urllib3.PoolManager(maxsize=32, retries=False, timeout=10)

    def start(self) -> None:
        """Up, and return when it answers."""
        environment = {**os.environ, "SLUICE_VAR": str(self.var), "PORT": str(self.port), "DATABASE_URL": ""}
        with (self._folder / "up.log").open("ab") as told:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "up"],
                stdout=told,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=ROOT,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert self._process.poll() is None, (self._folder / "up.log").read_text()
            if (self.var / "demo.json").exists() and self._healthy():
                return
            time.sleep(0.2)
        raise AssertionError((self._folder / "up.log").read_text())

    def kill(self) -> int:
        """kill -9 for every process of it, the first one first so that it revives none; how many there were."""
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(10)
        psutil.wait_procs(processes, timeout=10)
        return len(processes)

    def stop(self) -> int:
        """In good order; the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._http.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def told(self) -> dict[str, Any]:
        """`demo.json`: the key, the people, the sandboxes."""
        return dict(json.loads((self.var / "demo.json").read_text()))

    def post(self, path: str, body: dict[str, Any], key: str) -> tuple[int, Any, bool]:
        """Status, body, and whether it was replayed. Raises urllib3's errors when nobody answers."""
        headers = {**self._headers, "idempotency-key": key}
        answer = self._http.request("POST", self.url + path, json=body, headers=headers)
        return answer.status, answer.json(), answer.headers.get("idempotent-replayed") == "true"

    def get(self, path: str) -> Any:
        answer = self._http.request("GET", self.url + path, headers=self._headers)
        assert answer.status == 200, answer.data
        return answer.json()

    @property
    def _headers(self) -> dict[str, str]:
        # A connection for each request: one that idled might be closed by the server just when it is used again.
        return {"authorization": f"Bearer {self.told['api_key']}", "connection": "close"}

    def charges(self) -> dict[str, list[dict[str, Any]]]:
        """The books of each sandbox."""
        addresses = {sandbox["name"]: f"{sandbox['url']}/admin/books" for sandbox in self.told["sandboxes"]}
        return {name: self._http.request("GET", url).json()["charges"] for name, url in addresses.items()}

    def database(self) -> Database:
        return Database(EmbeddedPostgres(self.var / "postgres").url())

    def _healthy(self) -> bool:
        try:
            return self._http.request("GET", f"{self.url}/healthz", timeout=1).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
