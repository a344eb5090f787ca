"""What wakes the parts of a worker, and what ends them.

Each part waits at an event of its own. A ring says that something may be due and never what: a part that was rung
looks into the database, and one that was not rung looks there every second anyway.
"""

import threading
from collections.abc import Sequence

SWEEP_SECONDS = 1.0


class Part(threading.Event):
    """Set when it is rung, and by whoever else has news for the part."""

    def __init__(self) -> None:
        super().__init__()
        self._rung = True

    def ring(self) -> None:
        self._rung = True
        self.set()

    def heard(self) -> bool:
        """Whether it was rung since it was asked last; whatever comes from now on sets it again."""
        self.clear()
        rung, self._rung = self._rung, False
        return rung


class Bell:
    def __init__(self) -> None:
        self.stopped = threading.Event()
        #: Set by the loop whenever a turn left nothing that is due.
        self.rested = threading.Event()
        self._parts: list[tuple[frozenset[str], Part]] = []

    def part(self, channels: Sequence[str]) -> Part:
        """An event that is set when one of `channels` is rung."""
        part = Part()
        self._parts.append((frozenset(channels), part))
        return part

    def ring(self, channel: str = "") -> None:
        """Wake those who wait for `channel`; without one, everybody."""
        for channels, part in self._parts:
            if not channel or channel in channels:
                part.ring()

    def stop(self) -> None:
        self.stopped.set()
        self.ring()
