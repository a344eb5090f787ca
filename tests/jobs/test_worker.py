"""Worker processes that die, stop, or meet an instance that breaks everybody who takes it."""

import signal
import time

from sqlalchemy import text
from structlog.testing import capture_logs

from app.engine import inbox, store
from app.engine.saving import LONG_ENOUGH
from app.jobs.bell import SWEEP_SECONDS
from app.jobs.calls import Caller
from app.jobs.worker import RENEW_SECONDS
from app.kit.pulse import GAP_SECONDS
from app.payments import service
from app.payments.attempts import SEND_WITHIN_SECONDS
from tests.fixtures_sandbox import until
from tests.house import House
from tests.jobs.workers import Workers, working

SOON = 60  # for a process to start on a busy machine


def attempt_begun(house: House, payment_id: str) -> bool:
    return any(attempt.state == "begun" for attempt in house.attempts(payment_id))


def test_the_times_of_leases_keep_their_promises() -> None:
    lease = store.LEASE.total_seconds()
    assert lease + SWEEP_SECONDS < 10
    assert lease - RENEW_SECONDS > GAP_SECONDS
    # A lease may be as old as this when a call is prepared under it.
    assert LONG_ENOUGH.total_seconds() > SEND_WITHIN_SECONDS


def test_the_instances_of_a_killed_worker_go_on_with_another_within_ten_seconds(house: House, workers: Workers) -> None:
    house.a.fault("timeout_applied", "authorize")
    victim = workers.start()
    payment = house.pay()
    until(lambda: attempt_begun(house, payment), SOON)
    owner = house.instance(payment).lease_owner
    assert owner is not None
    with working(house):
        victim.kill()
        killed_at = time.monotonic()
        until(lambda: house.instance(payment).lease_owner != owner, 20)
        seconds = time.monotonic() - killed_at
        until(lambda: house.payment(payment).status == "succeeded", 30)
    assert seconds < 12, "10 and a little for a machine that is busy with other tests"
    assert [charge["captured"] for charge in house.charges()] == [1000]
    house.check_books()


def test_a_worker_told_to_stop_takes_nothing_new_books_its_calls_and_leaves_no_lease(
    house: House, workers: Workers
) -> None:
    house.a.fault("slow", "authorize")
    worker = workers.start()
    first = house.pay()
    until(lambda: attempt_begun(house, first), SOON)
    worker.send_signal(signal.SIGTERM)
    told_at = time.monotonic()
    time.sleep(0.2)
    second = house.pay()

    assert worker.wait(30) == 0
    assert time.monotonic() - told_at < 30
    assert house.attempts(first)[0].outcome == "approved"
    assert house.attempts(second) == []
    with house.database.begin() as tx:
        assert tx.execute(text("SELECT count(*) FROM instances WHERE lease_owner IS NOT NULL")).scalar_one() == 0
    house.run()
    assert [house.payment(payment).status for payment in (first, second)] == ["succeeded"] * 2
    house.check_books()


def test_an_instance_that_fails_every_time_is_parked_and_the_others_go_on(house: House) -> None:
    poisoned, well = house.pay(capture_method="manual"), house.pay(capture_method="manual")
    house.run()
    with house.database.begin() as tx:
        broken = {"id": house.instance(poisoned).id}
        tx.execute(text("UPDATE instances SET state = 'no state of ours' WHERE id = :id"), broken)
        for payment in (poisoned, well):
            service.request_capture(tx, house.shop, payment)
    with capture_logs() as lines:
        house.run()
        assert house.payment(well).status == "succeeded"
        for _ in range(inbox.PARK_AFTER):
            house.later(seconds=2)

    assert [line["event"] for line in lines].count("instance.failed") == inbox.PARK_AFTER
    assert house.instance(poisoned).status == "incident"
    (incident,) = house.incidents(poisoned)
    assert incident.kind == "parked"
    another = house.paid()
    assert house.payment(another).status == "succeeded"


def test_a_lane_has_a_cap_of_its_own() -> None:
    running, most = [], []

    class Slow:
        lane = "narrow"

        def call(self) -> None:
            running.append(1)
            most.append(len(running))
            time.sleep(0.05)
            running.pop()

        def finish(self, context: object, answer: object) -> None:
            raise NotImplementedError

    caller = Caller(8, lambda: None, {"narrow": 2})
    for number in range(8):
        caller.submit("ins_1", str(number), Slow())  # type: ignore[arg-type]
    until(lambda: len(most) == 8)
    caller.close()
    assert max(most) == 2
