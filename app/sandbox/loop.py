"""A background thread that does what is due and sleeps until the next thing is, or until it is woken."""

import logging
from collections.abc import Callable
from threading import Event, Thread

logger = logging.getLogger(__name__)
_AFTER_FAILURE_SECONDS = 1.0


class Loop:
    """`step` does everything that is due and returns the seconds until it wants to be called again."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self._step = step
        self._woken = Event()
        self._closing = False
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self._closing = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            try:
                seconds = self._step()
            except Exception:
                # The loop outlives a bad step: the rows are still there and the next step meets them again.
                logger.exception("%s failed", self._thread.name)
                seconds = _AFTER_FAILURE_SECONDS
            self._woken.wait(seconds)
            self._woken.clear()
