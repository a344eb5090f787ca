from datetime import UTC, datetime

import pytest

from app.kit.clock import SystemClock
from app.kit.crypto import verify_signature
from tests.fixtures_sandbox import SandboxFactory, SandboxServer, WebhookReceiver, until


@pytest.fixture
def server(sandbox: SandboxFactory, receiver: WebhookReceiver) -> SandboxServer:
    return sandbox(settle_seconds=0.05, webhook_url=receiver.url, webhook_retry_seconds=0.05)


def test_events_arrive_signed_and_say_whom_they_concern(server: SandboxServer, receiver: WebhookReceiver) -> None:
    _, charge = server.pay("k1", "pm_card_pending")
    until(lambda: receiver.received)
    (received,) = receiver.received
    signed = verify_signature((server.config.webhook_secret,), received.headers, received.body, SystemClock().now())
    assert signed.id == received.json["id"]
    assert received.json["type"] == "charge.updated"
    assert received.json["data"] == {"key": "k1", "charge": charge["id"], "reference": "pay_k1", "status": "authorized"}


def test_an_event_carries_the_sandboxes_time_but_is_signed_now(
    server: SandboxServer, receiver: WebhookReceiver
) -> None:
    server.pay("k1", "pm_card_3ds")
    server.advance(days=7)
    until(lambda: receiver.received)
    (received,) = receiver.received
    now = SystemClock().now()
    assert verify_signature((server.config.webhook_secret,), received.headers, received.body, now).signed_at <= now
    assert (datetime.fromisoformat(received.json["created_at"]).astimezone(UTC) - now).days >= 6


def test_events_wait_while_the_receiver_is_down_and_arrive_when_it_is_back(
    server: SandboxServer, receiver: WebhookReceiver
) -> None:
    receiver.close()
    for key in ("k1", "k2"):
        server.pay(key, "pm_card_pending")
    until(lambda: len(server.events()) == 2 and all(event["tries"] >= 2 for event in server.events()))
    receiver.open()
    until(lambda: len(receiver.received) == 2)
    assert {received.json["data"]["key"] for received in receiver.received} == {"k1", "k2"}
    until(lambda: all(event["delivered"] == 1 for event in server.events()))


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
def test_anything_but_success_is_tried_again(server: SandboxServer, receiver: WebhookReceiver, status: int) -> None:
    receiver.status = status
    server.pay("k1", "pm_card_pending")
    until(lambda: len(receiver.received) >= 3)
    receiver.status = 200
    until(lambda: server.events()[0]["delivered"] == 1)
    assert len({received.json["id"] for received in receiver.received}) == 1


def test_the_pauses_between_tries_grow(sandbox: SandboxFactory, receiver: WebhookReceiver) -> None:
    server = sandbox(settle_seconds=0, webhook_url=receiver.url, webhook_retry_seconds=0.2)
    receiver.status = 500
    server.pay("k1", "pm_card_pending")
    until(lambda: len(receiver.received) == 3)
    stamps = [SystemClock().now()]
    until(lambda: len(receiver.received) == 4)
    stamps.append(SystemClock().now())
    assert (stamps[1] - stamps[0]).total_seconds() > 0.6


def test_undelivered_events_survive_a_restart(server: SandboxServer, receiver: WebhookReceiver) -> None:
    receiver.close()
    server.pay("k1", "pm_card_pending")
    until(lambda: server.events() and server.events()[0]["tries"] >= 1)
    server.stop()
    receiver.open()
    server.restart()
    until(lambda: receiver.received)
    assert receiver.received[0].json["data"]["key"] == "k1"


def test_an_event_can_be_sent_again_as_the_same_event(server: SandboxServer, receiver: WebhookReceiver) -> None:
    server.pay("k1", "pm_card_pending")
    until(lambda: receiver.received)
    server.replay(receiver.received[0].json["id"])
    until(lambda: len(receiver.received) == 2)
    first, second = receiver.received
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert server.request("POST", "/admin/webhooks/replay", {"event": "evt_none"})[0] == 404


def test_without_an_address_events_are_kept(sandbox: SandboxFactory) -> None:
    server = sandbox(settle_seconds=0.05)
    server.pay("k1", "pm_card_pending")
    (event,) = until(server.events)
    assert (event["tries"], event["delivered"]) == (0, 0)
