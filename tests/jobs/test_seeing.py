"""One id from the request to the gateway's log line, and numbers that are facts of the database."""

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog
import urllib3
from flask.testing import FlaskClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import update
from structlog.testing import capture_logs

from app.access.actor import Role
from app.access.api_keys import create_key
from app.bootstrap import web_app
from app.engine.models import Instance
from app.events.endpoints import Endpoints
from app.events.webhooks import Webhooks
from app.gateways.breaker import Breaker
from app.gateways.guard import GatewayMetrics, Guarded
from app.gateways.registry import Registry
from app.jobs.chores import Chores
from app.jobs.deliveries import Deliveries
from app.jobs.facts import DatabaseFacts
from app.jobs.metrics import WorkerMetrics, serve
from app.kit import trace
from app.kit.database import Database
from app.kit.http import HttpClient
from app.kit.trace import following, mark
from tests.events.conftest import Receiver, serving
from tests.house import House


@pytest.fixture
def client(house: House) -> Iterator[FlaskClient]:
    metrics = CollectorRegistry()
    watched = GatewayMetrics(metrics)
    guarded = Registry(Guarded(gateway, Breaker(), watched) for gateway in house.wired.gateways)
    house.wired = replace(house.wired, gateways=guarded, metrics=metrics)
    house.loop = house.another_loop("worker-guarded")
    with house.database.begin() as tx:
        key = create_key(tx, house.system, "shop", [Role.INTEGRATOR]).secret
    with web_app(house.wired).test_client() as client:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        yield client


def pay(client: FlaskClient, **more: object) -> tuple[str, str]:
    """The payment's id, and the request's."""
    body = {"amount": 1000, "currency": "EUR", "payment_method": "pm_card_visa", **more}
    made = client.post("/v1/payments", json=body, headers={"Idempotency-Key": "k"})
    assert made.status_code == 201, made.json
    return made.json["id"], made.headers["Request-Id"]


def value(client: FlaskClient, name: str) -> float:
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    (line,) = [line for line in lines if line.startswith((name + " ", name + "{"))]
    return float(line.rpartition(" ")[2])


def test_the_request_s_id_is_on_every_gateway_call_it_led_to(client: FlaskClient, house: House) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        payment, request_id = pay(client, capture_method="manual")
        house.run()
        captured = client.post(f"/v1/payments/{payment}/capture", json={}, headers={"Idempotency-Key": "c"})
        house.run()
    calls = [line for line in lines if line["event"] == "gateway.called"]
    attempts = house.attempts(payment)
    assert [call["trace_id"] for call in calls] == [request_id, captured.headers["Request-Id"]]
    assert [call["attempt"] for call in calls] == [attempt.id for attempt in attempts]
    assert [call["activation"] for call in calls] == [attempt.activation for attempt in attempts]
    assert {call["instance"] for call in calls} == {house.instance(payment).id}
    answered = [line["trace_id"] for line in lines if line["event"] == "request.answered"]
    assert answered == [request_id, captured.headers["Request-Id"]]


def test_the_chain_goes_on_in_another_worker_after_a_crash(client: FlaskClient, house: House) -> None:
    payment, request_id = pay(client)
    house.loop.turn()
    house.loop = house.another_loop("worker-2")
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        house.later(seconds=11)
    assert house.payment(payment).status == "succeeded"
    assert {line["trace_id"] for line in lines if line["event"] == "gateway.called"} == {request_id}


def test_a_span_of_a_tracer_is_carried_beside_the_request_s_id() -> None:
    structlog.contextvars.clear_contextvars()
    span = NonRecordingSpan(SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(1)))
    with following("req_1"), use_span(span):
        marked = mark()
    assert marked == f"req_1 00-{0xA1:032x}-{0xB2:016x}-01"
    with following(marked, instance="ins_1"):
        assert mark() == marked
        assert structlog.contextvars.get_contextvars() == {"trace_id": "req_1", "instance": "ins_1"}
    assert (mark(), structlog.contextvars.get_contextvars()) == ("", {})


def test_request_steps_gateway_calls_and_deliveries_are_spans_of_one_trace(
    client: FlaskClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "tracer", provider.get_tracer("sluice"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    endpoints = Endpoints(house.wired.sealer, allow_private=True)
    with serving(Receiver()) as shop, closing(HttpClient(connect_seconds=1, total_seconds=2)) as http:
        with house.database.begin() as tx:
            endpoints.create(tx, house.person("ada", Role.ADMIN), shop.url, ())
        pay(client)
        house.run()
        house.clock.advance(timedelta(minutes=10))  # the house's own deliveries reach nobody on this machine
        Chores(house.database, [Deliveries(Webhooks(endpoints, http, allow_private=True))]).turn()
        assert shop.received
    spans = kept.get_finished_spans()
    assert {"POST /v1/payments", "step", "gateway call", "delivery"} <= {span.name for span in spans}
    assert len({span.context.trace_id for span in spans if span.context}) == 1


def test_numbers_tell_what_waits_and_how_much_money_is_unknown(client: FlaskClient, house: House) -> None:
    assert value(client, "sluice_database_up") == 1
    assert value(client, "sluice_oldest_due_seconds") == 0
    house.pay()
    house.clock.advance(timedelta(seconds=30))
    assert 30 <= value(client, "sluice_oldest_due_seconds") < 60
    assert 30 <= value(client, "sluice_outbox_oldest_seconds") < 60
    house.run()
    assert value(client, "sluice_oldest_due_seconds") == 0

    house.a.fault("timeout_lost", "authorize")
    house.pay(amount=700)
    house.run()
    assert value(client, 'sluice_unknown_attempts{gateway="sandbox_a"}') == 1
    assert value(client, "sluice_unknown_amount") == 700
    assert value(client, 'sluice_gateway_calls_total{gateway="sandbox_a",operation="authorize",outcome="unknown"}') == 1

    house.pay("pm_card_high_risk")
    house.run()
    house.clock.advance(timedelta(minutes=5))
    assert 300 <= value(client, "sluice_oldest_review_seconds") < 400
    assert value(client, "sluice_incidents_open") == 0


def test_a_lease_that_nobody_has_taken_over_is_told(client: FlaskClient, house: House) -> None:
    payment = house.pay()
    with house.database.begin() as tx:
        tx.execute(update(Instance).values(lease_owner="gone", lease_until=tx.now()))
    house.clock.advance(timedelta(seconds=1))
    assert value(client, "sluice_expired_leases") == 1
    house.loop.turn()
    assert house.loop.taken_over == 1
    house.loop.turn()
    assert house.loop.taken_over == 0, "our own lease is nobody's death"
    house.run()
    assert value(client, "sluice_expired_leases") == 0
    assert house.payment(payment).status == "succeeded"


def test_without_a_database_the_numbers_say_so() -> None:
    nowhere = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    registry = CollectorRegistry()
    registry.register(DatabaseFacts(nowhere))
    assert b"sluice_database_up 0.0" in generate_latest(registry)
    nowhere.close()


def test_a_worker_answers_for_its_own_numbers_and_a_taken_port_does_no_harm() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    metrics.turned(3, 0.01)
    metrics.took_over(2)
    close = serve(registry, "127.0.0.1", port)
    serve(registry, "127.0.0.1", port)()
    answer = urllib3.request("GET", f"http://127.0.0.1:{port}/metrics", retries=False)
    assert b"sluice_worker_instances_total 3.0" in answer.data
    assert b"sluice_lease_expiries_total 2.0" in answer.data
    close()
