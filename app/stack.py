"""`sluice up`: everything on one machine in the foreground, as processes that end when this one does.

The order is the order of need: database, schema, browser's part, demo merchant, gateways, web, workers. A web or
worker process that ends by itself is started again; Ctrl-C stops all, the database last.
"""

import ipaddress
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import orjson
import urllib3
from pydantic import SecretStr

from app import demo, migrate
from app.bootstrap import wire
from app.console.assets import FrontendNotBuilt, ensure_built
from app.errors import AppError
from app.installation import Sending
from app.kit.crypto import new_signing_secret
from app.kit.database import Database
from app.kit.embedded import EmbeddedPostgres
from app.kit.ids import new_secret
from app.kit.kept import KeptProcess
from app.kit.keys import KeyFile, new_cookie_key, new_master_key
from app.settings import ROOT, GatewaySettings, Settings

SANDBOXES = {"sandbox_a": ("Sandbox A", ()), "sandbox_b": ("Sandbox B", ("pm_card_unavailable",))}
START_SECONDS = 120
_EXPOSED = (
    "Warning: {host} can be reached from other machines, over plain HTTP and with demo users and sandbox gateways; "
    "to serve others follow deploy/README.md."
)


class AddressTaken(AppError):
    code = "address_taken"
    title = "Somebody else listens there"
    status = 409


@dataclass
class Service:
    """A process to keep running: how to start it, and the one that runs now."""

    name: str
    start: Callable[[], KeptProcess]
    process: KeptProcess
    restarts: int = 0


class Stack:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._var = settings.var.absolute()
        self._keys = KeyFile(self._var / "keys.json")
        self._open = ExitStack()
        self._services: list[Service] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        """Start all, tell the address, and watch until Ctrl-C or SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stopping.set())
        with self._open:
            if not _only_here(self._settings.host):
                click.echo(_EXPOSED.format(host=self._settings.host), err=True)
            self._check_port()
            (self._var / "log").mkdir(parents=True, exist_ok=True)
            settings = self._with_database(self._with_keys(self._settings))
            self._build_frontend()
            sandboxes = [self._sandbox(name, settings) for name in SANDBOXES]
            settings = settings.model_copy(update={"gateways": [*settings.gateways, *(s[1] for s in sandboxes)]})
            addresses = [_address(gateway) for _, gateway in sandboxes]
            issued = self._prepare_demo(settings, addresses)
            self._start_services(settings)
            self._wait_for_web(settings)
            _tell(settings, issued, addresses, self._var / "demo.json")
            while not self._stopping.wait(1):
                self._revive()
            click.echo("Stopping ...")
            for service in reversed(self._services):
                service.process.stop()

    def _with_keys(self, settings: Settings) -> Settings:
        own = {
            "secret_key": (settings.secret_key, new_cookie_key),
            "master_key": (settings.master_key, new_master_key),
        }
        kept = {
            name: given if given.get_secret_value() else SecretStr(self._keys.get(name, make))
            for name, (given, make) in own.items()
        }
        # Whoever brings a database of their own may mean it, and opens private addresses by the setting alone.
        private = settings.webhook_allow_private or not settings.database_url
        return settings.model_copy(update={"webhook_allow_private": private, **kept})

    def _with_database(self, settings: Settings) -> Settings:
        if not settings.database_url:
            click.echo("Starting PostgreSQL ...")
            url = self._open.enter_context(EmbeddedPostgres(self._var / "postgres"))
            settings = settings.model_copy(update={"database_url": url})
        migrate.upgrade(settings.database_url)
        _tell_if_held(settings.database_url)
        return settings

    def _build_frontend(self) -> None:
        click.echo("Building the browser's part, if it changed ...")
        try:
            ensure_built()
        except FrontendNotBuilt as error:
            click.echo(error.detail, err=True)

    def _sandbox(self, name: str, settings: Settings) -> tuple[Service, GatewaySettings]:
        title, healthy_for = SANDBOXES[name]
        port = self._port_of(name)
        api_key = self._keys.get(f"{name}_api_key", lambda: new_secret("sk"))
        secret = self._keys.get(f"{name}_webhook_secret", new_signing_secret)
        command = [sys.executable, "-m", "app.sandbox", "--name", name, "--port", str(port)]
        command += ["--data", str(self._var / name), "--api-key", api_key]
        command += ["--webhook-url", f"{settings.public_url}/webhooks/{name}", "--webhook-secret", secret]
        for method in healthy_for:
            command += ["--healthy-for", method]
        service = self._serve(name, command, dict(os.environ))
        options = {
            "base_url": f"http://127.0.0.1:{port}",
            "api_key": api_key,
            "webhook_secrets": [secret],
            "title": title,
        }
        return service, GatewaySettings(name=name, adapter="sandbox", options=options)

    def _prepare_demo(self, settings: Settings, sandboxes: list[demo.SandboxAddress]) -> dict[str, object]:
        path = self._var / "demo.json"
        wired = wire(settings)
        with wired.database.begin() as tx:
            demo.prepare(tx, [gateway.name for gateway in settings.gateways], ROOT / "workflows")
            issued = demo.credentials(path) or demo.issue_credentials(tx)
        wired.database.close()
        demo.write(path, settings.public_url, issued, sandboxes)
        return issued

    def _start_services(self, settings: Settings) -> None:
        environment = dict(os.environ) | _environment(settings)
        self._serve("web", web_command(settings), environment)
        for number in range(1, settings.workers + 1):
            port = settings.worker_metrics_port and settings.worker_metrics_port + number - 1
            own = environment | {"SLUICE_WORKER_METRICS_PORT": str(port)}
            self._serve(f"worker-{number}", [sys.executable, "-m", "app.cli", "worker"], own)

    def _serve(self, name: str, command: list[str], environment: dict[str, str]) -> Service:
        log = self._var / "log" / f"{name}.log"
        kept_environment = environment | {"PYTHONPATH": str(ROOT)}

        def start() -> KeptProcess:
            return KeptProcess(command, log=log, environment=kept_environment, directory=ROOT)

        service = Service(name, start, start())
        self._open.callback(partial(_stop, service))
        self._services.append(service)
        return service

    def _revive(self) -> None:
        for service in self._services:
            if not service.process.running and not self._stopping.is_set():
                service.restarts += 1
                click.echo(
                    f"{service.name} ended by itself and is started again (var/log/{service.name}.log)", err=True
                )
                self._stopping.wait(min(service.restarts, 30))
                service.process = service.start()

    def _check_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._settings.host, self._settings.port))
            except OSError:
                address = f"{self._settings.host}:{self._settings.port}"
                raise AddressTaken(f"{address} is in use; choose another port: PORT=8001 make up") from None

    def _port_of(self, name: str) -> int:
        """The port this sandbox had before, unless somebody else has it now."""
        path = self._var / "ports.json"
        ports: dict[str, int] = orjson.loads(path.read_bytes()) if path.exists() else {}
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", ports.get(name, 0)))
            except OSError:
                probe.bind(("127.0.0.1", 0))
            ports[name] = probe.getsockname()[1]
        path.write_bytes(orjson.dumps(ports))
        return ports[name]

    def _wait_for_web(self, settings: Settings) -> None:
        deadline = time.monotonic() + START_SECONDS
        web = next(service for service in self._services if service.name == "web")
        while time.monotonic() < deadline and web.process.running and not self._stopping.is_set():
            try:
                answer = urllib3.request("GET", f"{settings.public_url}/healthz", timeout=1, retries=False)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status == 200:
                return
        if not self._stopping.is_set():
            raise AppError(f"The web did not start; its log is {self._var / 'log' / 'web.log'}")


def web_command(settings: Settings) -> list[str]:
    """The web as a process, to be started in the checkout: gunicorn with as many processes and threads as are set."""
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--worker-class", "gthread", "--graceful-timeout", "20"]
    command += ["--bind", f"{settings.host}:{settings.port}", "--workers", str(settings.web_processes)]
    return [*command, "--threads", str(settings.web_threads), "--timeout", "60", "--no-control-socket"]


def _address(gateway: GatewaySettings) -> demo.SandboxAddress:
    return demo.SandboxAddress(gateway.name, gateway.options["base_url"], gateway.options["api_key"])


def _only_here(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _stop(service: Service) -> None:
    """Whichever process runs for the service by then; the first may have been replaced."""
    service.process.stop()


def _tell_if_held(url: str) -> None:
    opened = Database(url, pool_size=1)
    with opened.begin() as tx:
        held = Sending().held(tx)
    opened.close()
    if held:
        click.echo("This database was restored: nothing is sent until sluice recover, then sluice release-sending.")


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as the processes below read them."""
    return {
        "PORT": str(settings.port),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SLUICE_VAR": str(settings.var),
        "SLUICE_HOST": settings.host,
        "SLUICE_BASE_URL": settings.base_url,
        "SLUICE_SECRET_KEY": settings.secret_key.get_secret_value(),
        "SLUICE_MASTER_KEY": settings.master_key.get_secret_value(),
        "SLUICE_GATEWAYS": orjson.dumps([gateway.model_dump() for gateway in settings.gateways]).decode(),
        "SLUICE_WEBHOOK_ALLOW_PRIVATE": str(settings.webhook_allow_private).lower(),
    }


def _tell(settings: Settings, issued: dict[str, object], sandboxes: list[demo.SandboxAddress], path: Path) -> None:
    people = issued["users"]
    assert isinstance(people, dict)
    click.echo(f"\n  Sluice is open at {settings.public_url}\n")
    for person in people.values():
        click.echo(f"    {person['email']:<26} {person['password']}")
    for sandbox in sandboxes:
        click.echo(f"    {sandbox.name:<26} {sandbox.url}/admin/books")
    body = '{"amount": 1250, "currency": "EUR", "payment_method": "pm_card_visa", "reference": "order-1"}'
    click.echo(
        f"\n  A first payment:\n\n    curl -s {settings.public_url}/v1/payments \\\n"
        f"      -H 'Authorization: Bearer {issued['api_key']}' -H 'Content-Type: application/json' \\\n"
        f"      -H 'Idempotency-Key: first' -H 'Prefer: wait=5' -d '{body}'\n\n"
        f"  The same is in {path}. Ctrl-C stops everything.\n"
    )
