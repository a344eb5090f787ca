"""The whole of Sluice in one process: a real database, two real sandboxes, the shipped flows, and a worker whose
turns are taken by hand. Time moves by `house.later(...)`, for us and for the sandboxes alike.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr
from sqlalchemy import select

import app.models
from app.access.actor import Actor, Role, system
from app.access.merchants import create_merchant
from app.access.models import Merchant, User
from app.bootstrap import Wired, chores, create_loop
from app.disputes.models import Dispute
from app.engine import queries, shipped
from app.engine.models import Incident, Instance, JournalRow, Task
from app.gateways.registry import Registry as Gateways
from app.gateways.sandbox_books import booked
from app.jobs.calls import Caller
from app.jobs.chores import Chores
from app.jobs.loop import Loop
from app.kit.clock import ShiftedClock
from app.kit.crypto import new_signing_secret
from app.kit.database import Database
from app.kit.ids import new_id
from app.kit.pulse import Pulse
from app.kit.sealing import Sealer
from app.operations import registry
from app.payments import service, webhooks
from app.payments.commands import CreatePayment
from app.payments.gateway_books import verify_books
from app.payments.models import Attempt, Payment
from app.payments.reconcile import verify_ledger
from app.refunds.commands import CreateRefund
from app.refunds.models import Refund
from app.refunds.service import create_refund
from app.settings import ROOT, Settings
from tests.fixtures_sandbox import SandboxFactory, SandboxServer

assert app.models
MERCHANT = "mer_test"
T = TypeVar("T")


class House:
    def __init__(
        self,
        database: Database,
        clock: ShiftedClock,
        sandboxes: list[SandboxServer],
        inbound: "Inbound",
        patience: float,
    ) -> None:
        self.inbound = inbound
        self.database = database
        self.clock = clock
        self.sandboxes = sandboxes
        self.a, self.b = sandboxes
        gateways = Gateways([sandbox.gateway(total_seconds=patience) for sandbox in sandboxes])
        settings = Settings(database_url=database.url, secret_key=SecretStr("s" * 32))
        self.wired = Wired(settings, database, registry, gateways, Pulse(), Sealer({"test": b"t" * 32}, "test"))
        self.callers: list[Caller] = []
        self.loop = self.another_loop("worker-1")
        self.chores = Chores(database, chores(self.wired))
        self.system = system(MERCHANT)
        self.people: dict[str, Actor] = {}
        with database.begin() as tx:
            if tx.session.get(Merchant, MERCHANT) is None:
                create_merchant(tx, "Test", merchant_id=MERCHANT)
            shipped.deploy(tx, MERCHANT, ROOT / "workflows")
        self.shop = Actor("key_shop", "Shop", MERCHANT, frozenset({Role.INTEGRATOR}))

    def another_loop(self, owner: str) -> Loop:
        """A worker of its own, as another process would have it."""
        self.callers.append(Caller(8, lambda: None))
        return create_loop(self.wired, self.callers[-1], owner)

    def person(self, name: str, *roles: Role) -> Actor:
        """A user of the merchant, made when first asked for."""
        if name not in self.people:
            with self.database.begin() as tx:
                user = User(
                    id=new_id("usr"),
                    merchant_id=MERCHANT,
                    email=f"{name}@example.test",
                    name=name.title(),
                    roles=sorted(roles or {Role.REVIEWER}),
                    password_hash="-",
                    created_at=tx.now(),
                )
                tx.session.add(user)
            self.people[name] = Actor(user.id, user.name, MERCHANT, frozenset(user.roles))
        return self.people[name]

    def pay(self, payment_method: str = "pm_card_visa", amount: int = 1000, **more: Any) -> str:
        command = CreatePayment(amount=amount, currency="EUR", payment_method=payment_method, **more)
        with self.database.begin() as tx:
            return service.create_payment(tx, self.shop, command).id

    def paid(self, payment_method: str = "pm_card_visa", amount: int = 1000) -> str:
        """A payment that was captured."""
        payment_id = self.pay(payment_method, amount)
        self.run()
        assert self.payment(payment_id).status == "succeeded"
        return payment_id

    def refund(self, payment_id: str, amount: int | None = None, actor: Actor | None = None) -> str:
        with self.database.begin() as tx:
            command = CreateRefund(payment=payment_id, amount=amount)
            return create_refund(tx, actor or self.shop, command).id

    def get_refund(self, refund_id: str) -> Refund:
        with self.database.begin() as tx:
            return tx.session.get_one(Refund, refund_id)

    def disputes(self) -> list[Dispute]:
        with self.database.begin() as tx:
            return list(tx.session.scalars(select(Dispute).order_by(Dispute.created_at)))

    def run(self, seconds: float = 20) -> None:
        """Take turns until nothing is due and no call is under way."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            busy = self.loop.turn() + self.chores.turn()
            if not busy and self.loop.idle:
                return
            if not busy:
                time.sleep(0.01)
        raise AssertionError("The house did not come to rest")

    def later(self, **units: float) -> None:
        """Let time pass for everybody, then come to rest."""
        self.clock.advance(timedelta(**units))
        for sandbox in self.sandboxes:
            sandbox.advance(**units)
        self.run()

    def until(self, payment_id: str, *statuses: str, seconds: float = 10) -> Payment:
        """Run until the payment has one of `statuses`; what the sandboxes do on their own clock takes real time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.run()
            payment = self.payment(payment_id)
            if payment.status in statuses:
                return payment
            time.sleep(0.05)
        raise AssertionError(f"{payment.status} ({payment.status_reason}) and not {statuses}")

    def eventually(self, condition: Callable[[], T], seconds: float = 10) -> T:
        """Run until `condition` is true, and tell what it said."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.run()
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError("It did not come to be")

    def payment(self, payment_id: str) -> Payment:
        with self.database.begin() as tx:
            return tx.session.get_one(Payment, payment_id)

    def instance(self, subject: str) -> Instance:
        with self.database.begin() as tx:
            return tx.session.scalars(select(Instance).where(Instance.subject == subject)).one()

    def attempts(self, payment_id: str) -> list[Attempt]:
        with self.database.begin() as tx:
            query = select(Attempt).where(Attempt.payment_id == payment_id).order_by(Attempt.created_at)
            return list(tx.session.scalars(query))

    def outcomes(self, payment_id: str) -> list[tuple[str, str, str | None]]:
        return [(one.operation, one.gateway, one.outcome) for one in self.attempts(payment_id)]

    def journal(self, subject: str) -> list[JournalRow]:
        with self.database.begin() as tx:
            return queries.journal(tx, self.instance(subject).id)

    def incidents(self, subject: str = "") -> list[Incident]:
        """The open ones."""
        with self.database.begin() as tx:
            query = select(Incident).where(Incident.status == "open", Incident.subject.contains(subject))
            return list(tx.session.scalars(query))

    def task(self, subject: str) -> Task:
        """The one open task about `subject`."""
        with self.database.begin() as tx:
            query = select(Task).where(Task.subject == subject, Task.status.in_(("open", "claimed")))
            return tx.session.scalars(query).one()

    def tasks(self) -> list[Task]:
        """Everything that a person is asked for."""
        with self.database.begin() as tx:
            return list(tx.session.scalars(select(Task).where(Task.status.in_(("open", "claimed")))))

    def charges(self) -> list[dict[str, Any]]:
        return [charge for sandbox in self.sandboxes for charge in sandbox.charges()]

    def check_books(self) -> None:
        """Our amounts, the ledger and the gateways' books agree to the minor unit."""
        with self.database.begin() as tx:
            assert verify_ledger(tx) == []
            for sandbox in self.sandboxes:
                assert verify_books(tx, sandbox.config.name, map(booked, sandbox.charges())) == []

    def close(self) -> None:
        for caller in self.callers:
            caller.close()
        self.chores.close()


class Inbound:
    """Where the sandboxes send their webhooks: a real HTTP server that hands them to the house.

    While `held` is a list they wait there, for a test that wants them in another order.
    """

    def __init__(self) -> None:
        self.house: House | None = None
        self.held: list[tuple[str, dict[str, str], bytes]] | None = None
        inbound = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(inbound.take(self.path.rpartition("/")[2], headers, body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Stay quiet: the test asks what became of it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/webhooks"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def take(self, gateway: str, headers: dict[str, str], body: bytes) -> int:
        if self.house is None:
            return 503
        if self.held is not None:
            self.held.append((gateway, headers, body))
            return 204
        with self.house.database.begin() as tx:
            webhooks.receive(tx, self.house.wired.gateways, gateway, headers, body)
        return 204

    def release(self) -> None:
        """Hand over what was held, the last one first, and all of it twice."""
        held, self.held = self.held or [], None
        for told in [*reversed(held), *held]:
            assert self.take(*told) == 204

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def house(
    request: pytest.FixtureRequest, database: Database, clock: ShiftedClock, sandbox: SandboxFactory
) -> Iterator[House]:
    """Parametrize it, indirectly, with the seconds that a gateway has to answer, to let a slow one be heard."""
    with house_on(database, clock, sandbox, patience=getattr(request, "param", 1.5)) as built:
        yield built


@contextmanager
def house_on(
    database: Database, clock: ShiftedClock, sandbox: SandboxFactory, patience: float = 1.5
) -> Iterator[House]:
    inbound = Inbound()
    quick = {"settle_seconds": 2, "dispute_seconds": 2, "hold_seconds": 2, "webhook_secret": new_signing_secret()}
    a = sandbox("sandbox_a", webhook_url=f"{inbound.url}/sandbox_a", **quick)
    healthy = frozenset({"pm_card_unavailable"})
    b = sandbox("sandbox_b", webhook_url=f"{inbound.url}/sandbox_b", healthy_for=healthy, **quick)
    built = House(database, clock, [a, b], inbound, patience)
    inbound.house = built
    try:
        yield built
    finally:
        inbound.close()
        built.close()
