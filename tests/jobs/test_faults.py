"""Calls that cannot be made, adapters that break, and answers nobody expects: no instance waits for ever in silence."""

import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app.engine import inbox
from app.installation import hold
from app.jobs.calls import Caller
from app.kit.http import Answer, HttpClient
from app.payments.attempts import Calling
from tests.fixtures_sandbox import until
from tests.full_disk import full_disk
from tests.house import House


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The system lets nobody start a thread for calls, until it is undone."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("call-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return monkeypatch


def test_a_call_that_no_thread_can_be_started_for_is_made_when_there_is_one(
    house: House, no_threads: pytest.MonkeyPatch
) -> None:
    payments = [house.pay() for _ in range(3)]
    for _ in range(2):
        house.loop.turn()
    assert house.charges() == []
    assert house.loop.idle
    no_threads.undo()

    house.later(seconds=11)
    assert [house.payment(one).status for one in payments] == ["succeeded"] * 3
    assert len(house.charges()) == 3
    house.check_books()


class Waiting:
    """Calls that end when they are let go."""

    lane = "narrow"

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def call(self) -> None:
        self.let_go.wait(10)

    def finish(self, context: object, answer: object) -> None:
        raise NotImplementedError


def test_a_lane_that_can_get_no_further_thread_makes_its_calls_on_those_it_has(no_threads: pytest.MonkeyPatch) -> None:
    caller, effect = Caller(8, lambda: None), Waiting()
    with no_threads.context() as given:
        given.undo()
        caller.submit("ins_1", "0", effect)  # type: ignore[arg-type]
    threads = threading.active_count()
    for number in range(1, 4):
        caller.submit("ins_1", str(number), effect)  # type: ignore[arg-type]
    effect.let_go.set()
    answers: list[str] = []
    until(lambda: answers.extend(one.node for one in caller.answers()) or len(answers) == 4)
    caller.close()
    assert sorted(answers) == ["0", "1", "2", "3"]
    assert threading.active_count() <= threads


@pytest.mark.parametrize("part", ["call", "finish"])
def test_an_adapter_that_breaks_every_time_is_shown_to_people(
    house: House, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Asking the gateway once more is no success that would begin the count of failures anew."""
    broken: list[int] = []

    def breaks(*_args: object) -> None:
        broken.append(1)
        raise RuntimeError("a fault of the adapter")

    with monkeypatch.context() as patched:
        patched.setattr(Calling, part, breaks)
        payment = house.pay()
        for _ in range(2 * inbox.PARK_AFTER):
            house.later(seconds=2)
    (incident,) = house.incidents(payment)
    assert incident.kind == "parked"
    # Booked alone, too, where it is `finish`.
    assert len(broken) == inbox.PARK_AFTER * (2 if part == "finish" else 1)

    with house.database.begin() as tx:
        inbox.retry_incident(tx, house.system, incident.id)
    house.run()
    assert house.payment(payment).status == "succeeded"
    assert house.instance(payment).failures == 0
    assert len(house.charges()) == 1
    house.check_books()


def test_an_answer_with_a_nul_and_a_card_number_in_it_is_booked_without_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = HttpClient.exchange

    def spoilt(client: HttpClient, *args: Any, **more: Any) -> Any:
        answer = exchange(client, *args, **more)
        if not isinstance(answer, Answer):
            return answer
        said = b'{"note": "4242424242424242.\\u0000",'
        return Answer(answer.status, answer.headers, answer.body.replace(b"{", said, 1))

    with monkeypatch.context() as patched:
        patched.setattr(HttpClient, "exchange", spoilt)
        payment = house.pay()
        house.run()
    assert house.payment(payment).status == "succeeded"
    assert {(attempt.raw or {})["note"] for attempt in house.attempts(payment)} == {"[redacted]."}
    house.check_books()


def test_what_a_gateway_says_of_a_decline_is_kept_short_and_without_card_numbers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = HttpClient.exchange

    def refused(client: HttpClient, method: str, *args: Any, **more: Any) -> Any:
        answer = exchange(client, method, *args, **more)
        if method != "POST":
            return answer
        said = b"The card 4242424242424242 is not taken. " + b"x" * 10_000
        return Answer(422, {}, b'{"error": {"code": "invalid_input", "message": "%s"}}' % said)

    with monkeypatch.context() as patched:
        patched.setattr(HttpClient, "exchange", refused)
        payment = house.pay()
        house.run()
    (attempt,) = house.attempts(payment)
    assert attempt.outcome == "declined"
    assert attempt.message.startswith("The card [redacted] is not taken. x")
    assert len(attempt.message) == 500
    assert "4242" not in str([line.facts for line in house.journal(payment)])


def test_an_answer_is_kept_while_the_database_is_away_though_nothing_may_be_sent(house: House) -> None:
    """A gateway that knows no keys could not be asked again, and nobody would ever know."""
    payment = house.pay()
    house.loop.turn()
    until(lambda: house.charges() != [])
    with house.database.begin() as tx:
        hold(tx, "It was restored")
    with full_disk(house.database, "UPDATE ON attempts"):
        for _ in range(3):
            with suppress(OperationalError):
                house.loop.turn()
            time.sleep(0.1)
    house.loop.turn()
    assert house.outcomes(payment) == [("authorize", "sandbox_a", "approved")]
