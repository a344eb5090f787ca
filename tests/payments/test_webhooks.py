from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import select

from app.access.actor import Role
from app.access.merchants import create_merchant
from app.engine import inbox
from app.errors import Forbidden
from app.events.outbox import emit
from app.gateways.port import EventKind, InvalidSignature
from app.gateways.registry import Registry as Gateways
from app.gateways.registry import UnknownGateway
from app.jobs.chores import Chores
from app.kit.database import Tx
from app.kit.money import Money
from app.ledger.models import Account, Posting
from app.ledger.postings import Book
from app.ledger.service import balances
from app.payments import inbound, webhooks
from app.payments.queries import lock_payment
from tests.fixtures_sandbox import until
from tests.till import MERCHANT, Till, pass_time


def pending(till: Till) -> tuple[str, str]:
    payment = till.create("pm_card_pending")
    return payment, till.fails("payment.authorize", payment, gateway="sandbox_a").facts["attempt"]


def receive(till: Till, body: bytes, headers: dict[str, str], gateway: str = "sandbox_a") -> None:
    with till.database.begin() as tx:
        webhooks.receive(tx, till.gateways, gateway, headers, body)


def test_an_unsigned_or_changed_webhook_is_not_stored(till: Till) -> None:
    pending(till)
    letter = until(lambda: till.receiver.received)[0]
    for headers, body in (({}, letter.body), (letter.headers, letter.body + b" ")):
        with pytest.raises(InvalidSignature):
            receive(till, body, headers)
    with pytest.raises(InvalidSignature):
        receive(till, letter.body, letter.headers, "sandbox_b")
    with pytest.raises(UnknownGateway):
        receive(till, letter.body, letter.headers, "nobody")
    assert till.inbound() == []


def test_the_same_webhook_is_applied_once(till: Till) -> None:
    payment, attempt = pending(till)
    letter = until(lambda: till.receiver.received)[0]
    for _ in range(3):
        receive(till, letter.body, letter.headers)
    till.apply()
    receive(till, letter.body, letter.headers)
    assert till.apply() == 0
    assert [inbound.status for inbound in till.inbound()] == ["applied"]
    assert [message.correlation for message in till.messages("gateway.event")] == [attempt]
    assert till.status(payment) == ("requires_capture", "")
    assert till.differences() == []


def test_a_worker_that_dies_while_applying_leaves_it_to_another(till: Till) -> None:
    payment, _ = pending(till)
    letter = until(lambda: till.receiver.received)[0]
    receive(till, letter.body, letter.headers)
    chore = webhooks.InboundWebhooks(till.gateways, webhooks.APPLIERS, "sandbox_a")
    with till.database.begin() as tx:
        assert len(chore.take(tx, 10)) == 1
    assert till.apply() == 0
    till.clock.advance(timedelta(minutes=2))
    assert till.apply() == 1
    assert till.status(payment) == ("requires_capture", "")


@dataclass
class Breaking:
    """It books, and then breaks; `read` makes the ledger write at once what it has gathered."""

    payment: str
    read: bool

    def call(self) -> None: ...

    def finish(self, tx: Tx, _answer: object) -> bool:
        payment = lock_payment(tx, MERCHANT, self.payment)
        Book(tx, MERCHANT, payment.id, "sandbox_a").captured("att_1", Money(5, "EUR"))
        if self.read:
            balances(tx, MERCHANT)
        emit(tx, MERCHANT, "payment.updated", payment.id, {}, MERCHANT)
        raise RuntimeError


@pytest.mark.parametrize("read", [False, True])
def test_nothing_stays_of_a_booking_that_broke_but_that_it_did(till: Till, read: bool) -> None:
    payment, _ = pending(till)
    letter = until(lambda: till.receiver.received)[0]
    receive(till, letter.body, letter.headers)
    told = till.events(payment)
    appliers = dict.fromkeys(EventKind, lambda *_: Breaking(payment, read))
    chore = webhooks.InboundWebhooks(till.gateways, appliers, "sandbox_a")
    with till.database.begin() as tx:
        (job,) = chore.take(tx, 10)
    with till.database.begin() as tx:
        chore.book(tx, job, chore.do(job))
    (stored,) = till.inbound()
    assert (stored.status, stored.last_error) == ("new", "RuntimeError; the worker's log has the rest")
    assert till.events(payment) == told
    with till.database.begin() as tx:
        assert tx.session.scalars(select(Posting.kind)).all() == []
        assert tx.known == set(tx.session.scalars(select(Account.id)))


def test_a_webhook_about_an_unknown_charge_is_parked_and_found_later(till: Till) -> None:
    till.sandbox.pay("not_ours_yet", "pm_card_pending")
    until(till.webhooks)
    (stored,) = till.inbound()
    assert (stored.status, stored.tries) == ("unmatched", 1)
    assert till.apply() == 0
    for tries in range(2, 9):
        till.clock.advance(timedelta(days=2))
        assert till.apply() == 1
        assert till.inbound()[0].tries == tries
    till.clock.advance(timedelta(days=30))
    assert till.apply() == 0
    assert till.inbound()[0].status == "unmatched"


def test_when_the_gateway_cannot_be_asked_the_webhook_is_tried_again(till: Till) -> None:
    payment, _ = pending(till)
    letter = until(lambda: till.receiver.received)[0]
    receive(till, letter.body, letter.headers)
    till.sandbox.stop()
    till.apply()
    (stored,) = till.inbound()
    assert (stored.status, "could not be asked" in (stored.last_error or "")) == ("new", True)
    assert till.status(payment) == ("processing", "outcome_pending")
    till.sandbox.restart()
    pass_time(till, seconds=60)
    assert till.apply() == 1
    assert till.status(payment) == ("requires_capture", "")
    assert till.inbound()[0].status == "applied"


class Unbookable:
    """News that a mistake of ours cannot take in, after it has already written something."""

    def call(self) -> object:
        return None

    def finish(self, tx: Tx, _: object) -> bool:
        inbox.publish_message(tx, "mer_test", "half.done", "x", {}, "once")
        raise RuntimeError("secret_of_ours")


def unbookable(tx: Tx, gateways: Gateways, news: webhooks.News) -> webhooks.Application:
    return Unbookable()


def tell(till: Till, gateway: str = "sandbox_a") -> tuple[str, str]:
    """A pending payment and its webhook, stored."""
    payment, attempt = pending(till)
    letter = until(lambda: till.receiver.received)[-1]
    receive(till, letter.body, letter.headers, gateway)
    return payment, attempt


def test_a_webhook_that_cannot_be_booked_is_tried_with_growing_delays_then_parked_with_an_incident(till: Till) -> None:
    payment, attempt = tell(till)
    chore = webhooks.InboundWebhooks(till.gateways, {EventKind.ATTEMPT_UPDATED: unbookable}, "sandbox_a")
    waits = []
    for _ in range(8):
        (stored,) = till.inbound()
        assert stored.due_at is not None
        waits.append(stored.due_at - till.clock.now())
        till.clock.advance(max(waits[-1], timedelta()) + timedelta(seconds=1))
        Chores(till.database, [chore]).turn()
    assert waits[2:] == sorted(waits[2:])
    assert waits[-1] > timedelta(hours=23)
    (stored,) = till.inbound()
    assert (stored.status, stored.tries, stored.due_at) == ("parked", 8, None)
    assert stored.last_error == "RuntimeError; the worker's log has the rest"
    (incident,) = till.incidents()
    assert (incident.kind, incident.subject, incident.details["attempt"]) == ("webhook_parked", payment, attempt)
    assert till.messages("half.done") == []


def test_a_webhook_that_ends_every_worker_is_parked_all_the_same(till: Till) -> None:
    tell(till)
    chore = webhooks.InboundWebhooks(till.gateways, webhooks.APPLIERS, "sandbox_a")
    taken = 0
    for _ in range(12):
        till.clock.advance(timedelta(days=2))
        with till.database.begin() as tx:
            taken += len(chore.take(tx, 10))
    assert taken == 8
    assert [row.status for row in till.inbound()] == ["parked"]
    assert [incident.kind for incident in till.incidents()] == ["webhook_parked"]


def test_what_died_with_its_worker_is_tried_again_after_a_minute_however_often(till: Till) -> None:
    payment, _ = tell(till)
    chore = webhooks.InboundWebhooks(till.gateways, webhooks.APPLIERS, "sandbox_a")
    for _ in range(6):
        with till.database.begin() as tx:
            assert len(chore.take(tx, 10)) == 1
        till.clock.advance(timedelta(seconds=61))
    assert till.apply() == 1
    assert till.status(payment) == ("requires_capture", "")


def test_a_person_can_have_it_tried_again_and_only_an_operator_may(till: Till) -> None:
    payment, _ = tell(till)
    chore = webhooks.InboundWebhooks(till.gateways, {EventKind.ATTEMPT_UPDATED: unbookable}, "sandbox_a")
    for _ in range(8):
        till.clock.advance(timedelta(days=2))
        Chores(till.database, [chore]).turn()
    (stored,) = till.inbound()
    with till.database.begin() as tx, pytest.raises(Forbidden):
        inbound.replay(tx, till.person("ada", Role.REVIEWER), stored.id)
    with till.database.begin() as tx:
        inbound.replay(tx, till.person("olga", Role.OPERATOR), stored.id)
    assert till.apply() == 1
    assert till.inbound()[0].status == "applied"
    assert till.status(payment) == ("requires_capture", "")
    with till.database.begin() as tx, pytest.raises(inbound.WebhookApplied):
        inbound.replay(tx, till.person("olga", Role.OPERATOR), stored.id)


def test_a_webhook_about_a_payment_is_seen_by_its_merchant_alone_and_without_secrets(till: Till) -> None:
    tell(till)
    till.sandbox.stop()
    till.apply()
    with till.database.begin() as tx:
        create_merchant(tx, "Other", merchant_id="mer_other")
        mine = inbound.unapplied(tx, till.person("olga", Role.OPERATOR))
        theirs = inbound.unapplied(tx, replace(till.person("eve", Role.OPERATOR), merchant_id="mer_other"))
        assert [one.status for one in mine.rows] == ["retrying"]
        assert mine.rows[0].facts["type"] == mine.rows[0].webhook.type
        assert "client_secret" not in str(mine.rows[0].facts)
        assert list(theirs.rows) == []


def test_a_gateway_that_is_slow_to_answer_delays_no_other_gateways_webhooks(till: Till) -> None:
    tell(till)
    with till.database.begin() as tx:
        row = tx.session.scalars(webhooks.select(webhooks.InboundWebhook)).one()
        for number in range(8):
            copy = {column.name: getattr(row, column.name) for column in row.__table__.columns}
            tx.session.add(webhooks.InboundWebhook(**{**copy, "id": f"inw_{number}", "event_id": f"slow{number}"}))
        tx.session.add(
            webhooks.InboundWebhook(**{**copy, "id": "inw_b", "event_id": "b", "gateway": "sandbox_b"}),
        )
    till.sandbox.fault("timeout_lost", count=100)
    lanes = [webhooks.InboundWebhooks(till.gateways, webhooks.APPLIERS, name) for name in till.gateways.names]
    turns = [Thread(target=Chores(till.database, [lane]).turn) for lane in lanes]
    for turn in turns:
        turn.start()
    turns[1].join(1)
    done_first = (turns[0].is_alive(), turns[1].is_alive())
    for turn in turns:
        turn.join()
    assert done_first == (True, False)
