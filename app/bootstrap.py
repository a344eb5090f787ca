"""The composition root: Settings in, a wired web application or worker out. The only place that knows every room."""

import gc
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from flask import Flask
from prometheus_client import CollectorRegistry
from werkzeug.middleware.proxy_fix import ProxyFix

import handlers
from app import models
from app.access import sessions, users
from app.api import idempotency
from app.api.context import ApiContext
from app.api.server import create_api
from app.console.blueprint import create_console
from app.console.context import ConsoleContext, ConsoleSettings
from app.disputes import webhooks as dispute_webhooks
from app.disputes.queries import payments_of as payments_of_disputes
from app.disputes.service import flow_ended as dispute_flow_ended
from app.engine import rest
from app.engine.inbox import CHANNEL as WORK
from app.errors import AppError
from app.events.endpoints import Endpoints
from app.events.webhooks import Webhooks
from app.gateways.breaker import Breaker, Rule
from app.gateways.guard import GatewayMetrics, Guarded
from app.gateways.registry import GatewaySetting, build_registry
from app.gateways.registry import Registry as Gateways
from app.installation import Sending
from app.jobs.archive import Archive
from app.jobs.bell import Bell
from app.jobs.calls import Caller
from app.jobs.chores import Chore, Chores, WhileSending
from app.jobs.deliveries import Deliveries
from app.jobs.exports import Exports
from app.jobs.facts import DatabaseFacts
from app.jobs.long_jobs import LongJobs
from app.jobs.loop import Loop, Told
from app.jobs.metrics import WorkerMetrics
from app.jobs.moves import Moves
from app.jobs.starts import Starts
from app.jobs.upkeep import Purge, Upkeep
from app.jobs.waker import NotifyWaker, Waker
from app.jobs.worker import Parts, Worker
from app.kit import log
from app.kit.clock import SystemClock
from app.kit.database import Database, Tx
from app.kit.draining import Draining
from app.kit.http import HttpClient
from app.kit.ids import new_id
from app.kit.pulse import Pulse
from app.kit.sealing import Sealer
from app.operations import Registry, registry
from app.payments import held
from app.payments import webhooks as payment_webhooks
from app.payments.lost import LostAnswers, flow_ended
from app.payments.shelf import Shelf
from app.payments.unheard import tell_unheard
from app.payments.webhooks import InboundWebhooks
from app.refunds.queries import payments_of as payments_of_refunds
from app.refunds.service import flow_ended as refund_flow_ended
from app.settings import Settings

#: Objects that are made before Python looks for circles among them.
_YOUNG = 20_000

# Importing them declares every operation and every table.
assert handlers
assert models


class NotConfigured(AppError):
    code = "not_configured"
    title = "A setting is missing"


@dataclass(frozen=True)
class Wired:
    """What both the web and the workers are built from."""

    settings: Settings
    database: Database
    operations: Registry
    gateways: Gateways
    pulse: Pulse
    sealer: Sealer
    sending: Sending = field(default_factory=Sending)
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)

    @property
    def resources(self) -> Mapping[type, object]:
        """The services an operation may ask for by type."""
        return {Gateways: self.gateways, Pulse: self.pulse, Sending: self.sending}


def wire(settings: Settings, database: Database | None = None) -> Wired:
    if not settings.database_url and database is None:
        raise NotConfigured("DATABASE_URL is not set; `sluice up` starts an embedded PostgreSQL and sets it")
    log.configure(settings.log_level)
    metrics = CollectorRegistry()
    return Wired(
        settings=settings,
        database=database or Database(settings.database_url, pool_size=settings.web_threads + 4),
        operations=registry,
        gateways=create_gateways(settings, metrics),
        pulse=Pulse(),
        sealer=_sealer(settings),
        metrics=metrics,
    )


def create_gateways(settings: Settings, metrics: CollectorRegistry) -> Gateways:
    """Every configured gateway behind a breaker of its own."""
    watched = GatewayMetrics(metrics)
    built = build_registry(GatewaySetting(g.name, g.adapter, g.options) for g in settings.gateways)
    rule = Rule(failures=settings.breaker_failures)
    return Gateways(Guarded(gateway, Breaker(rule), watched) for gateway in built)


def _sealer(settings: Settings) -> Sealer:
    try:
        return Sealer.from_text(settings.master_key.get_secret_value())
    except ValueError as error:
        raise NotConfigured(f"SLUICE_MASTER_KEY cannot be used: {error}") from None


def create_web_app(settings: Settings | None = None) -> Flask:
    """The API and the console as one Flask application; `settings` come from the environment when not given."""
    _collect_seldom()
    return web_app(wire(settings or Settings()))


def web_app(wired: Wired) -> Flask:
    settings = wired.settings
    if not settings.secret_key.get_secret_value():
        raise NotConfigured("SLUICE_SECRET_KEY is not set; without it nobody can sign in")
    waker = create_waker(wired)
    wired.database.on_notify(waker.wake)
    wired.metrics.register(DatabaseFacts(wired.database))
    app = Flask("sluice", static_folder=None)
    app.config["SECRET_KEY"] = settings.secret_key.get_secret_value()
    api = ApiContext(
        database=wired.database,
        sealer=wired.sealer,
        wait_until_rest=lambda instance_id, seconds: rest.wait(wired.database, instance_id, seconds),
        receive_webhook=lambda tx, gateway, headers, body: payment_webhooks.receive(
            tx, wired.gateways, gateway, headers, body
        ),
        endpoints=endpoints(wired),
        webhooks=webhooks(wired),
        base_url=settings.public_url,
        limits_redis=settings.redis_url,
        exports=exports(wired),
        troubles=lambda: [trouble] if (trouble := waker.trouble()) else [],
        metrics=wired.metrics,
        waiting=max(1, settings.web_threads // 2),
    )
    app.register_blueprint(create_api(api))
    pages = ConsoleSettings(secure_cookies=settings.secure_cookies, base_url=settings.public_url)
    context = ConsoleContext(wired.database, SystemClock(), pages, endpoints(wired), webhooks(wired))
    app.register_blueprint(create_console(context))
    inner = app.wsgi_app
    if proxies := settings.trusted_proxies:
        # Everybody has the proxy's address otherwise: one stranger could lock others out of signing in.
        inner = ProxyFix(inner, x_for=proxies, x_proto=proxies)
    app.wsgi_app = Draining(inner)  # type: ignore[method-assign]  # Flask's own way
    return app


def create_worker(wired: Wired) -> Worker:
    _collect_seldom()
    bell = Bell()
    wake = bell.part([WORK])
    settings = wired.settings
    caps = {gateway.name: cap for gateway in settings.gateways if (cap := gateway.concurrent_calls) is not None}
    caller = Caller(settings.calls_per_gateway, wake.set, caps)
    # Two containers may share their host's name and both run as process 1; a lease must tell them apart all the same.
    owner = f"{socket.gethostname()}:{os.getpid()}:{new_id('wrk')}"
    parts = Parts(
        create_loop(wired, caller, owner),
        [Chores(wired.database, [chore]) for chore in chores(wired)],
        LongJobs(wired.database, [exports(wired)], owner, bell.stopped),
    )
    if settings.redis_url:
        # Nobody listens to PostgreSQL then, and this process needs no Redis to tell itself.
        wired.database.on_notify(bell.ring)
    return Worker(parts, create_waker(wired), bell, wake, wired.pulse, WorkerMetrics(wired.metrics))


def _collect_seldom() -> None:
    """A turn makes objects by the thousand which live as long as it does: looking for garbage often finds none."""
    gc.set_threshold(_YOUNG, 20, 50)


def create_waker(wired: Wired) -> Waker:
    """RQ where there is a Redis, PostgreSQL's own notifications otherwise."""
    if not wired.settings.redis_url:
        return NotifyWaker(wired.database.url)
    from app.jobs.rq_waker import RqWaker  # noqa: PLC0415 - the clients of Redis matter only to who has one

    return RqWaker(wired.settings.redis_url)


def create_loop(wired: Wired, caller: Caller, owner: str) -> Loop:
    def on_end(tx: Tx, instance_id: str, subject: str) -> None:
        flow_ended(tx, wired.gateways, instance_id, subject)
        refund_flow_ended(tx, subject)
        dispute_flow_ended(tx, instance_id, subject)

    shelf = Shelf()

    def prepare(tx: Tx, subjects: Collection[str]) -> None:
        refunds = payments_of_refunds(tx, [one for one in subjects if one.startswith("ref_")])
        disputes = payments_of_disputes(tx, [one for one in subjects if one.startswith("dis_")])
        payments = (one for one in subjects if one.startswith("pay_"))
        held.take_up(tx, {*payments, *refunds, *disputes}, shelf)

    told = Told(prepare, on_end)
    batch = wired.settings.batch
    return Loop(wired.database, wired.operations, wired.resources, caller, owner, batch, told, wired.sending)


def chores(wired: Wired) -> list[Chore]:
    """Due work beside instances: webhooks that came in, those that go out, answers that were lost, and old rows."""
    appliers = {**payment_webhooks.APPLIERS, **dispute_webhooks.APPLIERS}
    due: list[Chore] = [
        *(InboundWebhooks(wired.gateways, appliers, gateway) for gateway in (*wired.gateways.names, "")),
        LostAnswers(wired.gateways),
        Deliveries(webhooks(wired)),
        Moves(),
        Starts(),
        Archive(timedelta(days=wired.settings.archive_after_days)),
        Upkeep(purges(wired)),
    ]
    return [WhileSending(chore, wired.sending) for chore in due]


def purges(wired: Wired) -> Mapping[str, Purge]:
    """What is removed, or told, now and then."""
    return {
        "idempotency_keys": idempotency.purge,
        "sessions": sessions.purge,
        "sign_in_failures": users.forget_failures,
        "exports": exports(wired).purge,
        "unheard_requests": tell_unheard,
    }


def exports(wired: Wired) -> Exports:
    return Exports(wired.database, wired.settings.exports_folder)


def webhooks(wired: Wired) -> Webhooks:
    client = HttpClient(connect_seconds=5, total_seconds=20, max_bytes=64 * 1024)
    return Webhooks(endpoints(wired), client, allow_private=wired.settings.webhook_allow_private)


def endpoints(wired: Wired) -> Endpoints:
    return Endpoints(wired.sealer, allow_private=wired.settings.webhook_allow_private)
