"""Due work that is not an instance: inbound webhooks to apply, outbound deliveries to send.

Every chore has the same three parts as a gateway call: take what is due in one transaction, do it with none open,
book it in another. A worker that dies in between leaves rows that become due again.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Protocol

import structlog

from app.installation import Sending
from app.kit.crashpoint import Point, crashpoint
from app.kit.database import Database, Tx

log = structlog.get_logger()

BATCH = 20


class Chore(Protocol):
    """One kind of due work. A job that was taken becomes due again by itself, should its worker die.

    `channels` tell that there may be something to do; a chore without any looks for it each second, as they all do.
    """

    name: str
    channels: Sequence[str]

    def take(self, tx: Tx, limit: int) -> Sequence[Any]: ...
    def do(self, job: Any) -> Any: ...
    def book(self, tx: Tx, job: Any, answer: Any) -> None: ...


class WhileSending:
    """A chore that takes nothing while nothing may be sent."""

    def __init__(self, chore: Chore, sending: Sending) -> None:
        self.name = chore.name
        self.channels = chore.channels
        self._chore = chore
        self._sending = sending

    def take(self, tx: Tx, limit: int) -> Sequence[Any]:
        return [] if self._sending.held(tx) else self._chore.take(tx, limit)

    def do(self, job: Any) -> Any:
        return self._chore.do(job)

    def book(self, tx: Tx, job: Any, answer: Any) -> None:
        self._chore.book(tx, job, answer)


class Chores:
    """Runs chores on `pool`, by default a few threads of its own; a turn is over when all its jobs are done."""

    def __init__(self, database: Database, chores: list[Chore], pool: Executor | None = None) -> None:
        self.channels = [channel for chore in chores for channel in chore.channels]
        self._database = database
        self._chores = chores
        self._pool = pool or ThreadPoolExecutor(4, thread_name_prefix="chore")

    def turn(self) -> int:
        """Take what is due of every kind and see it through; how many jobs were done."""
        jobs: list[tuple[Chore, Any]] = []
        for chore in self._chores:
            try:
                with self._database.begin() as tx:
                    jobs += [(chore, job) for job in chore.take(tx, BATCH)]
            except Exception:
                # The other kinds go on; this one is tried again at the next sweep.
                log.exception("chore.not_taken", chore=chore.name)
        list(self._pool.map(lambda pair: self._see_through(*pair), jobs))
        return len(jobs)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _see_through(self, chore: Chore, job: Any) -> None:
        try:
            answer = chore.do(job)
            crashpoint(Point.CHORE_DONE)
            with self._database.begin() as tx:
                chore.book(tx, job, answer)
        except Exception:
            log.exception("chore.failed", chore=chore.name)
