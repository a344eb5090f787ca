"""A merchant with sandboxes, and operations carried out as the worker does: begin, call, finish, each by itself.

Use it with `from tests.till import till` in a conftest that also has `sandbox` and `receiver`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

import handlers
from app.access.actor import Actor, Role, system
from app.access.models import Merchant, User
from app.disputes import webhooks as dispute_webhooks
from app.disputes.models import Dispute
from app.engine.definitions import deploy
from app.engine.lint import Upload
from app.engine.models import Incident, Message, Task
from app.events.models import Event
from app.gateways.registry import Registry as Gateways
from app.gateways.sandbox_books import booked
from app.kit.clock import ShiftedClock
from app.kit.database import Database, Json, Tx
from app.kit.ids import new_id
from app.operations import Effect, OperationContext, OperationError, Result, registry
from app.payments import service, webhooks
from app.payments.commands import CreatePayment
from app.payments.gateway_books import verify_books
from app.payments.models import Attempt, InboundWebhook, Payment
from app.payments.queries import attempts_of, find_payment
from app.payments.reconcile import verify_ledger
from app.refunds.commands import CreateRefund
from app.refunds.models import Refund
from app.refunds.queries import find_refund
from app.refunds.service import create_refund
from tests.engine.lint.draw import bpmn, end, path, start
from tests.fixtures_sandbox import SandboxFactory, SandboxServer, WebhookReceiver

MERCHANT = "mer_test"
PROCESSES = ("card-payment", "refund", "dispute")
# Long enough for a busy machine, short enough for the tests that wait for it to run out.
FAST = {"total_seconds": 1.5, "visible_after_seconds": 0.2}
assert handlers.__all__


class Crash(Exception):
    """The worker died here."""


@dataclass
class Till:
    """`run` sees an operation through; `begin` alone is a worker that dies before the call is sent."""

    database: Database
    clock: ShiftedClock
    servers: dict[str, SandboxServer]
    gateways: Gateways
    receiver: WebhookReceiver
    taken: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    actor: Actor = field(default_factory=lambda: system(MERCHANT))

    @property
    def sandbox(self) -> SandboxServer:
        return self.servers["sandbox_a"]

    # People and systems

    def person(self, name: str, *roles: Role) -> Actor:
        return Actor(f"usr_{name}", name.title(), MERCHANT, frozenset(roles or set(Role)))

    def configure(self, **settings: Any) -> None:
        with self.database.begin() as tx:
            tx.execute(update(Merchant).values(settings=settings))

    def create(self, payment_method: str = "pm_card_visa", amount: int = 1000, **fields: Any) -> str:
        command = CreatePayment(
            **{"amount": amount, "currency": "EUR", "payment_method": payment_method, **fields},
        )
        with self.database.begin() as tx:
            return service.create_payment(tx, self.actor, command).id

    def captured(self, payment_method: str = "pm_card_visa", amount: int = 1000, **fields: Any) -> str:
        payment = self.create(payment_method, amount, **fields)
        self.run("payment.authorize", payment, gateway="sandbox_a")
        self.run("payment.capture", payment)
        return payment

    def refund(self, payment: str, amount: int | None = None, actor: Actor | None = None) -> str:
        with self.database.begin() as tx:
            return create_refund(tx, actor or self.actor, CreateRefund(payment=payment, amount=amount)).id

    def decide(self, subject: str, name: str, decision: str, data: Json | None = None, **facts: Any) -> None:
        """A person has decided in a task of the subject's flow and filled `data` in."""
        with self.database.begin() as tx:
            task = Task(
                id=new_id("tsk"), merchant_id=MERCHANT, instance_id=self._instance(tx, subject), process="test",
                element="decide", node=self.activation("decide"), name="Decide", subject=subject, status="completed",
                candidate_groups=["reviewer"], excluded=[], form_id="", facts=facts, priority=50, decision=decision,
                data=data, completed_by=f"usr_{name}", created_at=tx.now(), completed_at=tx.now(),
            )  # fmt: skip
            tx.session.add(task)

    # The worker

    def context(self, tx: Tx, subject: str, activation: str) -> OperationContext:
        return OperationContext(
            tx=tx,
            now=tx.now(),
            merchant_id=MERCHANT,
            instance_id=self._instance(tx, subject),
            activation=activation,
            element=activation.partition("#")[0],
            subject=subject,
            resources={Gateways: self.gateways},
        )

    def begin(self, operation: str, subject: str, activation: str = "", **params: Any) -> Result | Effect:
        """Only the first transaction. Without an activation it is a new one."""
        declared = registry.get(operation)
        activation = activation or self.activation(operation)
        with self.database.begin() as tx:
            # The loop keeps the transaction when an operation throws a BPMN error.
            try:
                return declared.handler(self.context(tx, subject, activation), declared.parse(params))
            except OperationError as error:
                thrown = error
        raise thrown

    def finish(self, effect: Effect, answer: object, subject: str, activation: str) -> Result:
        with self.database.begin() as tx:
            try:
                return effect.finish(self.context(tx, subject, activation), answer)
            except OperationError as error:
                thrown = error
        raise thrown

    def run(self, operation: str, subject: str, activation: str = "", **params: Any) -> Any:
        """The operation's result; raises OperationError for what the diagram would handle."""
        activation = activation or self.activation(operation)
        outcome = self.begin(operation, subject, activation, **params)
        return self.finish(outcome, outcome.call(), subject, activation) if isinstance(outcome, Effect) else outcome

    def fails(self, operation: str, subject: str, activation: str = "", **params: Any) -> OperationError:
        """The BPMN error the operation throws."""
        with pytest.raises(OperationError) as caught:
            self.run(operation, subject, activation, **params)
        return caught.value

    def activation(self, operation: str) -> str:
        element = operation.replace(".", "_")
        self.counts[element] = self.counts.get(element, 0) + 1
        return f"{element}#{self.counts[element]}"

    def _instance(self, tx: Tx, subject: str) -> str:
        match subject.partition("_")[0]:
            case "pay":
                found = tx.session.get_one(Payment, subject).instance_id
            case "ref":
                found = tx.session.get_one(Refund, subject).instance_id
            case _:
                found = tx.session.get_one(Dispute, subject).instance_id
        assert found is not None
        return found

    def webhooks(self) -> int:
        """Receive what the sandboxes have sent meanwhile and apply what is due; how many were applied."""
        new, self.taken = self.receiver.received[self.taken :], len(self.receiver.received)
        for received in new:
            with self.database.begin() as tx:
                webhooks.receive(tx, self.gateways, "sandbox_a", received.headers, received.body)
        return self.apply()

    def apply(self) -> int:
        appliers = {**webhooks.APPLIERS, **dispute_webhooks.APPLIERS}
        done = 0
        for gateway in (*self.gateways.names, ""):
            chore = webhooks.InboundWebhooks(self.gateways, appliers, gateway)
            with self.database.begin() as tx:
                jobs = chore.take(tx, 50)
            for job in jobs:
                answer = chore.do(job)
                with self.database.begin() as tx:
                    chore.book(tx, job, answer)
            done += len(jobs)
        return done

    # Looking

    def payment(self, payment: str) -> Payment:
        with self.database.begin() as tx:
            return find_payment(tx, MERCHANT, payment)

    def status(self, payment: str) -> tuple[str, str]:
        found = self.payment(payment)
        return found.status, found.status_reason

    def get_refund(self, refund: str) -> Refund:
        with self.database.begin() as tx:
            return find_refund(tx, MERCHANT, refund)

    def attempts(self, payment: str) -> list[Attempt]:
        with self.database.begin() as tx:
            return attempts_of(tx, payment)

    def attempt(self, payment: str, operation: str) -> Attempt:
        return [attempt for attempt in self.attempts(payment) if attempt.operation == operation][-1]

    def events(self, object_id: str) -> list[str]:
        with self.database.begin() as tx:
            return list(
                tx.session.scalars(select(Event.type).where(Event.object_id == object_id).order_by(Event.sequence))
            )

    def incidents(self) -> list[Incident]:
        with self.database.begin() as tx:
            return list(tx.session.scalars(select(Incident).order_by(Incident.created_at)))

    def messages(self, name: str) -> list[Message]:
        with self.database.begin() as tx:
            return list(tx.session.scalars(select(Message).where(Message.name == name).order_by(Message.id)))

    def disputes(self) -> list[Dispute]:
        with self.database.begin() as tx:
            return list(tx.session.scalars(select(Dispute).order_by(Dispute.created_at)))

    def inbound(self) -> list[InboundWebhook]:
        with self.database.begin() as tx:
            return list(tx.session.scalars(select(InboundWebhook).order_by(InboundWebhook.received_at)))

    def differences(self) -> list[str]:
        """Everything on which our books, our ledger and the gateways' books disagree."""
        with self.database.begin() as tx:
            found = verify_ledger(tx)
            for name, server in self.servers.items():
                found += [str(difference) for difference in verify_books(tx, name, map(booked, server.charges()))]
        return found

    def ledger_problems(self) -> list[str]:
        with self.database.begin() as tx:
            return verify_ledger(tx)

    def charges(self) -> int:
        return sum(len(server.charges()) for server in self.servers.values())


def _people(tx: Tx, now: datetime) -> None:
    for name in ("ada", "bob", "eve"):
        tx.session.add(
            User(
                id=f"usr_{name}",
                merchant_id=MERCHANT,
                email=f"{name}@example.com",
                name=name.title(),
                roles=["reviewer"],
                password_hash="",
                created_at=now,
            )
        )


@pytest.fixture
def till(database: Database, clock: ShiftedClock, sandbox: SandboxFactory, receiver: WebhookReceiver) -> Till:
    servers = {
        name: sandbox(name, webhook_url=receiver.url, settle_seconds=0.05, dispute_seconds=0.05)
        for name in ("sandbox_a", "sandbox_b")
    }
    gateways = Gateways([server.gateway(**FAST) for server in servers.values()])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with database.begin() as tx:
        tx.session.add(Merchant(id=MERCHANT, name="Test", settings={}, created_at=now))
        tx.session.flush()
        _people(tx, now)
        diagrams = [
            Upload(f"{name}.bpmn", bpmn(start(), end(), path("start", "end"), process=name)) for name in PROCESSES
        ]
        deploy(tx, system(MERCHANT), diagrams, publish=True)
    return Till(database, clock, servers, gateways, receiver)


def pass_time(till: Till, **amount: float) -> None:
    """Move our clock and the sandboxes'."""
    till.clock.advance(timedelta(**amount))
    for server in till.servers.values():
        server.advance(**amount)
