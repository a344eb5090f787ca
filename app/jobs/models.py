"""The table of jobs: long work that people or systems asked for."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.database import Base, Json


class LongJob(Base):
    """One piece of long work. Whoever holds the lease does it; `done` of `total` tells how far it has come."""

    __tablename__ = "long_jobs"
    __table_args__ = (
        CheckConstraint("status IN ('queued', 'running', 'completed', 'failed', 'canceled')", name="status"),
        Index("ix_long_jobs_open", "id", postgresql_where=text("status IN ('queued', 'running')")),
        Index("ix_long_jobs_merchant", "merchant_id", "kind", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    kind: Mapped[str]  # export
    params: Mapped[Json]
    status: Mapped[str]
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int | None] = mapped_column(BigInteger)
    result: Mapped[Json | None]  # what the kind says of it, such as {"rows": 1024}
    error: Mapped[str | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    tries: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    trace: Mapped[str] = mapped_column(default="", server_default="")
    requested_by: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
