"""Workers of the simulation: the real loop and the real chores, stepped by hand, which may die or sleep at any seam."""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial
from random import Random
from types import MappingProxyType
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from app.bootstrap import Wired, chores, create_loop
from app.gateways.breaker import Breaker
from app.gateways.guard import GatewayMetrics, Guarded
from app.gateways.registry import Registry as Gateways
from app.installation import Sending
from app.jobs.calls import Answer, Caller
from app.jobs.chores import Chore, Chores
from app.kit.database import Tx
from app.kit.pulse import Pulse
from app.operations import Effect
from proof.simulation.bank import Bank, Weather
from proof.simulation.timeline import Timeline

T = TypeVar("T")
#: Chores with clocks of their own, which a made-up time does not move.
_LEFT_OUT = frozenset({"archive"})
_RENEW_SECONDS = 3.0
_LOOK_SECONDS = 60.0
UPKEEP = "upkeep"
#: How often a worker that looks after chores looks whether the upkeep is due.
_UPKEEP = 0.05


class Crash(BaseException):
    """What a killed process does to the code that was running: nothing catches it, everything open is rolled back."""


class AtOnce(Executor):
    """Runs what is submitted before `submit` returns, on the caller's own thread; a crash ends the caller."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class SlowCaller(Caller):
    """Calls take time: they are made a little later, and their answers are in when the wire has taken its time."""

    def __init__(self, timeline: Timeline, weather: Weather, random: Random) -> None:
        super().__init__(1, lambda: None)
        self._timeline = timeline
        self._weather = weather
        self._random = random
        self._arrived: deque[Answer] = deque()
        self._asleep_until = 0.0
        self.dead = False

    def submit(self, instance_id: str, node: str, effect: Effect, trace: str = "") -> None:
        self._later(self._random.uniform(0.001, 0.05), partial(self._make, instance_id, node, effect, trace))

    @property
    def answered(self) -> bool:
        """Whether an answer is in that nobody has taken."""
        return bool(self._arrived)

    def answers(self) -> list[Answer]:
        taken = list(self._arrived)
        self._arrived.clear()
        return taken

    def close(self) -> None:
        """There is no thread."""

    def sleep_until(self, seconds: float) -> None:
        self._asleep_until = seconds

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._timeline.after(seconds, partial(self._awake, action))

    def _awake(self, action: Callable[[], None]) -> None:
        left = self._asleep_until - self._timeline.seconds
        if left > 0 and not self.dead:
            self._later(max(left, 0.001), action)  # a rounded instant would come back to this one
        else:
            action()

    def _make(self, instance_id: str, node: str, effect: Effect, trace: str) -> None:
        if self.dead and self._random.random() < 0.5:
            return  # it had not left yet when the process died
        self._weather.spent = 0.0
        try:
            answer = Answer(instance_id, node, effect, value=effect.call(), trace=trace)
        except Exception as error:  # noqa: BLE001 - as the real one: whatever broke is an answer
            answer = Answer(instance_id, node, effect, error=error, trace=trace)
        self._later(self._weather.spent, partial(self._arrive, answer))

    def _arrive(self, answer: Answer) -> None:
        if not self.dead:
            self._arrived.append(answer)


class SeldomAsked(Sending):
    """Whether the database was restored meanwhile, looked up once a minute: here it never is."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self._timeline = timeline
        self._again_at = 0.0
        self._held = False

    def held(self, tx: Tx, settings: Mapping[str, str] = MappingProxyType({})) -> bool:
        if self._timeline.seconds >= self._again_at:
            self._held = super().held(tx, settings)
            self._again_at = self._timeline.seconds + _LOOK_SECONDS
        elif settings:
            tx.local(settings)
        return self._held


class SimWorker:
    """A worker process. When it dies, another one with nothing in memory takes its place a little later."""

    def __init__(self, number: int, wired: Wired, timeline: Timeline, weather: Weather, random: Random) -> None:
        self._number = number
        self._base = wired
        self._timeline = timeline
        self._weather = weather
        self._random = random
        self._lives = 0
        self._absent_until = 0.0
        self._renewed_at = 0.0
        self._rise()

    @property
    def present(self) -> bool:
        return self._timeline.seconds >= self._absent_until

    @property
    def idle(self) -> bool:
        return self.loop.idle

    def turn(self) -> int:
        """One turn of the loop; Crash leaves the worker to be buried."""
        self.renew()
        return self._guarded(self.loop.turn)

    def chore(self, kinds: Collection[str]) -> int:
        """One turn of the chores of these kinds, and now and then of the upkeep."""
        due = [kind for kind in self.chores if kind in kinds or (kind == UPKEEP and self._random.random() < _UPKEEP)]
        return sum(self._guarded(self.chores[kind].turn) for kind in due)

    def die(self, absent_seconds: float) -> None:
        self.caller.dead = True
        self._rise()
        self._absent_until = self._timeline.seconds + absent_seconds

    def sleep(self, seconds: float) -> None:
        """As SIGSTOP does: nothing of it moves, and nothing of it is lost."""
        self._absent_until = self._timeline.seconds + seconds
        self.caller.sleep_until(self._absent_until)

    def renew(self) -> None:
        if self._timeline.seconds - self._renewed_at >= _RENEW_SECONDS:
            self._renewed_at = self._timeline.seconds
            self._guarded(self._renew)

    def _renew(self) -> int:
        asked_at = self._timeline.moment()
        self.loop.renew()
        self._pulse.beat(asked_at)
        return 0

    def _guarded(self, turn: Callable[[], int]) -> int:
        try:
            return turn()
        except Exception:  # noqa: BLE001 - as the real worker: look again at the next turn
            return 1

    def _rise(self) -> None:
        self._lives += 1
        self._pulse = Pulse(self._timeline.moment)
        metrics = CollectorRegistry()
        watched = GatewayMetrics(metrics)
        gateways = Gateways(
            Guarded(gateway, Breaker(clock=self._timeline.moment), watched) for gateway in self._base.gateways
        )
        wired = replace(
            self._base, gateways=gateways, pulse=self._pulse, metrics=metrics, sending=SeldomAsked(self._timeline)
        )
        self.caller = SlowCaller(self._timeline, self._weather, self._random)
        self.loop = create_loop(wired, self.caller, f"worker-{self._number}.{self._lives}")
        kept: dict[str, list[Chore]] = {}
        for chore in chores(wired):
            if chore.name not in _LEFT_OUT:
                kept.setdefault(chore.name, []).append(chore)
        self.chores = {kind: Chores(wired.database, several, AtOnce()) for kind, several in kept.items()}


__all__ = ["AtOnce", "Bank", "Crash", "SimWorker", "SlowCaller"]
