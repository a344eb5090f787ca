"""The seams where a crash hurts most, by name. In production `crashpoint` does nothing; tests arm it to raise, to kill
the process or to stop it there.
"""

from collections.abc import Callable
from enum import StrEnum


class Point(StrEnum):
    """Where the process may end. Every name is hit by the crash tests."""

    BEFORE_STEP_COMMIT = "before_step_commit"  # a worker has run instances; nothing of it is on disk
    AFTER_STEP_COMMIT = "after_step_commit"  # intents are on disk; no gateway was asked and nobody was woken
    ANSWERED = "answered"  # gateways answered; none of it is booked
    CHORE_DONE = "chore_done"  # a webhook was understood or a delivery sent; it is not booked
    REQUEST_COMMITTED = "request_committed"  # a request's work is on disk; the caller has heard nothing


_action: Callable[[Point], None] | None = None


def crashpoint(point: Point) -> None:
    if _action is not None:
        _action(point)


def arm(action: Callable[[Point], None] | None) -> None:
    """Do `action` at every point from now on; None disarms."""
    global _action  # noqa: PLW0603 - one switch for the whole process, as a crash is
    _action = action
