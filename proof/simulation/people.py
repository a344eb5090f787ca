"""Reviewers and operators of the simulation: they decide open tasks, sometimes twice, sometimes never, and repair."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from sqlalchemy import select

from app.access.actor import Actor, Role
from app.access.models import User
from app.engine import inbox, people
from app.engine.incidents import PARKED
from app.engine.models import Incident, Task
from app.engine.people import Completion
from app.errors import AppError
from app.kit.database import Database, Tx
from app.kit.ids import new_id
from app.payments import moves
from app.payments.booking import CONTRADICTION
from app.payments.models import Attempt
from app.payments.moves import Move
from proof.simulation.bank import Bank

_OPEN: Final = ("open", "claimed")
#: Of a hundred tasks those that nobody ever looks at: their timers must bring them to an end.
_FORGOTTEN: Final = 6


class People:
    def __init__(self, database: Database, merchant: str, banks: dict[str, Bank], random: Random) -> None:
        self._database = database
        self._merchant = merchant
        self._banks = banks
        self._random = random
        self.decided: Counter[str] = Counter()
        with database.begin() as tx:
            self._actors = [
                _person(tx, merchant, name, role)
                for name, role in (
                    ("rosa", Role.REVIEWER),
                    ("ravi", Role.REVIEWER),
                    ("rene", Role.REVIEWER),
                    ("omar", Role.OPERATOR),
                    ("olga", Role.OPERATOR),
                )
            ]

    def work(self, limit: int = 20) -> int:
        """Decide a few open tasks, repair what was parked, give back holds of no use; how much was done."""
        with self._database.begin() as tx:
            found = select(Task).where(Task.merchant_id == self._merchant, Task.status.in_(_OPEN))
            tasks = [task for task in tx.session.scalars(found.order_by(Task.id)) if not forgotten(task.id)]
            parked = [incident.id for incident in self._open(tx, PARKED)]
            offered = moves.moves_of(tx, self._open(tx, CONTRADICTION))
        self._random.shuffle(tasks)
        done = sum(self._decide(task) for task in tasks[:limit])
        for incident in parked:
            done += self._repair(incident)
        for incident, offers in offered.items():
            if any(offer.move is Move.VOID for offer in offers):
                done += self._void(incident)
        return done

    def _open(self, tx: Tx, kind: str) -> Sequence[Incident]:
        mine = (Incident.merchant_id == self._merchant, Incident.status == "open", Incident.kind == kind)
        return tx.session.scalars(select(Incident).where(*mine).order_by(Incident.id)).all()

    def _decide(self, task: Task) -> int:
        completion = self._completion(task)
        if completion is None:
            return 0
        done = 0
        for _ in range(2 if self._random.random() < 0.1 else 1):
            person = self._random.choice(self._actors)
            try:
                with self._database.begin() as tx:
                    people.complete(tx, person, task.id, completion)
            except AppError as refusal:
                self.decided[refusal.code] += 1
                continue
            self.decided[f"{task.element}: {completion.decision}"] += 1
            done += 1
        return done

    def _completion(self, task: Task) -> Completion | None:
        likely = self._random.random() < 0.75
        match task.element:
            case "review" | "second_approval":
                return Completion("approve", "known_customer") if likely else Completion("reject", "fraud_suspected")
            case "approve":
                return Completion("approve") if likely else Completion("reject", "wrong_amount")
            case "repay":
                return Completion("repaid", note="By bank transfer")
            case "answer":
                return Completion("contest") if likely else Completion("accept", "customer_right")
            case "first_person" | "second_person":
                return self._looked_up(str(task.facts["attempt"]))
        raise AssertionError(f"nobody knows how to decide {task.element}")

    def _looked_up(self, attempt_id: str) -> Completion | None:
        """What the bank's own books say about the attempt; nobody decides before they say anything."""
        with self._database.begin() as tx:
            bank = self._banks[tx.session.get_one(Attempt, attempt_id).gateway]
        truth = bank.truth(attempt_id)
        if truth is None:
            return None
        data = {"gateway_reference": bank.reference(attempt_id)} if truth else {}
        return Completion("charged" if truth else "not_charged", note="Seen in the gateway's books", data=data)

    def _repair(self, incident: str) -> int:
        def repair(tx: Tx) -> None:
            inbox.retry_incident(tx, self._actors[-1], incident, note="Try again")

        return self._operate(repair, "repaired")

    def _void(self, incident: str) -> int:
        def void(tx: Tx) -> None:
            moves.take(tx, self._actors[-1], incident, Move.VOID)

        return self._operate(void, "voided")

    def _operate(self, work: Callable[[Tx], None], done: str) -> int:
        try:
            with self._database.begin() as tx:
                work(tx)
        except AppError as refusal:
            self.decided[refusal.code] += 1
            return 0
        self.decided[done] += 1
        return 1


def forgotten(task_id: str) -> bool:
    return hashlib.sha256(task_id.encode()).digest()[0] % 100 < _FORGOTTEN


def _person(tx: Tx, merchant: str, name: str, role: Role) -> Actor:
    user = User(
        id=new_id("usr"),
        merchant_id=merchant,
        email=f"{name}@simulation.example",
        name=name.title(),
        roles=[role],
        password_hash="-",  # noqa: S106 - nobody signs in
        created_at=tx.now(),
    )
    tx.session.add(user)
    tx.session.flush()
    return Actor(user.id, user.name, merchant, frozenset({role}))
