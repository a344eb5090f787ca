"""The tables of payments. Amounts are minor units of the payment's currency, guarded by CHECK constraints."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.database import Base, Json


class Payment(Base):
    """One payment. Its row lock is the one lock for API, webhooks, timers, people and repair.

    Money moves between the amounts: capturable -> capturing -> captured, and captured is drawn on by refunding and
    refunded. What is under way (`capturing`, `refunding`) is reserved before any gateway hears of it.
    """

    __tablename__ = "payments"
    changes_gathered = True
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(
            "amount_capturable >= 0 AND amount_capturing >= 0 AND amount_captured >= 0 AND amount_refunding >= 0 "
            "AND amount_refunded >= 0 AND amount_disputed >= 0",
            name="amounts_not_negative",
        ),
        CheckConstraint(
            "amount_capturable + amount_capturing + amount_captured <= amount", name="captured_within_amount"
        ),
        CheckConstraint("amount_refunding + amount_refunded <= amount_captured", name="refunded_within_captured"),
        Index("ix_payments_merchant_created", "merchant_id", "created_at", "id"),
        Index("ix_payments_reference", "merchant_id", "reference"),
        Index("ix_payments_status", "merchant_id", "status"),
        Index("ix_payments_fingerprint", "merchant_id", "method_fingerprint", "created_at"),
        Index("ix_payments_customer", "merchant_id", text("(customer ->> 'id')"), "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    instance_id: Mapped[str | None] = mapped_column(ForeignKey("instances.id"))
    status: Mapped[str]
    status_reason: Mapped[str] = mapped_column(default="")
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    amount_capturable: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_capturing: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_captured: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_refunding: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_refunded: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_disputed: Mapped[int] = mapped_column(BigInteger, default=0)
    process: Mapped[str]  # the flow it is started with
    payment_method: Mapped[str]
    method_fingerprint: Mapped[str]
    capture_method: Mapped[str]  # automatic, manual
    reference: Mapped[str]
    customer: Mapped[Json]  # {"id", "email", "name", "country", "ip"}; every part optional
    metadata_: Mapped[Json] = mapped_column("metadata")
    return_url: Mapped[str]
    next_action: Mapped[Json | None]
    gateway: Mapped[str] = mapped_column(default="")  # which gateway holds the authorization
    gateway_reference: Mapped[str] = mapped_column(default="")  # its charge
    authorization_expires_at: Mapped[datetime | None]
    cancel_reason: Mapped[str] = mapped_column(default="", server_default="")  # of whoever asked to cancel it
    risk: Mapped[Json | None]  # {"score", "outcome", "rules": [{"rule", "sentence", "value"}], "compared"}
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Attempt(Base):
    """One try of one operation at one gateway, written before the gateway hears of it and never deleted.

    `id` is derived from (instance, activation), and is the idempotency key at the gateway. `state` goes created ->
    begun -> finished; begun without an end means the answer is not known yet. An authorization that waited and was
    voided is begun again until the gateway has said what it was. An outcome of unknown changes only by
    evidence, kept in `evidence` with who or what gave it. One of no effect becomes approved when the hold that there
    was after all has been voided.
    """

    __tablename__ = "attempts"
    changes_gathered = True
    __table_args__ = (
        CheckConstraint("state IN ('created', 'begun', 'finished')", name="state"),
        CheckConstraint("(state = 'finished') = (outcome IS NOT NULL)", name="outcome_when_finished"),
        Index("ix_attempts_payment", "payment_id", "created_at"),
        Index(
            "ix_attempts_gateway_reference",
            "gateway",
            "gateway_reference",
            postgresql_where=text("gateway_reference <> ''"),
        ),
        Index("ix_attempts_begun", "begun_at", postgresql_where=text("state = 'begun'")),
        Index("ix_attempts_unknown", "merchant_id", postgresql_where=text("outcome = 'unknown'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))  # not enforced: it is its subject's
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"))
    refund_id: Mapped[str | None] = mapped_column(ForeignKey("refunds.id"))
    dispute_id: Mapped[str | None] = mapped_column(ForeignKey("disputes.id"))
    instance_id: Mapped[str]
    activation: Mapped[str]
    operation: Mapped[str]  # authorize, capture, void, refund, submit_evidence, accept_dispute
    gateway: Mapped[str]
    charge: Mapped[str] = mapped_column(default="")  # the gateway's charge it acts on
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    final: Mapped[bool] = mapped_column(default=True)
    state: Mapped[str]
    outcome: Mapped[str | None]
    gateway_reference: Mapped[str] = mapped_column(default="")
    decline_code: Mapped[str] = mapped_column(default="")
    gateway_code: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")
    raw: Mapped[Json | None]
    evidence: Mapped[Json | None]  # how an unknown was resolved: {"by", "source", "at"}
    lookups: Mapped[int] = mapped_column(default=0)
    begun_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class InboundWebhook(Base):
    """A verified webhook of a gateway, stored raw before it is understood. One row per (gateway, event)."""

    __tablename__ = "inbound_webhooks"
    __table_args__ = (
        UniqueConstraint("gateway", "event_id"),
        Index("ix_inbound_webhooks_lane", "gateway", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "ix_inbound_webhooks_open",
            "received_at",
            postgresql_where=text("status IN ('new', 'unmatched', 'parked')"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str]
    event_id: Mapped[str]
    kind: Mapped[str]
    type: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    key: Mapped[str]
    charge: Mapped[str]
    dispute: Mapped[str]
    occurred_at: Mapped[datetime]
    status: Mapped[str]  # new, applied, unmatched, parked, ignored (no business of ours), set_aside (by a person)
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    received_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]
