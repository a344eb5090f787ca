"""The chore that keeps the tables in use small: old history to the archive, and messages that have served away."""

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic

from app.engine import archive
from app.kit.database import Tx

EVERY_SECONDS = 60.0
#: Rows of one kind in one transaction: some ten milliseconds of work, so nobody waits for it.
SLICE = 200


class Archive:
    """Does its work where others only take theirs: it needs nobody outside the database."""

    name = "archive"
    channels: Sequence[str] = ()

    def __init__(self, after: timedelta) -> None:
        self._after = after
        self._next = 0.0

    def take(self, tx: Tx, limit: int) -> Sequence[None]:  # noqa: ARG002 - a slice of its own size
        if monotonic() < self._next:
            return []
        moved = archive.fold(tx, self._after, SLICE)
        forgotten = archive.forget_messages(tx, SLICE)
        if max(moved, forgotten) < SLICE:
            self._next = monotonic() + EVERY_SECONDS
        return []

    def do(self, job: None) -> None:
        """Nothing is left to do outside the transaction."""

    def book(self, tx: Tx, job: None, answer: None) -> None:
        """Nothing to book."""
