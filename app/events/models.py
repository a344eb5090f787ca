"""The tables of events. An event is written in the transaction of the change it tells about."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.database import Base, Json


class Event(Base):
    """Something that happened to one object. `sequence` counts per object, so a receiver can order what it gets."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("object_id", "sequence"),
        Index("ix_events_merchant", "merchant_id", "id"),
        Index("ix_events_undrained", "id", postgresql_where=text("drained_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))  # not enforced: it is its subject's
    type: Mapped[str]  # payment.succeeded
    object_id: Mapped[str]
    sequence: Mapped[int]
    data: Mapped[Json]  # the object as the API shows it at that moment
    actor: Mapped[str]
    trace: Mapped[str] = mapped_column(default="", server_default="")  # the request that led to it
    created_at: Mapped[datetime]
    drained_at: Mapped[datetime | None]  # when its deliveries were written


class WebhookEndpoint(Base):
    """Where a merchant wants events sent. `secrets` holds the current one and, during a rotation, the one before."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"), index=True)
    url: Mapped[str]
    description: Mapped[str]
    event_types: Mapped[list[str]]  # empty: all
    secrets: Mapped[Json]  # {"current": ..., "previous": ..., "previous_until": ...}, encrypted values
    status: Mapped[str]  # enabled, disabled
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Delivery(Base):
    """One event to one endpoint: tried with growing delays until it is accepted or given up."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("event_id", "endpoint_id"),
        Index("ix_deliveries_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_deliveries_dead", "merchant_id", postgresql_where=text("status = 'dead'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    event_id: Mapped[str] = mapped_column(ForeignKey("events.id"))
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id"), index=True)
    status: Mapped[str]  # pending, delivered, dead
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
    log: Mapped[Json]  # {"tries": [{"at", "status", "error", "milliseconds"}]}, the latest ones
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Who did what to what, append-only. `digest` covers the entry and the digest before it, per merchant."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_merchant", "merchant_id", "id"), Index("ix_audit_object", "object_id"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    merchant_id: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]  # task.completed, definition.published, session.started
    object_id: Mapped[str]
    facts: Mapped[Json]
    digest: Mapped[str]
