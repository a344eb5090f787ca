"""How workers are woken: hints out by whoever made work, hints in to the worker's bell.

There are two ways, LISTEN/NOTIFY and RQ, and one rule: the rows are the truth. A hint that is late, lost or repeated
changes nothing but the time until a worker looks.
"""

from typing import Protocol

import psycopg
import structlog

from app.engine.inbox import CHANNEL as WORK
from app.engine.migrate import CHANNEL as MOVES
from app.events.outbox import CHANNEL as EVENTS
from app.jobs.bell import SWEEP_SECONDS, Bell
from app.jobs.long_jobs import CHANNEL as LONG_JOBS
from app.kit.database import PATIENCE
from app.kit.patience import connect
from app.payments.webhooks import CHANNEL as INBOUND

log = structlog.get_logger()

CHANNELS = (WORK, MOVES, EVENTS, INBOUND, LONG_JOBS)


class Waker(Protocol):
    def wake(self, channel: str = "") -> None:
        """Hint that something is due. It neither fails nor makes the caller wait."""
        ...

    def listen(self, bell: Bell) -> None:
        """Ring the bell for every hint, until the bell is stopped; outages are waited out."""
        ...

    def trouble(self) -> str:
        """Why hints do not arrive at the moment; "" when they do."""
        ...


class NotifyWaker:
    """PostgreSQL's own: `Tx.notify` is the hint and leaves with the commit, so there is nothing to send afterwards."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)

    def wake(self, channel: str = "") -> None:
        """Nothing: the commit has told it."""

    def trouble(self) -> str:
        return ""

    def listen(self, bell: Bell) -> None:
        while not bell.stopped.is_set():
            try:
                with connect(self._url, PATIENCE, autocommit=True) as connection:
                    for channel in CHANNELS:
                        connection.execute(f"LISTEN {channel}")
                    # Whatever was told while nobody listened.
                    bell.ring()
                    while not bell.stopped.is_set():
                        for hint in connection.notifies(timeout=SWEEP_SECONDS, stop_after=1):
                            bell.ring(hint.channel)
            except psycopg.Error:
                log.warning("listen.failed")
                bell.stopped.wait(SWEEP_SECONDS)
