"""A worker process: the loop, the chores, long jobs, and what wakes them.

A waker's hints wake at once; every part also looks by itself each second, so whatever a lost hint would have told
costs that second. All state is in the database: a worker that ends badly leaves leases that run out.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

import structlog

from app.jobs.bell import SWEEP_SECONDS, Bell, Part
from app.jobs.chores import Chores
from app.jobs.long_jobs import CHANNEL as LONG_JOBS
from app.jobs.long_jobs import LongJobs
from app.jobs.loop import Loop
from app.jobs.metrics import WorkerMetrics
from app.jobs.waker import Waker
from app.kit.pulse import Pulse

log = structlog.get_logger()

RENEW_SECONDS = 3.0
#: Hints that come within this time are one to the parts beside the loop.
GATHER_SECONDS = 0.2
#: How long the loop rests at most, so that what becomes ready meanwhile is one turn.
REST_SECONDS = 0.008
#: For what is under way when the worker is told to stop; with the way out, it has ended within 30 seconds.
STOP_SECONDS = 27.0


@dataclass(frozen=True)
class Parts:
    """What a worker runs. Each of `chores` has a thread, so a receiver that hangs holds up no other kind of work."""

    loop: Loop
    chores: Sequence[Chores]
    long_jobs: LongJobs


class Worker:
    """`wake` is the loop's own event: answers of gateways set it, too."""

    def __init__(
        self, parts: Parts, waker: Waker, bell: Bell, wake: Part, pulse: Pulse, metrics: WorkerMetrics
    ) -> None:
        self._loop = parts.loop
        self._chores = parts.chores
        self._long_jobs = parts.long_jobs
        self._waker = waker
        self._bell = bell
        self._wake = wake
        self._pulse = pulse
        self._metrics = metrics
        self._claim_by = 0.0
        self._finished = threading.Event()

    def run(self) -> bool:
        """Work until `stop`; then take nothing new, wait for the calls under way, book them, and return.

        False says that something was still under way after STOP_SECONDS. What it is about is on disk: whoever takes
        it over finds out what became of it.
        """
        duties: list[tuple[str, Callable[[], None]]] = [
            ("listen", partial(self._waker.listen, self._bell)),
            ("long-jobs", partial(self._repeat, self._long_jobs.turn, self._bell.part([LONG_JOBS]))),
        ]
        for number, chores in enumerate(self._chores, start=1):
            duty = partial(self._repeat, chores.turn, self._bell.part(chores.channels))
            duties.append((f"chores-{number}", duty))
        parts = [threading.Thread(target=target, name=name, daemon=True) for name, target in duties]
        renewing = threading.Thread(target=self._renew, name="renew", daemon=True)
        for thread in (renewing, *parts):
            thread.start()
        log.info("worker.started")
        while not self._bell.stopped.is_set():
            self._turn(may_claim=True)
        deadline = monotonic() + STOP_SECONDS
        while not self._loop.idle and monotonic() < deadline:
            self._turn(may_claim=False)
        for thread in parts:
            thread.join(max(0.0, deadline - monotonic()))
        self._finished.set()
        idle = self._loop.idle and not any(thread.is_alive() for thread in parts)
        log.info("worker.stopped", idle=idle)
        return idle

    def stop(self) -> None:
        self._bell.stop()

    def _turn(self, *, may_claim: bool) -> None:
        """One look at what is due. Nobody asks for it where only a gateway's answer woke us: that tells of no more."""
        begun = monotonic()
        rung = self._wake.heard()
        claim = may_claim and (rung or self._loop.crowded or begun >= self._claim_by)
        if claim:
            self._claim_by = begun + SWEEP_SECONDS
        try:
            touched = self._loop.turn(claim=claim)
        except Exception:
            # The database is away or refused us: nothing was sent that is not written down, so wait and look again.
            log.exception("turn.failed")
            self._bell.rested.set()
            self._bell.stopped.wait(SWEEP_SECONDS)
            return
        self._metrics.took_over(self._loop.taken_over)
        if touched:
            self._metrics.turned(touched, monotonic() - begun)
        if claim and self._loop.crowded:
            # More is due than we took: let the others have some of it.
            self._waker.wake()
            return
        # What came since the claim has rung.
        self._bell.rested.set()
        if touched > 1:
            # A turn costs the same statements for one instance as for many, and where two were ready others will be.
            self._bell.stopped.wait(min(monotonic() - begun, REST_SECONDS))
        self._wake.wait(max(0.0, self._claim_by - monotonic()) if may_claim else 0.1)

    def _repeat(self, turn: Callable[[], int], wake: threading.Event) -> None:
        while not self._bell.stopped.is_set():
            wake.clear()
            try:
                busy = turn()
            except Exception:
                log.exception("part.failed", part=threading.current_thread().name)
                busy = 0
                self._bell.stopped.wait(SWEEP_SECONDS)
            if not busy and wake.wait(SWEEP_SECONDS):
                # A busy house rings a hundred times a second, and one look finds what all of it was about.
                self._bell.stopped.wait(GATHER_SECONDS)

    def _renew(self) -> None:
        while not self._finished.wait(RENEW_SECONDS):
            asked_at = monotonic()
            try:
                self._loop.renew()
                self._pulse.beat(asked_at)
            except Exception:
                log.exception("renew.failed")
