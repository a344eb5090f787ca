"""`python -m proof.torture.nursery PLAN`: a process that has imported everything once and forks the others from itself.

Each line on its standard input names a process to start; its pid is the line that comes back. What it starts is the
real thing, the worker of `sluice worker`, gunicorn, the sandbox's own `main`, each in a session of its own, so that
killing the whole group leaves nothing of it.
"""

import ctypes
import os
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from threading import local
from typing import Any, Final

import psycopg
from gunicorn.app.base import BaseApplication

from app.bootstrap import Wired, create_web_app, create_worker, wire
from app.gateways.registry import Registry as Gateways
from app.sandbox import __main__ as sandbox
from proof.relay import Witnessed, relayed, without_write_ahead
from proof.torture.plan import SANDBOXES, Plan, read

WEB_THREADS: Final = 16
#: Of prctl(2): which signal a process gets when its parent ends.
_PARENT_DEATH_SIGNAL: Final = 1


class Witness:
    """Looks, as somebody who sees only what is committed, for the attempt of an order that is about to be sent."""

    def __init__(self, plan: Plan) -> None:
        self._url = plan.database_url.replace("+psycopg", "", 1)
        self._log = os.open(plan.sends, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._local = local()

    def __call__(self, verb: str, key: str) -> None:
        # One write is one line, also when another process writes at the same moment or this one is killed.
        os.write(self._log, f"{self._found(key)} {verb} {key}\n".encode())

    def _found(self, key: str) -> str:
        try:
            connection = getattr(self._local, "connection", None)
            if connection is None or connection.closed:
                connection = self._local.connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            row = connection.execute("SELECT 1 FROM attempts WHERE id = %s", (key,)).fetchone()
        except psycopg.Error:
            return "unseen"  # the database is away, and says neither
        return "written" if row is not None else "unwritten"


def worker(plan: Plan, _name: str) -> None:
    made = create_worker(broken(wire(plan.settings()), plan))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: made.stop())
    made.run()


def broken(wired: Wired, plan: Plan) -> Wired:
    """As it is, behind a witness; and with the break that is asked for."""
    witness = Witness(plan)
    gateways = [Witnessed(gateway, witness) for gateway in relayed(wired.gateways, plan.breaking)]
    operations = without_write_ahead(wired.operations) if plan.breaking == "no-write-ahead" else wired.operations
    return replace(wired, gateways=Gateways(gateways), operations=operations)


class Web(BaseApplication):
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        super().__init__()

    def load_config(self) -> None:
        wanted = {
            "bind": f"127.0.0.1:{self._plan.port}",
            "worker_class": "gthread",
            "threads": WEB_THREADS,
            "control_socket_disable": True,
            "loglevel": "error",
        }
        for name, value in wanted.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return create_web_app(self._plan.settings())


def web(plan: Plan, _name: str) -> None:
    Web(plan).run()


def gateway(plan: Plan, name: str) -> None:
    sys.argv = ["sandbox", "--name", name, "--port", str(plan.ports[name]), "--data", f"{plan.folder}/{name}"]
    sys.argv += ["--api-key", plan.api_keys[name], "--webhook-secret", plan.secrets[name]]
    sys.argv += ["--webhook-url", f"{plan.base_url}/webhooks/{name}", "--dispute-seconds", "1"]
    for method in SANDBOXES[name]:
        sys.argv += ["--healthy-for", method]
    sandbox.main()


def main(plan: Plan) -> None:
    # The kernel buries the children; whoever asked for them watches their pids.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        name = line.strip()
        pid = os.fork()
        if pid == 0:
            _become(plan, name)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become(plan: Plan, name: str) -> None:
    """Be the process of this name, and never return."""
    code = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(f"{plan.folder}/log/{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, target in ((0, null), (1, log), (2, log)):
            os.dup2(target, number)
        kind = {"web": web, "worker": worker}.get(name.partition("-")[0], gateway)
        kind(plan, name)
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    except BaseException:  # noqa: BLE001 - the traceback belongs into the log of this process
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(read(Path(sys.argv[1])))
