"""What starts a published process by itself: a message of a name, a moment, or a moment that comes again.

A row stands for the start event of the one published version; publishing another takes its place, retiring takes it
away. A repeating start keeps its rhythm over versions that draw the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.engine.dialect import parse_diagram
from app.engine.elements import DiagramError, Element, TimerKind
from app.engine.expressions import EvaluationFailed
from app.engine.models import Definition, Occasion
from app.engine.timing import SHORTEST, Cycle, parse_cycle, parse_date
from app.errors import Conflict
from app.kit.database import Tx

MESSAGE, TIMER = "message", "timer"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A start event that something has to happen for. `text` is the message's name, the date or the interval."""

    element: str
    kind: str
    text: str
    cycle: Cycle | None = None

    def first(self, now: datetime) -> datetime | None:
        """When it is due at first; None for a message, and for a date that has passed: that was somebody else's."""
        if self.kind == MESSAGE:
            return None
        if self.cycle is not None:
            return self.cycle.first(now)
        moment = parse_date(self.text)
        return moment if moment > now else None


def drawn(content: bytes, now: datetime) -> Drawn | None:
    """What starts the process of a diagram by itself, read as of now; None for a plain start.

    Raises DiagramError when that cannot be worked out without an instance.
    """
    start = next(one for one in parse_diagram(content).elements.values() if one.kind == "startEvent" and not one.parent)
    try:
        return _drawn(start, now)
    except EvaluationFailed as failed:
        raise DiagramError(f"The start event {start.id}: {failed}") from None


def _drawn(start: Element, now: datetime) -> Drawn | None:
    event = start.event
    if event is not None and event.message is not None:
        return Drawn(start.id, MESSAGE, event.message.name.text_value({}, now, "The message name"))
    if event is None or event.timer is None:
        return None
    text = event.timer.value.text_value({}, now, "The time")
    if event.timer.kind is not TimerKind.CYCLE:
        parse_date(text)
        return Drawn(start.id, TIMER, text)
    cycle = parse_cycle(text)
    if cycle.interval.after(now) < now + SHORTEST:
        raise EvaluationFailed(f"{text!r} starts it more often than once a minute; use a longer interval")
    return Drawn(start.id, TIMER, text, cycle)


def opened(tx: Tx, fresh: Sequence[Definition]) -> None:
    """Let the versions that were just published start by themselves where they say so; those before do not any more.

    Conflict when another process starts by the same message.
    """
    former = {one.id: closed(tx, one.merchant_id, one.key) for one in fresh}
    for one in fresh:
        _open(tx, one, former[one.id])


def _open(tx: Tx, fresh: Definition, former: Occasion | None) -> None:
    now = tx.now()
    wanted = drawn(fresh.content, now)
    if wanted is None:
        return
    if wanted.kind == MESSAGE:
        _only_one(tx, fresh, wanted.text)
    row = Occasion(
        definition_id=fresh.id,
        merchant_id=fresh.merchant_id,
        process=fresh.key,
        element=wanted.element,
        kind=wanted.kind,
        text=wanted.text,
        rounds_left=wanted.cycle.count if wanted.cycle else 1 if wanted.kind == TIMER else None,
        due_at=wanted.first(now),
        created_at=now,
    )
    if former is not None and (former.kind, former.text) == (TIMER, wanted.text):
        row.due_at, row.rounds_left = former.due_at, former.rounds_left
    tx.session.add(row)
    tx.session.flush()


def closed(tx: Tx, merchant_id: str, process: str) -> Occasion | None:
    """Nothing starts the process by itself any more; what did so until now."""
    mine = (Occasion.merchant_id == merchant_id, Occasion.process == process)
    former = tx.session.scalar(select(Occasion).where(*mine).with_for_update())
    if former is not None:
        tx.session.delete(former)
        tx.session.flush()
    return former


def by_message(tx: Tx, merchant_id: str, name: str) -> Occasion | None:
    """What a message of this name starts. It stays so until the transaction ends."""
    mine = (Occasion.merchant_id == merchant_id, Occasion.kind == MESSAGE, Occasion.text == name)
    return tx.session.scalar(select(Occasion).where(*mine).with_for_update(read=True))


def standing(tx: Tx, merchant_id: str) -> list[Occasion]:
    """Everything of a merchant that starts by itself, by process."""
    query = select(Occasion).where(Occasion.merchant_id == merchant_id).order_by(Occasion.process)
    return list(tx.session.scalars(query))


def due(tx: Tx, limit: int) -> list[str]:
    """The definitions whose time has come, the longest overdue first."""
    late = select(Occasion.definition_id).where(Occasion.due_at <= tx.now())
    return list(tx.session.scalars(late.order_by(Occasion.due_at, Occasion.definition_id).limit(limit)))


def passed(occasion: Occasion, now: datetime) -> None:
    """Its time has come: fix the next one. Missed rounds are folded into this one, and the next counts from now."""
    assert occasion.due_at is not None
    cycle = parse_cycle(occasion.text) if occasion.text.startswith("R") else None
    if cycle is None or occasion.rounds_left == 1:
        occasion.due_at, occasion.rounds_left = None, 0
        return
    following = cycle.interval.after(occasion.due_at)
    occasion.due_at = following if following > now else cycle.interval.after(now)
    if occasion.rounds_left is not None:
        occasion.rounds_left -= 1


def _only_one(tx: Tx, fresh: Definition, name: str) -> None:
    other = by_message(tx, fresh.merchant_id, name)
    if other is not None:
        raise Conflict(
            f"The message {name!r} already starts {other.process}, and it can start only one process; "
            "name the message of one of them differently"
        )
