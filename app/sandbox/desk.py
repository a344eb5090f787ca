"""What the rules work with during one transaction: the books, the moment, and ways to announce and to postpone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NoReturn

import orjson

from app.kit.ids import new_id
from app.sandbox.books import Books, Errand
from app.sandbox.config import SandboxConfig
from app.sandbox.methods import Behaviour, behaviour
from app.sandbox.records import Charge, Dispute, Line, Movement, timestamp
from app.sandbox.refusals import NoSuchThing

CARD_FEE_PER_MILLE = 14
CARD_FEE_FIXED = 25
DISPUTE_FEE = 1500
#: The background loops look at least this often by themselves; only what is due sooner needs to wake them.
IDLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Desk:
    """`now` is the sandbox's clock, `machine_now` the real one, which deliveries go by.

    `wakes` collects the loops (`agenda`, `courier`) that have something to do once the transaction is committed.
    """

    books: Books
    config: SandboxConfig
    now: datetime
    machine_now: datetime
    wakes: set[str] = field(default_factory=set)

    def behaviour(self, payment_method: str) -> Behaviour:
        return behaviour(payment_method, self.config.healthy_for)

    def charge(self, charge_id: str) -> Charge:
        return self.books.find(Charge, charge_id) or _missing("charge", charge_id)

    def movement(self, movement_id: str) -> Movement:
        return self.books.find(Movement, movement_id) or _missing("movement", movement_id)

    def dispute(self, dispute_id: str) -> Dispute:
        return self.books.find(Dispute, dispute_id) or _missing("dispute", dispute_id)

    def later(self, seconds: float, action: str, subject: str, argument: str = "") -> None:
        if seconds < IDLE_SECONDS:
            self.wakes.add("agenda")
        self.books.add_errand(Errand(self.now + timedelta(seconds=seconds), action, subject, argument))

    def announce(self, event: str, charge: Charge, facts: Mapping[str, str]) -> None:
        """Queue a webhook; `facts` say what changed and override the charge's own key."""
        letter_id = new_id("evt")
        data = {"key": charge.key, "charge": charge.id, "reference": charge.reference, **facts}
        body = {"id": letter_id, "type": event, "created_at": timestamp(self.now), "data": data}
        self.books.add_letter(letter_id, orjson.dumps(body), self.machine_now)
        self.wakes.add("courier")

    def announce_again(self, letter_id: str) -> None:
        if not self.books.send_again(letter_id, self.machine_now):
            _missing("event", letter_id)
        self.wakes.add("courier")

    def write_line(self, kind: str, subject: Movement | Dispute, gross: int, fee: int = 0) -> None:
        """Write a line of the settlement file about money that moved."""
        charge = self.charge(subject.charge)
        self.books.add(
            Line(
                id=new_id("ln"),
                charge=charge.id,
                date=self.now.date().isoformat(),
                type=kind,
                object=subject.id,
                key=subject.key if isinstance(subject, Movement) else charge.key,
                reference=charge.reference,
                gross=gross,
                fee=fee,
                net=gross - fee,
                currency=charge.currency,
                created_at=timestamp(self.now),
            )
        )


def card_fee(amount: int) -> int:
    """1.4 % rounded half to even, and 25, in minor units."""
    whole, rest = divmod(amount * CARD_FEE_PER_MILLE, 1000)
    rounded = whole + (1 if rest > 500 or (rest == 500 and whole % 2) else 0)
    return rounded + CARD_FEE_FIXED


def _missing(kind: str, record_id: str) -> NoReturn:
    raise NoSuchThing(f"There is no {kind} {record_id!r}")
