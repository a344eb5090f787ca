"""What differs between the things asked of a gateway: how to ask, and what each outcome means for the money.

Everything else (keys, crashes, lookups, evidence, contradictions) is the same for all of them and lives in
`attempts.py` and `booking.py`. Refunds and disputes register verbs of their own.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Final

from app.access.actor import Actor, system
from app.gateways.port import DeclineCode, Gateway, GatewayResult, Lookup, LookupResult, Retry
from app.kit.database import Tx
from app.kit.money import Money
from app.ledger.postings import Book
from app.operations import OperationError, Result
from app.payments.models import Attempt, Payment

_KNOWN_CODES: Final = frozenset(code.value for code in DeclineCode)


@dataclass(frozen=True, slots=True)
class Case:
    """One attempt with its payment, both under the payment's row lock."""

    tx: Tx
    payment: Payment
    attempt: Attempt

    @property
    def actor(self) -> Actor:
        return system(self.payment.merchant_id)

    @property
    def money(self) -> Money:
        return Money(self.attempt.amount, self.attempt.currency)

    @property
    def book(self) -> Book:
        return Book(self.tx, self.payment.merchant_id, self.payment.id, self.attempt.gateway)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an outcome is known from: `answer`, `lookup`, `webhook` or `people` with their user ids."""

    kind: str
    by: tuple[str, ...] = ()
    note: str = ""


ANSWER: Final = Source("answer")
LOOKUP: Final = Source("lookup")
WEBHOOK: Final = Source("webhook")


class Verb(ABC):
    """One operation at a gateway. Instances hold no state."""

    operation: ClassVar[str]
    #: The BPMN error of a decline.
    declined: ClassVar[str]
    #: Whether an approval must name the amount that was asked.
    moves_amount: ClassVar[bool] = True

    @abstractmethod
    def request(self, case: Case) -> object:
        """What to send, built while the transaction is open."""

    @abstractmethod
    def send(self, gateway: Gateway, request: object) -> GatewayResult:
        """Ask the gateway, with no transaction open."""

    def find(self, gateway: Gateway, lookup: Lookup) -> LookupResult:
        """Ask what became of it, with no transaction open."""
        return gateway.lookup(lookup)

    @abstractmethod
    def book(self, case: Case, result: GatewayResult) -> None:
        """Amounts, ledger, states and events of the outcome that now stands on the attempt."""

    @abstractmethod
    def result(self, case: Case) -> Result:
        """What the diagram is told about an approval."""

    def old(self, case: Case, result: GatewayResult) -> bool:  # noqa: ARG002 - for verbs that know old news
        """Whether an answer or a webhook tells how it stood before something that is certain by now."""
        return False

    def late(self, case: Case, result: GatewayResult) -> bool:  # noqa: ARG002 - for verbs that know late news
        """Book news that changes a resolved attempt, where that is legal; False makes it a contradiction."""
        return False

    def tell_decline(self, case: Case) -> Result:
        """What the diagram is told about a decline: nearly always the BPMN error."""
        attempt = case.attempt
        raise OperationError(self.declined, attempt.message or "The gateway declined", decline_facts(attempt))


def decline_facts(attempt: Attempt) -> dict[str, str]:
    return {
        "attempt": attempt.id,
        "gateway": attempt.gateway,
        "decline_code": attempt.decline_code,
        "retry": str(retry_of(attempt.decline_code)),
    }


def retry_of(decline_code: str) -> Retry:
    """What a normalised decline allows; a code we do not know allows nothing."""
    return DeclineCode(decline_code).retry if decline_code in _KNOWN_CODES else Retry.NEVER


_VERBS: dict[str, Verb] = {}


def register(verb: Verb) -> None:
    """Make `verb` known, so that evidence about its attempts can be booked wherever it arrives."""
    assert verb.operation not in _VERBS, f"verb {verb.operation} is registered twice"
    _VERBS[verb.operation] = verb


def registered() -> Collection[Verb]:
    """Every verb there is."""
    return _VERBS.values()


def verb_of(operation: str) -> Verb:
    return _VERBS[operation]
