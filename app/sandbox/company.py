"""The company: books, clock, what happens by itself, and the delivery of webhooks, wired together."""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from threading import Event, Lock
from typing import Any

from app.kit.clock import Clock, ShiftedClock, SystemClock
from app.sandbox.agenda import do_next
from app.sandbox.books import Books
from app.sandbox.config import SandboxConfig
from app.sandbox.courier import Courier
from app.sandbox.desk import IDLE_SECONDS, Desk
from app.sandbox.faults import FaultPlans
from app.sandbox.loop import Loop

_REMEMBERED_REQUESTS = 200


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in; `fault` is what was done to it, `replayed` whether its key was known."""

    operation: str
    key: str
    path: str
    fault: str
    replayed: bool


class Visitors:
    """How often each key was received: what tests ask to see whether a caller really sent something twice."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_key: Counter[str] = Counter()
        self._by_operation: Counter[str] = Counter()
        self._last: deque[Received] = deque(maxlen=_REMEMBERED_REQUESTS)

    def note(self, received: Received) -> None:
        with self._lock:
            self._by_operation[received.operation] += 1
            if received.key:
                self._by_key[f"{received.operation}:{received.key}"] += 1
            self._last.append(received)

    def report(self) -> dict[str, Any]:
        with self._lock:
            last = [asdict(received) for received in self._last]
            return {"by_operation": dict(self._by_operation), "by_key": dict(self._by_key), "last": last}


class Company:
    """`clock` is the machine's by default; the company's own goes ahead of it when somebody moves it."""

    def __init__(self, config: SandboxConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.books = Books(config.data)
        self.clock = ShiftedClock(clock)
        self.faults = FaultPlans()
        self.visitors = Visitors()
        self.closing = Event()
        self.clock.advance(timedelta(seconds=float(self.books.fact("clock_shift_seconds") or 0)))
        self._machine_clock = clock or SystemClock()
        self._courier = Courier(self.books, config, self._machine_clock)
        self._loops = {
            "agenda": Loop(f"{config.name} agenda", self.do_errands),
            "courier": Loop(f"{config.name} courier", self._deliver),
        }

    def start(self) -> None:
        for loop in self._loops.values():
            loop.start()

    def close(self) -> None:
        self.closing.set()
        for loop in self._loops.values():
            loop.close()
        self._courier.close()
        self.books.close()

    @contextmanager
    def transaction(self) -> Iterator[Desk]:
        with self.books.transaction():
            desk = Desk(self.books, self.config, self.clock.now(), self._machine_clock.now())
            yield desk
        for loop in desk.wakes:
            self._loops[loop].wake()

    def advance(self, seconds: float) -> None:
        """Move the clock and let everything happen that falls into the skipped time."""
        with self.books.transaction():
            self.clock.advance(timedelta(seconds=seconds))
            self.books.put_fact("clock_shift_seconds", str(self.clock.shift.total_seconds()))
        self.do_errands()

    def do_errands(self) -> float:
        """Let everything happen that is due; the seconds until somebody should look again."""
        while not self.closing.is_set():
            with self.transaction() as desk:
                if not do_next(desk):
                    break
        due = self.books.next_errand()
        return IDLE_SECONDS if due is None else min(max((due - self.clock.now()).total_seconds(), 0), IDLE_SECONDS)

    def _deliver(self) -> float:
        return self._courier.deliver_due(lambda: not self.closing.is_set())
