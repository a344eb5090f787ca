from datetime import timedelta

from sqlalchemy import update

from app.engine.models import Instance
from app.payments.orphans import OrphanedAttempts
from tests.till import Till, pass_time


def end_instances(till: Till) -> None:
    with till.database.begin() as tx:
        tx.execute(update(Instance).values(status="canceled", ended_at=tx.now()))


def sweep(till: Till) -> int:
    chore = OrphanedAttempts(till.gateways)
    with till.database.begin() as tx:
        jobs = chore.take(tx, 10)
    for job in jobs:
        answer = chore.do(job)
        with till.database.begin() as tx:
            chore.book(tx, job, answer)
    return len(jobs)


def test_a_charge_whose_flow_was_canceled_under_way_is_found_and_shown(till: Till) -> None:
    payment = till.create()
    effect = till.begin("payment.authorize", payment, gateway="sandbox_a")
    effect.call()  # type: ignore[union-attr]
    end_instances(till)
    assert sweep(till) == 0
    pass_time(till, minutes=2)
    assert sweep(till) == 1
    assert till.status(payment) == ("requires_capture", "")
    assert [incident.kind for incident in till.incidents()] == ["orphaned_hold"]
    assert till.differences() == []
    pass_time(till, days=1)
    assert sweep(till) == 0


def test_a_call_that_was_never_sent_is_unknown_first_and_absent_in_the_end(till: Till) -> None:
    payment = till.create()
    till.begin("payment.authorize", payment, gateway="sandbox_a")
    end_instances(till)
    outcomes = []
    for _ in range(3):
        pass_time(till, minutes=10)
        sweep(till)
        outcomes.append(till.attempt(payment, "authorize").outcome)
    assert outcomes == ["unknown", "not_sent", "not_sent"]
    assert till.incidents() == []


def test_attempts_of_running_flows_are_left_to_them(till: Till) -> None:
    payment = till.create("pm_card_timeout_applied")
    till.fails("payment.authorize", payment, gateway="sandbox_a")
    pass_time(till, days=1)
    assert sweep(till) == 0


def test_a_gateway_that_cannot_be_asked_is_asked_less_and_less_often(till: Till) -> None:
    payment = till.create("pm_card_timeout_applied")
    till.fails("payment.authorize", payment, gateway="sandbox_a")
    end_instances(till)
    till.sandbox.stop()
    swept = []
    for _ in range(12):
        till.clock.advance(timedelta(minutes=1, seconds=1))
        swept.append(sweep(till))
    assert swept == [1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]
    assert till.attempt(payment, "authorize").outcome == "unknown"
