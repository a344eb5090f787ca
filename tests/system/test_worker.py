"""The worker as threads of one process: what holds up what."""

from collections.abc import Callable, Sequence
from threading import Event, Thread

from prometheus_client import CollectorRegistry

from app.engine.inbox import CHANNEL
from app.jobs.bell import Bell
from app.jobs.chores import Chores
from app.jobs.long_jobs import LongJobs
from app.jobs.metrics import WorkerMetrics
from app.jobs.waker import NotifyWaker
from app.jobs.worker import Parts, Worker
from app.kit.database import Tx
from tests.house import House


class Due:
    """A chore that is due as long as `when` says so, and does `work`."""

    name = "due"
    channels: Sequence[str] = ()

    def __init__(self, when: Callable[[], bool], work: Callable[[], object]) -> None:
        self._when = when
        self._work = work

    def take(self, tx: Tx, limit: int) -> Sequence[None]:  # noqa: ARG002 - a chore's shape
        return [None] if self._when() else []

    def do(self, job: None) -> None:  # noqa: ARG002 - a chore's shape
        self._work()

    def book(self, tx: Tx, job: None, answer: None) -> None:
        """There is nothing to book."""


def test_a_receiver_that_hangs_holds_up_no_other_kind_of_work(house: House) -> None:
    hanging, freed, done = Event(), Event(), Event()

    def hang() -> None:
        hanging.set()
        freed.wait(60)

    deaf = Due(lambda: not hanging.is_set(), hang)
    quick = Due(lambda: hanging.is_set() and not done.is_set(), done.set)
    chores = [Chores(house.database, [one]) for one in (deaf, quick)]
    bell = Bell()
    parts = Parts(house.another_loop("worker-2"), chores, LongJobs(house.database, [], "worker-2", bell.stopped))
    waker, metrics = NotifyWaker(house.database.url), WorkerMetrics(CollectorRegistry())
    worker = Worker(parts, waker, bell, bell.part([CHANNEL]), house.wired.pulse, metrics)
    running = Thread(target=worker.run)
    running.start()
    try:
        assert done.wait(30)
    finally:
        freed.set()
        worker.stop()
        running.join(30)
