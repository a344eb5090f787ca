"""One day of the simulation: a world with an empty database, from its first order until nothing is under way.

A run of many payments is many days, each replayed by its own seed alone. The promises are checked on the way and once
everything is at rest; the first that is broken ends the day.
"""

import gc
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from proof.invariants import Broken
from proof.simulation.history import digest
from proof.simulation.world import World

#: In moments of the world: how often tables are cleaned and measured, and how often the promises are checked.
_CLEAN: Final = 60
_CHECK: Final = 300
#: Objects that live as long as the world are looked through seldom.
_GARBAGE: Final = 50_000


@dataclass(frozen=True)
class Plan:
    """What a day is made from, the same day for the same plan."""

    payments: int
    seed: int
    breaking: str = ""

    @property
    def replay(self) -> str:
        breaking = f" BREAK={self.breaking}" if self.breaking else ""
        return f"make simulate PAYMENTS={self.payments} SEED={self.seed}{breaking}"


@dataclass(frozen=True)
class Outcome:
    """How a day went. `seconds` are real ones; `when` says at which check `broken` was found."""

    plan: Plan
    seconds: float
    tally: Counter[str]
    digest: str
    broken: Sequence[str]
    when: str


class BrokenPromise(Exception):
    """The day need not go on."""

    def __init__(self, found: Sequence[Broken], when: str) -> None:
        super().__init__(when)
        self.found = found
        self.when = when


class Day:
    """`url` is an empty database that waits for no disk; `folder` takes the gateways' books."""

    def __init__(self, plan: Plan, url: str, folder: Path) -> None:
        self._plan = plan
        self._url = url
        self._world = World(url, plan.seed, folder, breaking=plan.breaking)
        self._moments = 0

    def live(self) -> Outcome:
        gc.freeze()
        gc.set_threshold(_GARBAGE)
        begun = time.monotonic()
        found: Sequence[Broken] = []
        when = "at rest"
        world = self._world
        try:
            world.run(self._plan.payments, self._passed)
            found = world.check(rest=True)
        except BrokenPromise as broken:
            found, when = broken.found, broken.when
        finally:
            seconds = time.monotonic() - begun
            books = world.books()
            world.close()
        tally = world.tally + world.people.decided + world.shop.refused
        return Outcome(self._plan, seconds, tally, digest(self._url, books), [str(one) for one in found], when)

    def _passed(self, ordered: int) -> None:
        self._moments += 1
        if self._moments in (2, 10) or self._moments % _CLEAN == 0:
            self._clean()
        if self._moments % _CHECK == 0 and (found := self._world.check(rest=False)):
            raise BrokenPromise(found, f"after {ordered:,} orders and {self._moments:,} moments")

    def _clean(self) -> None:
        """By moments and not by time, or the database would choose another plan in a replay."""
        with psycopg.connect(self._url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
