"""What the books hold, as flat values. Amounts are minor units, times RFC 3339 in UTC."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Charge:
    """`authorized` is what was ever held; what is still held is `remaining`.

    `voided` was let go by a void, `released` by a final capture or by time. `captured` and `refunded` count what
    succeeded, `disputed` what disputes hold back now.
    """

    id: str
    charge: str
    key: str
    reference: str
    amount: int
    currency: str
    payment_method: str
    status: str
    return_url: str
    action_url: str
    auto_capture: bool
    created_at: str
    expires_at: str
    decline_code: str = ""
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    voided: int = 0
    released: int = 0
    disputed: int = 0

    @property
    def remaining(self) -> int:
        return self.authorized - self.captured - self.voided - self.released


@dataclass(frozen=True, slots=True)
class Movement:
    """One capture, void or refund: `kind` says which. `final` and `fee` belong to captures."""

    id: str
    charge: str
    key: str
    kind: str
    amount: int
    currency: str
    status: str
    created_at: str
    decline_code: str = ""
    reason: str = ""
    final: bool = False
    fee: int = 0


@dataclass(frozen=True, slots=True)
class Dispute:
    """`withdrawn` is what is held back at the moment: nothing for inquiries and after a victory."""

    id: str
    charge: str
    stage: str
    status: str
    reason: str
    amount: int
    currency: str
    fee: int
    due_by: str
    created_at: str
    withdrawn: int = 0
    evidence_submitted: bool = False
    evidence: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the settlement file; `net` is `gross - fee`, money leaving the merchant is negative."""

    id: str
    charge: str
    date: str
    type: str
    object: str
    key: str
    reference: str
    gross: int
    fee: int
    net: int
    currency: str
    created_at: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What an idempotency key stands for: the request it came with and the answer it got."""

    key: str
    verb: str
    fingerprint: str
    status: int
    body: dict[str, Any]
    charge: str
    object: str


def timestamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)
