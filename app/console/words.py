"""How a state looks: every status is a word with an icon and a tone, never a colour alone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """`tone` is one of good, warn, bad, info, quiet; `icon` names a symbol of `icons.svg`."""

    tone: str
    icon: str


_GOOD, _DONE = Look("good", "check"), Look("quiet", "check")
_WAIT, _MOVING = Look("info", "clock"), Look("info", "moving")
_ASK, _STOP = Look("warn", "person"), Look("bad", "cross")
_UNKNOWN, _GONE = Look("warn", "question"), Look("quiet", "dash")
_ALARM = Look("bad", "alert")

LOOKS: dict[str, dict[str, Look]] = {
    "payment_status": {
        "requires_payment_method": Look("warn", "card"),
        "requires_confirmation": _WAIT,
        "requires_action": Look("info", "person"),
        "requires_review": _ASK,
        "processing": _MOVING,
        "requires_capture": _WAIT,
        "partially_captured": Look("good", "half"),
        "succeeded": _GOOD,
        "canceled": _GONE,
        "failed": _STOP,
        "expired": Look("quiet", "clock"),
    },
    "attempt_outcome": {
        "approved": _GOOD,
        "declined": _STOP,
        "pending": _WAIT,
        "needs_action": Look("info", "person"),
        "not_sent": _GONE,
        "unknown": _UNKNOWN,
    },
    "attempt_state": {"created": _WAIT, "begun": _MOVING, "finished": _DONE},
    "refund_status": {
        "requires_approval": _ASK,
        "pending": _MOVING,
        "succeeded": _GOOD,
        "failed": _STOP,
        "canceled": _GONE,
    },
    "dispute_status": {
        "needs_response": _ASK,
        "under_review": _WAIT,
        "won": _GOOD,
        "lost": _STOP,
        "accepted": _GONE,
        "expired": Look("bad", "clock"),
        "canceled": _GONE,
        "prevented": _GOOD,
    },
    "instance_status": {
        "running": _MOVING,
        "waiting": _WAIT,
        "incident": _ALARM,
        "completed": _GOOD,
        "canceled": _GONE,
    },
    "task_status": {"open": _WAIT, "claimed": Look("info", "person"), "completed": _GOOD, "canceled": _GONE},
    "definition_status": {"draft": Look("warn", "pen"), "published": _GOOD, "retired": _GONE},
    "delivery_status": {"pending": _WAIT, "delivered": _GOOD, "dead": _STOP},
    "inbound_status": {"retrying": _MOVING, "unmatched": _UNKNOWN, "parked": _ALARM, "set_aside": _GONE},
    "endpoint_status": {"enabled": _GOOD, "disabled": _GONE},
    "incident_status": {"open": _ALARM, "resolved": _GOOD},
    "risk_band": {
        "low": Look("good", "bars1"),
        "medium": Look("warn", "bars2"),
        "high": Look("bad", "bars3"),
        "none": Look("quiet", "dash"),
    },
    "severity": {"error": _STOP, "warning": Look("warn", "alert")},
    "step": {
        "done": _DONE,
        "now": Look("info", "moving"),
        "failed": _ALARM,
        "interrupted": _GONE,
    },
}
_PLAIN = Look("quiet", "dot")


def look(family: str, value: str) -> Look:
    return LOOKS[family].get(value, _PLAIN)


_MOMENTS = {
    "succeeded": _GOOD,
    "completed": _GOOD,
    "ended": _DONE,
    "task": Look("info", "person"),
    "timer": _WAIT,
    "message": _MOVING,
    "decision": Look("info", "info"),
    "error": Look("warn", "alert"),
    "incident": _ALARM,
    "repaired": _GOOD,
    "failed": _STOP,
    "declined": _STOP,
    "canceled": _GONE,
    "stale": _GONE,
}


def moment_look(kind: str) -> Look:
    """The look of one line of a timeline: by the last word of an event's type, or by the journal's kind."""
    return _MOMENTS.get(kind.rpartition(".")[2], _PLAIN)


def risk_band(score: int | None) -> str:
    """The word for a risk score of 0 to 100."""
    if score is None:
        return "none"
    if score >= 70:
        return "high"
    return "medium" if score >= 40 else "low"
