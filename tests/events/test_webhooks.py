from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from sqlalchemy import func, select

from app.access.actor import Actor, Role
from app.access.merchants import create_merchant
from app.events.address import UrlRefused
from app.events.endpoints import Changes, Endpoints
from app.events.models import Delivery, Event, WebhookEndpoint
from app.events.queries import delivery_view
from app.events.webhooks import LEASE, SCHEDULE_SECONDS, EndpointDisabled, Webhooks, delay
from app.kit.clock import ShiftedClock, SystemClock
from app.kit.crypto import SignatureRefused, verify_signature
from app.kit.http import Answer, HttpClient, NoAnswer
from app.kit.sealing import Sealer
from tests.events.conftest import Receiver, Shop, certificate_for, serving


def delivery(shop: Shop) -> Delivery:
    with shop.database.begin() as tx:
        return tx.session.scalars(select(Delivery)).one()


def test_an_event_arrives_signed_and_complete(shop: Shop, receiver: Receiver) -> None:
    _, secret = shop.listen(receiver.url)
    event_id = shop.emit("payment.succeeded", "pay_1")
    shop.work()
    [got] = receiver.received
    signed = verify_signature([secret], got.headers, got.body, SystemClock().now())
    assert signed.id == event_id
    body = orjson.loads(got.body)
    assert body == {
        "id": event_id,
        "object": "event",
        "type": "payment.succeeded",
        "object_id": "pay_1",
        "sequence": 1,
        "timestamp": body["timestamp"],
        "data": {"id": "pay_1"},
    }
    assert got.path == "/hook"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    sent = delivery(shop)
    assert (sent.status, sent.tries, sent.due_at, sent.last_status) == ("delivered", 1, None, 200)
    assert shop.work() == []


def test_an_endpoint_gets_the_types_it_asked_for(shop: Shop, receiver: Receiver) -> None:
    shop.listen(receiver.url + "/one", "payment.failed")
    shop.listen(receiver.url + "/kind", "refund.*")
    shop.listen(receiver.url + "/all")
    shop.emit("payment.failed", "pay_1")
    shop.emit("payment.succeeded", "pay_1")
    shop.emit("refund.created", "ref_1")
    shop.work()
    got = sorted((one.path, orjson.loads(one.body)["type"]) for one in receiver.received)
    assert got == [
        ("/hook/all", "payment.failed"),
        ("/hook/all", "payment.succeeded"),
        ("/hook/all", "refund.created"),
        ("/hook/kind", "refund.created"),
        ("/hook/one", "payment.failed"),
    ]


def test_an_endpoint_hears_nothing_of_before_it_existed_or_of_other_merchants(shop: Shop, receiver: Receiver) -> None:
    shop.emit()
    shop.listen(receiver.url)
    with shop.database.begin() as tx:
        other = create_merchant(tx, "Other")
    stranger = Actor("usr_x", "X", other.id, frozenset({Role.ADMIN}))
    with shop.database.begin() as tx:
        shop.endpoints.create(tx, stranger, receiver.url)
    shop.emit("webhook_endpoint.disabled", "whe_1")
    shop.work()
    assert [orjson.loads(one.body)["type"] for one in receiver.received] == ["webhook_endpoint.disabled"]
    with shop.database.begin() as tx:
        assert tx.session.scalar(select(func.count()).where(Event.drained_at.is_(None))) == 0


def test_draining_twice_makes_one_delivery(shop: Shop, receiver: Receiver) -> None:
    shop.listen(receiver.url)
    for _ in range(3):
        shop.emit()
    with shop.database.begin() as tx:
        assert [shop.webhooks.drain(tx, limit=2) for _ in range(3)] == [2, 1, 0]
        assert tx.session.scalar(select(func.count()).select_from(Delivery)) == 3


def test_a_failing_endpoint_is_tried_on_schedule_and_then_given_up(
    shop: Shop, receiver: Receiver, clock: ShiftedClock
) -> None:
    receiver.answers = [(500, {})]
    shop.listen(receiver.url)
    shop.emit()
    waits = []
    for _ in SCHEDULE_SECONDS[1:]:
        assert len(shop.work()) == 1
        row = delivery(shop)
        with shop.database.begin() as tx:
            assert row.due_at is not None
            waits.append((row.due_at - tx.now()).total_seconds())
        assert shop.work() == [], "not before its time"
        clock.advance(timedelta(seconds=waits[-1] + 1))
    assert len(shop.work()) == 1
    row = delivery(shop)
    assert (row.status, row.due_at, row.tries) == ("dead", None, len(SCHEDULE_SECONDS))
    assert all(
        planned * 0.99 - 1 <= real <= planned * 1.2 for planned, real in zip(SCHEDULE_SECONDS[1:], waits, strict=True)
    )
    assert row.last_error == "The endpoint answered 500"
    assert [line["status"] for line in delivery_view(row)["log"]] == [500] * len(SCHEDULE_SECONDS)


def test_the_whole_schedule_lasts_three_days() -> None:
    assert timedelta(days=3) < timedelta(seconds=sum(SCHEDULE_SECONDS)) < timedelta(days=3.5)
    assert all(earlier < later for earlier, later in pairwise(SCHEDULE_SECONDS))


def test_deliveries_that_failed_together_are_spread() -> None:
    waits = {delay(f"dlv_{number}", 3) for number in range(50)}
    assert len(waits) == 50
    assert all(timedelta(minutes=30) <= wait <= timedelta(minutes=36) for wait in waits)


@pytest.mark.parametrize(("status", "obeyed"), [(429, True), (503, True), (500, False)])
def test_retry_after_is_obeyed(shop: Shop, receiver: Receiver, clock: ShiftedClock, status: int, obeyed: bool) -> None:
    receiver.answers = [(status, {"Retry-After": "600"}), (200, {})]
    shop.listen(receiver.url)
    shop.emit()
    shop.work()
    clock.advance(timedelta(seconds=500))
    assert len(shop.work()) == (0 if obeyed else 1)
    clock.advance(timedelta(seconds=101))
    shop.work()
    assert delivery(shop).status == "delivered"


@pytest.mark.parametrize(
    "date", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2026 00:00:00 +99999999999999999"]
)
def test_a_date_that_is_none_counts_as_a_try_like_any_other(shop: Shop, receiver: Receiver, date: str) -> None:
    receiver.answers = [(503, {"Retry-After": date})]
    shop.listen(receiver.url)
    shop.emit()
    shop.work()
    row = delivery(shop)
    assert (row.tries, row.last_status) == (1, 503)


def test_an_endpoint_that_is_disabled_while_deliveries_are_being_written_gets_none_of_them(
    shop: Shop, receiver: Receiver
) -> None:
    endpoint_id, _ = shop.listen(receiver.url)
    shop.emit()

    def disable() -> None:
        with shop.database.begin() as tx:
            shop.endpoints.change(tx, shop.actor, endpoint_id, Changes(enabled=False))

    with ThreadPoolExecutor(1) as pool:
        with shop.database.begin() as tx:
            shop.webhooks.drain(tx)
            disabled = pool.submit(disable)
            wait([disabled], timeout=0.5)
        disabled.result()
    assert shop.work() == []
    assert delivery(shop).status == "dead"
    assert receiver.received == []


def test_gone_disables_the_endpoint_and_gives_up_what_was_waiting(shop: Shop, receiver: Receiver) -> None:
    receiver.answers = [(410, {})]
    endpoint_id, _ = shop.listen(receiver.url)
    shop.emit("payment.created")
    shop.work()
    with shop.database.begin() as tx:
        assert tx.session.get_one(WebhookEndpoint, endpoint_id).status == "disabled"
        assert tx.session.scalars(select(Delivery.status)).all() == ["dead"]
        assert tx.session.scalars(select(Event.type).order_by(Event.id.desc())).first() == "webhook_endpoint.disabled"
    shop.emit("payment.succeeded")
    assert shop.work() == []


def test_a_redirect_is_a_failure_and_is_not_followed(shop: Shop, receiver: Receiver) -> None:
    receiver.answers = [(302, {"Location": f"{receiver.url}/elsewhere"})]
    shop.listen(receiver.url)
    shop.emit()
    [answer] = shop.work()
    assert (answer.status, answer.accepted) == (302, False)
    assert [one.path for one in receiver.received] == ["/hook"]


def test_nobody_there_is_a_failure_that_is_tried_again(shop: Shop) -> None:
    shop.listen("http://127.0.0.1:1/hook")
    shop.emit()
    [answer] = shop.work()
    assert (answer.status, answer.accepted) == (None, False)
    row = delivery(shop)
    assert row.status == "pending"
    assert row.last_error


def test_a_private_address_is_refused_at_the_moment_of_sending(
    shop: Shop, receiver: Receiver, client: HttpClient
) -> None:
    shop.listen(receiver.url.replace("http", "https").replace("127.0.0.1", "localhost"))
    shop.emit()
    strict = Webhooks(shop.endpoints, client, allow_private=False)
    with shop.database.begin() as tx:
        shop.webhooks.drain(tx)
    with shop.database.begin() as tx:
        [job] = shop.webhooks.claim_due(tx)
    answer = strict.send(job)
    assert answer.status is None
    assert "127.0.0.1" not in answer.error
    assert receiver.received == []


def test_both_secrets_sign_for_a_day_after_a_rotation(shop: Shop, receiver: Receiver, clock: ShiftedClock) -> None:
    endpoint_id, old = shop.listen(receiver.url)
    with shop.database.begin() as tx:
        new = shop.endpoints.rotate(tx, shop.actor, endpoint_id).secret
    shop.emit()
    shop.work()
    for secret in (old, new):
        verify_signature([secret], receiver.received[0].headers, receiver.received[0].body, SystemClock().now())
    clock.advance(timedelta(hours=24, seconds=1))
    shop.emit()
    shop.work()
    verify_signature([new], receiver.received[1].headers, receiver.received[1].body, SystemClock().now())
    with pytest.raises(SignatureRefused):
        verify_signature([old], receiver.received[1].headers, receiver.received[1].body, SystemClock().now())


def test_the_secret_is_not_readable_in_the_database(shop: Shop, receiver: Receiver) -> None:
    endpoint_id, secret = shop.listen(receiver.url)
    with shop.database.begin() as tx:
        assert secret not in str(tx.session.get_one(WebhookEndpoint, endpoint_id).secrets)


def test_a_dead_delivery_is_sent_again_by_hand(shop: Shop, receiver: Receiver) -> None:
    receiver.answers = [(410, {}), (200, {})]
    endpoint_id, _ = shop.listen(receiver.url)
    shop.emit()
    shop.work()
    row = delivery(shop)
    with pytest.raises(EndpointDisabled), shop.database.begin() as tx:
        shop.webhooks.resend(tx, shop.actor, row.id)
    with shop.database.begin() as tx:
        shop.endpoints.change(tx, shop.actor, endpoint_id, Changes(enabled=True))
        shop.webhooks.resend(tx, shop.actor, row.id)
    shop.work()
    with shop.database.begin() as tx:
        assert tx.session.get_one(Delivery, row.id).status == "delivered"
    assert [one.headers["webhook-id"] for one in receiver.received].count(row.event_id) == 2


def test_a_sender_that_died_loses_nothing(shop: Shop, receiver: Receiver, clock: ShiftedClock) -> None:
    shop.listen(receiver.url)
    shop.emit()
    with shop.database.begin() as tx:
        shop.webhooks.drain(tx)
    with shop.database.begin() as tx:
        [lost] = shop.webhooks.claim_due(tx)
    assert shop.work() == []
    clock.advance(LEASE + timedelta(seconds=1))
    assert [answer.status for answer in shop.work()] == [200]
    late = shop.webhooks.send(lost)
    with shop.database.begin() as tx:
        shop.webhooks.book(tx, lost, late)
    assert delivery(shop).tries == 1


def test_two_senders_never_take_the_same_delivery(shop: Shop, receiver: Receiver) -> None:
    shop.listen(receiver.url)
    for _ in range(4):
        shop.emit()
    with shop.database.begin() as tx:
        shop.webhooks.drain(tx)
    with shop.database.begin() as one, shop.database.begin() as other:
        first = shop.webhooks.claim_due(one, limit=2)
        second = shop.webhooks.claim_due(other, limit=4)
    assert len(first) == len(second) == 2
    assert {job.id for job in first}.isdisjoint(job.id for job in second)


def test_endpoints_without_permission_to_be_private_are_refused(shop: Shop) -> None:
    strict = Endpoints(Sealer({"test": bytes(32)}, "test"))
    with pytest.raises(UrlRefused), shop.database.begin() as tx:
        strict.create(tx, shop.actor, "http://127.0.0.1/hook")


@pytest.fixture
def tls_receiver(tmp_path: Path) -> Iterator[tuple[Receiver, str]]:
    """A receiver that is `hooks.shop.example` by its certificate, and the file that vouches for it."""
    context, ca_file = certificate_for("hooks.shop.example", tmp_path)
    with serving(Receiver(), context) as state:
        yield state, ca_file


def test_a_pinned_connection_still_proves_and_names_the_host(tls_receiver: tuple[Receiver, str]) -> None:
    receiver, ca_file = tls_receiver
    client = HttpClient(connect_seconds=2, total_seconds=3, ca_file=ca_file)
    good = client.exchange("POST", f"https://hooks.shop.example:{receiver.port}/hook", {}, b"{}", address="127.0.0.1")
    other = client.exchange("POST", f"https://other.example:{receiver.port}/hook", {}, b"{}", address="127.0.0.1")
    client.close()
    assert isinstance(good, Answer)
    assert good.status == 200
    assert isinstance(other, NoAnswer), "a certificate for another name is refused"
    assert [one.headers["host"] for one in receiver.received] == [f"hooks.shop.example:{receiver.port}"]
