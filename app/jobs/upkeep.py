"""The chore that removes what nobody needs any more, now and then, by one worker at a time."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text

from app.kit.database import Tx

log = structlog.get_logger()

EVERY = timedelta(minutes=10)

_MINE = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")

Purge = Callable[[Tx], None]


class Upkeep:
    """`purges` by name. Each runs in a transaction of its own, under a lock that one worker has."""

    name = "upkeep"
    channels: Sequence[str] = ()

    def __init__(self, purges: Mapping[str, Purge], every: timedelta = EVERY) -> None:
        self._purges = purges
        self._every = every
        self._next: datetime | None = None

    def take(self, tx: Tx, limit: int) -> Sequence[str]:  # noqa: ARG002 - there are few, and all are due together
        if self._next is not None and tx.now() < self._next:
            return ()
        self._next = tx.now() + self._every
        return tuple(self._purges)

    def do(self, job: str) -> None:
        """Nothing happens outside of the transaction."""

    def book(self, tx: Tx, job: str, answer: None) -> None:  # noqa: ARG002 - there is none
        if tx.value(_MINE, {"name": f"upkeep:{job}"}):
            self._purges[job](tx)
            log.debug("upkeep.done", purge=job)
