"""Seats for requests that wait: a waiting request holds a thread, and some must stay free for those that do not."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore


class Seats:
    """At most `count` requests of this process wait at a time; nobody queues for a seat."""

    def __init__(self, count: int) -> None:
        self._free = BoundedSemaphore(count)

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Whether there was a seat; it is free again when the block ends."""
        seated = self._free.acquire(blocking=False)
        try:
            yield seated
        finally:
            if seated:
                self._free.release()
