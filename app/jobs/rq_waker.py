"""RQ as the waker: the only job is `drain`, carries no data, and makes one worker anywhere look for due work.

Hints leave on a thread of their own, so a Redis that is slow, read-only or gone costs no request anything. The job's
id names a few seconds of time: within them a second hint is refused as a duplicate, and after them a job whose worker
died stands in nobody's way.
"""

import logging
import threading
import time
from contextvars import ContextVar
from typing import Any, Final

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import DuplicateJobError, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty

from app.jobs.bell import SWEEP_SECONDS, Bell
from app.kit.clock import Clock, SystemClock

log = structlog.get_logger()

QUEUE: Final = "sluice"
DRAIN: Final = "app.jobs.rq_waker.drain"
DRAIN_SECONDS: Final = 20.0
#: How long one hint stands for all others of the moment.
SLOT_SECONDS: Final = 5
#: A hint nobody took by then is of no use: everybody has looked by himself.
HINT_LIVES_SECONDS: Final = 30
ANSWER_SECONDS: Final = 1.0
#: An idle RQ worker asks again this often, which is also how long its farewell may take.
LISTEN_SECONDS: Final = 2
#: Between two hints of one process, so that a burst of commits is one hint.
PAUSE_SECONDS: Final = 0.005

_bell: ContextVar[Bell | None] = ContextVar("bell", default=None)


def drain() -> bool:
    """The job: let this process's loop run until it finds nothing more; False when it still finds something."""
    bell = _bell.get()
    assert bell is not None, "drain runs inside a Sluice worker"
    bell.rested.clear()
    bell.ring()
    return bell.rested.wait(DRAIN_SECONDS)


class RqWaker:
    """`listen` makes the thread it runs on an RQ worker. RQ's loss of jobs in crashes is harmless: see the module."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._url = url
        self._clock = clock or SystemClock()
        self._client = Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
        self._queue = Queue(QUEUE, connection=self._client, serializer=JSONSerializer)
        self._wanted = threading.Event()
        self._start = threading.Lock()
        self._sender: threading.Thread | None = None

    def wake(self, channel: str = "") -> None:  # noqa: ARG002 - a hint says nothing
        self._wanted.set()
        if self._sender is None:
            with self._start:
                if self._sender is None:
                    self._sender = threading.Thread(target=self._send, name="hints", daemon=True)
                    self._sender.start()

    def hint(self) -> bool:
        """Put the drain job into the queue; False when one already stands for this moment. Raises RedisError."""
        slot = f"drain-{int(self._clock.now().timestamp()) // SLOT_SECONDS}"
        if Job.exists(slot, connection=self._client):
            return False  # asked first, since building a job that is refused costs ten times as much
        try:
            self._queue.enqueue_call(
                DRAIN,
                job_id=slot,
                unique=True,
                timeout=-1,  # it ends by itself
                ttl=HINT_LIVES_SECONDS,
                result_ttl=0,
                failure_ttl=HINT_LIVES_SECONDS,
                description="drain",
            )
        except DuplicateJobError:
            return False
        return True

    def trouble(self) -> str:
        """Asked with a write, since a read-only or full Redis answers every question and takes no hint."""
        try:
            self._client.set(f"{QUEUE}:probe", 1, ex=HINT_LIVES_SECONDS)
        except RedisError as error:
            return f"Redis takes no hints, so workers look for work once a second: {type(error).__name__}"
        return ""

    def listen(self, bell: Bell) -> None:
        logging.getLogger("rq").setLevel(logging.CRITICAL)
        _bell.set(bell)
        while not bell.stopped.is_set():
            # No socket timeout: RQ sets one that is longer than its blocking question.
            with Redis.from_url(self._url, socket_connect_timeout=ANSWER_SECONDS) as connection:
                try:
                    Drainer(connection, bell, self).work(logging_level="CRITICAL")
                except RedisError as error:
                    log.warning("hints.unheard", error=type(error).__name__)
            bell.stopped.wait(SWEEP_SECONDS)

    def _send(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self.hint()
            except RedisError as error:
                log.warning("hint.not_sent", error=type(error).__name__)
                time.sleep(SWEEP_SECONDS)
            time.sleep(PAUSE_SECONDS)


class Hint(Job):
    """A job as it is taken here: what it asks to be called before or after it is nobody's business."""

    @property
    def success_callback(self) -> None:
        return None

    @property
    def failure_callback(self) -> None:
        return None

    @property
    def stopped_callback(self) -> None:
        return None


class Drainer(SimpleWorker):
    """RQ's worker without forks and signals: it runs on a thread beside the loop, and takes no job but `drain`."""

    death_penalty_class = TimerDeathPenalty
    max_connection_wait_time = SWEEP_SECONDS

    def __init__(self, connection: Redis, bell: Bell, waker: RqWaker) -> None:
        super().__init__(
            [QUEUE],
            connection=connection,
            job_class=Hint,
            serializer=JSONSerializer,
            log_job_description=False,
            worker_ttl=LISTEN_SECONDS + 15,  # RQ asks for 15 seconds less than this
        )
        self._bell = bell
        self._waker = waker

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ asks here before and after each question and each job; it has no other moment to hear that we end."""
        if self._bell.stopped.is_set() and pipeline is None:
            raise StopRequested
        super().heartbeat(timeout, pipeline)

    def _install_signal_handlers(self) -> None:
        """Signals belong to the process, which tells the bell."""

    def subscribe(self) -> None:
        """Commands over Redis are not taken: whoever reaches it must not be able to stop workers."""

    def unsubscribe(self) -> None:
        """There is nothing to leave."""

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        if job.func_name != DRAIN:
            log.error("hint.refused", function=job.func_name)
            job.delete()
            return False
        done: Any = super().perform_job(job, queue, execution)
        # Until this moment new hints were refused because of this job. They told the truth, so look once more.
        self._bell.ring()
        if not self._bell.rested.is_set():
            self._waker.wake()
        return bool(done)
