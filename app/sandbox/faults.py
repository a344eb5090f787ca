"""What can go wrong on the wire, and the plans that make it go wrong for the next requests.

A fault says two things: whether the operation takes effect, and what the caller gets to see.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from threading import Lock
from typing import Final

from app.sandbox.refusals import Malformed


class Sight(StrEnum):
    """What the caller sees."""

    SILENCE = "silence"
    RESET = "reset"
    GARBAGE = "garbage"
    SERVER_ERROR = "server_error"
    UNAVAILABLE = "unavailable"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Fault:
    effect: bool
    sight: Sight


FAULTS: Final[dict[str, Fault]] = {
    "timeout_applied": Fault(effect=True, sight=Sight.SILENCE),
    "timeout_lost": Fault(effect=False, sight=Sight.SILENCE),
    "unavailable": Fault(effect=False, sight=Sight.UNAVAILABLE),
    "reset_before": Fault(effect=False, sight=Sight.RESET),
    "reset_after": Fault(effect=True, sight=Sight.RESET),
    "slow": Fault(effect=True, sight=Sight.LATE),
    "garbage": Fault(effect=True, sight=Sight.GARBAGE),
    "server_error_after_effect": Fault(effect=True, sight=Sight.SERVER_ERROR),
}
ANY: Final = "any"


@dataclass(frozen=True, slots=True)
class Plan:
    """The next `count` requests for `operation` (and `method`, when given) get the fault."""

    fault: str
    operation: str
    method: str
    count: int


class FaultPlans:
    """Plans are used up in the order they were made. They are tools of tests and live in memory only."""

    def __init__(self) -> None:
        self._plans: list[Plan] = []
        self._lock = Lock()

    def add(self, plan: Plan) -> None:
        if plan.fault not in FAULTS:
            raise Malformed(f"fault must be one of {', '.join(sorted(FAULTS))}")
        if plan.count < 1:
            raise Malformed("count must be at least 1")
        with self._lock:
            self._plans.append(plan)

    def clear(self) -> None:
        with self._lock:
            self._plans.clear()

    def pending(self) -> list[Plan]:
        with self._lock:
            return list(self._plans)

    def take(self, operation: str, method: str) -> Fault | None:
        with self._lock:
            for position, plan in enumerate(self._plans):
                if plan.operation in (ANY, operation) and plan.method in ("", method):
                    self._plans[position : position + 1] = [replace(plan, count=plan.count - 1)] * (plan.count > 1)
                    return FAULTS[plan.fault]
        return None
