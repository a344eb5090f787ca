"""What wakes the parts of a worker, and what ends them.

Each part waits at an event of its own. A ring says that something may be due and never what: a part that was rung
looks into the database, and one that was not rung looks there every second anyway.
"""

import threading
from collections.abc import Sequence

SWEEP_SECONDS = 1.0


class Bell:
    def __init__(self) -> None:
        self.stopped = threading.Event()
        #: Set by the loop whenever a turn found nothing to do.
        self.rested = threading.Event()
        self._parts: list[tuple[frozenset[str], threading.Event]] = []

    def part(self, channels: Sequence[str]) -> threading.Event:
        """An event that is set when one of `channels` is rung."""
        event = threading.Event()
        self._parts.append((frozenset(channels), event))
        return event

    def ring(self, channel: str = "") -> None:
        """Wake those who wait for `channel`; without one, everybody."""
        for channels, event in self._parts:
            if not channel or channel in channels:
                event.set()

    def stop(self) -> None:
        self.stopped.set()
        self.ring()
