"""Two web and two worker processes, started by the commands of the unit files, around one database and one Redis."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3

import handlers
from app.access import api_keys
from app.access.actor import Role, system
from app.access.merchants import MerchantSettings, create_merchant
from app.engine import shipped
from app.kit.database import Database
from app.kit.kept import KeptProcess
from app.kit.keys import new_cookie_key, new_master_key
from app.settings import ROOT
from tests.deploy.units import command
from tests.fixtures_sandbox import SandboxFactory, sandbox, until

assert sandbox
assert handlers  # importing them declares the operations that the flows call
MERCHANT = "mer_deployed"
START_SECONDS = 90


class Machines:
    """The processes by name, their addresses, and a client's key."""

    def __init__(self, folder: Path, environment: dict[str, str], api_key: str) -> None:
        self.folder = folder
        self._environment = environment
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._http = urllib3.PoolManager(retries=False, timeout=20)
        self.processes: dict[str, KeptProcess] = {}

    def start(self, unit: str, instance: str) -> None:
        name = unit.replace("@.service", f"-{instance}")
        self.processes[name] = KeptProcess(
            command(unit, instance),
            log=self.folder / f"{name}.log",
            environment=self._environment | {"PORT": instance},
            directory=ROOT,
        )

    def call(self, method: str, port: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        content = None if body is None else orjson.dumps(body)
        answer = self._http.request(
            method, f"http://127.0.0.1:{port}{path}", body=content, headers=self._headers | headers
        )
        return answer.status, orjson.loads(answer.data)

    def answers(self, port: str) -> bool:
        try:
            return self.call("GET", port, "/readyz")[0] == 200
        except urllib3.exceptions.HTTPError:
            return False

    def close(self) -> None:
        for process in self.processes.values():
            process.stop()
        self._http.clear()


def free_ports(count: int) -> list[str]:
    with ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]


@pytest.fixture
def machines(database: Database, redis_url: str, sandbox: SandboxFactory, tmp_path: Path) -> Iterator[Machines]:
    gateway = sandbox("acme")
    with database.begin() as tx:
        create_merchant(tx, "Deployed", MerchantSettings(gateways=["acme"]), merchant_id=MERCHANT)
        shipped.deploy(tx, MERCHANT, ROOT / "workflows")
        key = api_keys.create_key(tx, system(MERCHANT), "shop", [Role.INTEGRATOR])
    options = {
        "base_url": gateway.base_url,
        "api_key": gateway.config.api_key,
        "webhook_secrets": [gateway.config.webhook_secret],
    }
    environment = dict(os.environ) | {
        "DATABASE_URL": database.url,
        "REDIS_URL": redis_url,
        "SLUICE_VAR": str(tmp_path / "var"),
        "SLUICE_SECRET_KEY": new_cookie_key(),
        "SLUICE_MASTER_KEY": new_master_key(),
        "SLUICE_GATEWAYS": orjson.dumps([{"name": "acme", "adapter": "sandbox", "options": options}]).decode(),
        "PYTHONPATH": str(ROOT),
    }
    made = Machines(tmp_path, environment, key.secret)
    yield made
    made.close()


def test_a_payment_taken_by_one_web_is_done_by_a_worker_and_read_from_the_other(machines: Machines) -> None:
    ports = free_ports(2)
    for port in ports:
        machines.start("sluice-web@.service", port)
    for number in ("1", "2"):
        machines.start("sluice-worker@.service", number)
    for port in ports:
        until(lambda port=port: machines.answers(port), START_SECONDS)
    body = {"amount": 1250, "currency": "EUR", "payment_method": "pm_card_visa", "reference": "order-1"}
    status, payment = machines.call("POST", ports[0], "/v1/payments", body, **{"Idempotency-Key": "first"})
    assert status == 201, payment
    read = f"/v1/payments/{payment['id']}"
    until(lambda: machines.call("GET", ports[1], read)[1]["status"] == "succeeded", 60)
    again, same = machines.call("POST", ports[1], "/v1/payments", body, **{"Idempotency-Key": "first"})
    assert (again, same["id"]) == (201, payment["id"]), "the other web knows the key"
    assert all(process.running for process in machines.processes.values())

    machines.processes["sluice-worker-1"].stop()
    status, second = machines.call("POST", ports[1], "/v1/payments", body, **{"Idempotency-Key": "second"})
    assert status == 201, second
    until(lambda: machines.call("GET", ports[0], f"/v1/payments/{second['id']}")[1]["status"] == "succeeded", 60)
