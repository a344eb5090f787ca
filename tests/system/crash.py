"""Ending a worker, or stopping it, at a named seam."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.kit.crashpoint import Point, arm


class Crash(BaseException):
    """What a killed process does to the code that was running: nothing catches it, everything open is rolled back."""


@dataclass
class Seam:
    """Does `action` when `point` is reached for the `nth` time; `hits` counts every point."""

    point: Point
    nth: int
    action: Callable[[], None]
    hits: Counter[Point] = field(default_factory=Counter)

    def __call__(self, point: Point) -> None:
        self.hits[point] += 1
        if point is self.point and self.hits[point] == self.nth:
            self.action()


@contextmanager
def at(point: Point, nth: int = 1, action: Callable[[], None] | None = None) -> Iterator[Seam]:
    """While this is open, reaching `point` for the `nth` time does `action`: by default a crash."""
    seam = Seam(point, nth, action or _crash)
    arm(seam)
    try:
        yield seam
    finally:
        arm(None)


def _crash() -> None:
    raise Crash
