"""A worker process: the loop, the chores, and what wakes them.

PostgreSQL's LISTEN/NOTIFY wakes at once; a sweep every second finds whatever a lost hint would have told.
"""

import threading
from collections.abc import Sequence
from functools import partial
from time import monotonic

import psycopg
import structlog

from app.jobs.chores import Chores
from app.jobs.loop import Loop
from app.kit.pulse import Pulse

log = structlog.get_logger()

CHANNELS = ("sluice_work", "sluice_events")
SWEEP_SECONDS = 1.0
RENEW_SECONDS = 3.0
STOP_SECONDS = 25.0


class Worker:
    """Each of `chores` has a thread of its own, so that a receiver that hangs holds up no other kind of work."""

    def __init__(self, url: str, loop: Loop, chores: Sequence[Chores], wake: threading.Event, pulse: Pulse) -> None:
        self._url = url
        self._pulse = pulse
        self._loop = loop
        self._chores = chores
        self._wake = wake
        self._stop = threading.Event()
        self._stopped = threading.Event()
        self._chores_wake = [threading.Event() for _ in chores]

    def run(self) -> None:
        """Work until `stop`; then take nothing new, wait for the calls under way, and return."""
        duties = [self._listen, self._renew]
        duties += [partial(self._run, *each) for each in zip(self._chores, self._chores_wake, strict=True)]
        for duty in duties:
            threading.Thread(target=duty, daemon=True).start()
        log.info("worker.started")
        while not self._stop.is_set():
            self._turn(claim=True)
        deadline = monotonic() + STOP_SECONDS
        while not self._loop.idle and monotonic() < deadline:
            self._turn(claim=False)
        self._stopped.set()
        log.info("worker.stopped", idle=self._loop.idle)

    def stop(self) -> None:
        self._stop.set()
        self._wake_all()

    def _wake_all(self) -> None:
        for wake in (self._wake, *self._chores_wake):
            wake.set()

    def _turn(self, *, claim: bool) -> None:
        self._wake.clear()
        try:
            busy = self._loop.turn(claim=claim)
        except Exception:
            # The database is away or refused us: nothing was sent that is not written down, so wait and look again.
            log.exception("turn.failed")
            busy = 0
            self._stop.wait(SWEEP_SECONDS)
        if not busy:
            self._wake.wait(SWEEP_SECONDS if claim else 0.1)

    def _run(self, chores: Chores, wake: threading.Event) -> None:
        while not self._stop.is_set():
            wake.clear()
            try:
                busy = chores.turn()
            except Exception:
                log.exception("chores.failed")
                busy = 0
                self._stop.wait(SWEEP_SECONDS)
            if not busy:
                wake.wait(SWEEP_SECONDS)

    def _renew(self) -> None:
        while not self._stopped.wait(RENEW_SECONDS):
            asked_at = monotonic()
            try:
                self._loop.renew()
                self._pulse.beat(asked_at)
            except Exception:
                log.exception("renew.failed")

    def _listen(self) -> None:
        url = self._url.replace("postgresql+psycopg://", "postgresql://", 1)
        while not self._stop.is_set():
            try:
                with psycopg.connect(url, autocommit=True) as connection:
                    for channel in CHANNELS:
                        connection.execute(f"LISTEN {channel}")
                    while not self._stop.is_set():
                        for _ in connection.notifies(timeout=SWEEP_SECONDS, stop_after=1):
                            self._wake_all()
            except psycopg.Error:
                log.warning("listen.failed")
                self._stop.wait(SWEEP_SECONDS)
