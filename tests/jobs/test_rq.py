"""Woken by RQ: hints carry nothing, may be lost, repeated or refused, and Redis may do what it likes."""

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import psutil
import pytest
from prometheus_client import CollectorRegistry
from redis import Redis
from rq import Callback, Queue, Worker
from rq.job import JobStatus
from rq.serializers import JSONSerializer

from app.bootstrap import web_app
from app.jobs.bell import Bell
from app.jobs.rq_waker import DRAIN, QUEUE, RqWaker
from app.kit.clock import ShiftedClock
from app.kit.embedded import EmbeddedRedis
from tests.fixtures_sandbox import until
from tests.house import House
from tests.jobs.workers import Workers, working
from tests.plugins.servers import server_folder

NOWHERE = "redis://127.0.0.1:1/0"

#: What `remember` was called with; nobody may call it.
called: list[tuple[object, ...]] = []


def remember(*arguments: object) -> None:
    called.append(arguments)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def own_redis() -> Iterator[EmbeddedRedis]:
    """One that may be stopped and started."""
    with server_folder() as folder:
        server = EmbeddedRedis(folder)
        server.start()
        yield server
        server.stop()


def queue(redis: Redis) -> Queue:
    return Queue(QUEUE, connection=redis, serializer=JSONSerializer)


def listening(waker: RqWaker) -> tuple[Bell, Thread]:
    bell = Bell()
    thread = Thread(target=waker.listen, args=(bell,))
    thread.start()
    return bell, thread


def paid(house: House, payments: list[str]) -> bool:
    return all(house.payment(payment).status == "succeeded" for payment in payments)


def test_hints_of_one_moment_are_one_job_without_data(redis_url: str, redis: Redis) -> None:
    clock = ShiftedClock()
    waker = RqWaker(redis_url, clock)
    assert [waker.hint() for _ in range(5)].count(True) in (1, 2)  # the moment may have ended meanwhile
    (job, *_) = queue(redis).jobs
    assert (job.func_name, job.args, job.kwargs) == ("app.jobs.rq_waker.drain", [], {})
    assert 0 < redis.ttl(job.key) <= 30


def test_a_job_whose_worker_died_stands_in_the_way_for_seconds_only(redis_url: str, redis: Redis) -> None:
    clock = ShiftedClock()
    waker = RqWaker(redis_url, clock)
    assert waker.hint()
    clock.shift = type(clock.shift)(seconds=6)
    assert waker.hint()


def test_a_hint_rings_and_its_job_is_gone_afterwards(redis_url: str, redis: Redis) -> None:
    waker = RqWaker(redis_url)
    bell, thread = listening(waker)
    part = bell.part(["anything"])
    part.clear()
    bell.rested.set()
    waker.wake()
    assert part.wait(10)
    bell.rested.set()
    until(lambda: not redis.keys("rq:job:*"))
    assert queue(redis).failed_job_registry.get_job_ids() == []
    bell.stop()
    thread.join()


def test_no_other_function_is_run_for_whoever_can_write_to_redis(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    bell, thread = listening(RqWaker(redis_url))
    target = tmp_path / "made"
    queue(redis).enqueue("os.mkdir", str(target), job_id="evil")
    until(lambda: not redis.exists("rq:job:evil"))
    assert not target.exists()
    bell.stop()
    thread.join()


@pytest.mark.parametrize("arguments", [(), ("too many",)], ids=["done", "failed"])
def test_nothing_is_called_before_or_after_a_hint(redis_url: str, redis: Redis, arguments: tuple[str, ...]) -> None:
    bell, thread = listening(RqWaker(redis_url))

    def ended() -> bool:
        bell.rested.set()
        return bool(redis.hexists("rq:job:evil", "ended_at")) or not redis.exists("rq:job:evil")

    queue(redis).enqueue_call(
        DRAIN, arguments, job_id="evil", on_success=Callback(remember), on_failure=Callback(remember), failure_ttl=1
    )
    until(ended)
    assert called == []
    bell.stop()
    thread.join()


def test_a_job_that_was_left_behind_has_nothing_called_either(redis_url: str, redis: Redis) -> None:
    left = queue(redis).enqueue_call(DRAIN, job_id="evil", on_failure=Callback(remember))
    redis.delete(f"rq:queue:{QUEUE}")
    left.set_status(JobStatus.STARTED)
    redis.zadd(f"rq:wip:{QUEUE}", {"evil:1": 1})
    bell, thread = listening(RqWaker(redis_url))
    until(lambda: not redis.exists(f"rq:wip:{QUEUE}"))
    assert called == []
    bell.stop()
    thread.join()


@pytest.mark.parametrize(
    "damage",
    [{"data": b"\x80\x04garbage"}, {"meta": b"not json"}, {"created_at": b"yesterday"}, {"timeout": b"soon"}],
    ids=lambda damage: next(iter(damage)),
)
def test_a_job_that_cannot_be_read_stops_no_hint_after_it(
    redis_url: str, redis: Redis, damage: dict[str, bytes]
) -> None:
    queue(redis).enqueue_call(DRAIN, job_id="evil")
    redis.hset("rq:job:evil", mapping=damage)
    waker = RqWaker(redis_url)
    bell, thread = listening(waker)
    part = bell.part(["anything"])
    until(lambda: not redis.llen(f"rq:queue:{QUEUE}"))

    def heard() -> bool:
        bell.rested.set()
        return part.is_set()

    for _ in range(2):  # the first ring may still be for the one that cannot be read
        part.clear()
        waker.wake()
        until(heard)
    bell.stop()
    thread.join()


def test_a_payment_goes_through_a_worker_process_on_rq(
    house: House, workers: Workers, redis_url: str, redis: Redis
) -> None:
    workers.start(redis_url)
    until(lambda: Worker.all(connection=redis), 60)
    house.database.on_notify(RqWaker(redis_url).wake)
    payment = house.pay()
    until(lambda: paid(house, [payment]), 30)

    # The job ends when a turn found nothing more to do, a moment after the payment is paid.
    until(lambda: int(redis.hget(Worker.all(connection=redis)[0].key, "successful_job_count") or 0) >= 1, 30)
    calls = workers.lines("gateway.called")
    assert [call["operation"] for call in calls] == ["authorize", "capture"]
    assert [call["attempt"] for call in calls] == [attempt.id for attempt in house.attempts(payment)]
    house.check_books()


def test_two_worker_processes_share_the_work_and_one_may_be_killed(
    house: House, workers: Workers, redis_url: str, redis: Redis
) -> None:
    victim, _ = workers.start(redis_url), workers.start(redis_url)
    until(lambda: Worker.count(connection=redis) == 2, 60)
    house.database.on_notify(RqWaker(redis_url).wake)
    payments = [house.pay() for _ in range(12)]
    victim.kill()
    payments += [house.pay() for _ in range(3)]
    until(lambda: paid(house, payments), 60)
    assert sorted(charge["captured"] for charge in house.charges()) == [1000] * 15
    house.check_books()


def test_repeated_and_foreign_hints_have_no_effect_without_a_due_row(
    house: House, redis_url: str, redis: Redis
) -> None:
    house.database.on_notify(RqWaker(redis_url).wake)
    payment = house.pay()
    for number in range(20):
        queue(redis).enqueue("app.jobs.rq_waker.drain", job_id=f"again-{number}", result_ttl=0)
    with working(house, redis_url):
        until(lambda: paid(house, [payment]) and not redis.keys("rq:job:*"), 30)
    assert [charge["captured"] for charge in house.charges()] == [1000]


def test_flushing_redis_under_load_loses_nothing(house: House, redis_url: str, redis: Redis) -> None:
    house.database.on_notify(RqWaker(redis_url).wake)
    payments = []
    with working(house, redis_url):
        for _ in range(10):
            payments.append(house.pay())
            redis.flushall()
        until(lambda: paid(house, payments), 60)
    assert sorted(charge["captured"] for charge in house.charges()) == [1000] * 10
    house.check_books()


def test_work_goes_on_while_redis_is_gone_and_hints_come_back_with_it(house: House, own_redis: EmbeddedRedis) -> None:
    url = own_redis.url()
    waker = RqWaker(url)
    house.database.on_notify(waker.wake)
    with working(house, url):
        first = house.pay()
        until(lambda: paid(house, [first]), 30)
        own_redis.stop()
        second = house.pay()
        assert "Redis takes no hints" in waker.trouble()
        until(lambda: paid(house, [second]), 30)
        own_redis.start()
        assert waker.trouble() == ""
        with Redis.from_url(url) as client:
            until(lambda: Worker.all(connection=client), 30)
        third = house.pay()
        until(lambda: paid(house, [third]), 30)
    house.check_books()


def test_a_redis_that_does_not_answer_costs_a_request_nothing(house: House, own_redis: EmbeddedRedis) -> None:
    waker = RqWaker(own_redis.url())
    house.database.on_notify(waker.wake)
    (server,) = [child for child in psutil.Process().children(recursive=True) if _is_redis(child, own_redis)]
    server.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        for _ in range(20):
            waker.wake()
        assert time.monotonic() - begun < 0.5
        assert "TimeoutError" in waker.trouble()
        payment = house.pay()
        house.run()
        assert paid(house, [payment])
    finally:
        server.send_signal(signal.SIGCONT)


def test_a_read_only_redis_is_told(redis_url: str, redis: Redis) -> None:
    redis.replicaof("127.0.0.1", "1")
    try:
        assert "ReadOnlyError" in RqWaker(redis_url).trouble()
    finally:
        redis.replicaof("NO", "ONE")


def test_health_is_degraded_and_readiness_is_the_database_s(house: House) -> None:
    settings = house.wired.settings.model_copy(update={"redis_url": NOWHERE})
    app = web_app(replace(house.wired, settings=settings, metrics=CollectorRegistry()))
    with app.test_client() as client:
        health = client.get("/healthz")
        assert (health.status_code, health.get_json()["status"]) == (200, "degraded")
        assert "Redis" in health.get_json()["reasons"][0]
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/payments").status_code == 401


def _is_redis(process: psutil.Process, server: EmbeddedRedis) -> bool:
    command = " ".join(process.cmdline())
    return process.name().startswith("redis") and str(server.data_dir) in command
