"""Asking gateways now about attempts, instead of waiting for timers: what is open, and what a restore may have lost.

Answers go the one way of all evidence. An attempt that a worker has under way may be asked about as well: whoever
hears second hears nothing new.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, or_, select

from app.engine.models import Instance
from app.errors import AppError
from app.gateways.port import CouldNotAsk, LookupResult
from app.gateways.registry import Registry as Gateways
from app.kit.database import Tx
from app.payments.lost import watch
from app.payments.models import Attempt
from app.payments.outcomes import UNRESOLVED
from app.payments.recovery import Looking, in_words, looking, wake
from app.payments.verbs import LOOKUP

#: What the gateway said, or why it said nothing.
Answer = LookupResult | str


@dataclass(frozen=True, slots=True)
class Question:
    """One attempt to ask about; `problem` says why nobody can be asked."""

    attempt_id: str
    operation: str
    gateway: str
    before: str
    looking: Looking | None
    problem: str = ""

    def ask(self) -> Answer:
        """With no transaction open."""
        if self.looking is None:
            return self.problem
        try:
            answer = self.looking.call()
        except CouldNotAsk as error:
            return error.detail
        return f"{self.gateway} could not be asked" if answer.found is None else answer


def open_attempts(tx: Tx, recent: timedelta) -> list[str]:
    """Attempts that are begun or not resolved, and every one begun within `recent` of the newest; oldest first."""
    newest = select(func.max(Attempt.created_at)).scalar_subquery()
    query = select(Attempt.id).where(
        or_(Attempt.state == "begun", Attempt.outcome.in_(UNRESOLVED), Attempt.created_at > newest - recent)
    )
    return list(tx.session.scalars(query.order_by(Attempt.created_at, Attempt.id)))


def question(tx: Tx, gateways: Gateways, attempt_id: str) -> Question:
    attempt = tx.session.get_one(Attempt, attempt_id)
    known = (attempt.id, attempt.operation, attempt.gateway, in_words(attempt))
    try:
        return Question(*known, looking(tx, gateways, attempt))
    except AppError as error:
        return Question(*known, None, error.detail)


def take_in(tx: Tx, gateways: Gateways, asked: Question, answer: LookupResult) -> str:
    """Book what the answer proves and wake the flow that waits for it; how the attempt stands now."""
    assert asked.looking is not None
    attempt = asked.looking.take_in(tx, answer, LOOKUP)
    if in_words(attempt) != asked.before:
        wake(tx, attempt)
    if tx.session.get_one(Instance, attempt.instance_id).ended_at is not None:
        watch(tx, gateways, attempt)
    return in_words(attempt)


def still_open(tx: Tx) -> Sequence[Attempt]:
    """What no gateway could tell: for timers, and at last for people."""
    query = select(Attempt).where(or_(Attempt.state == "begun", Attempt.outcome.in_(UNRESOLVED)))
    return tx.session.scalars(query.order_by(Attempt.created_at, Attempt.id)).all()
