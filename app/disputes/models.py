"""The table of disputes."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.database import Base, Json


class Dispute(Base):
    """One dispute as its gateway tells it; `due_by` is the gateway's and always wins over our own reckoning.

    `withdrawn` is what the gateway took from us and has not given back, in minor units.
    """

    __tablename__ = "disputes"
    __table_args__ = (
        UniqueConstraint("gateway", "gateway_reference"),
        Index("ix_disputes_payment", "payment_id"),
        Index("ix_disputes_merchant_created", "merchant_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"))
    instance_id: Mapped[str | None] = mapped_column(ForeignKey("instances.id"))
    gateway: Mapped[str]
    gateway_reference: Mapped[str]
    stage: Mapped[str]
    status: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    fee: Mapped[int] = mapped_column(BigInteger, default=0)
    withdrawn: Mapped[int] = mapped_column(BigInteger, default=0)
    currency: Mapped[str]
    reason: Mapped[str]
    due_by: Mapped[datetime | None]
    evidence: Mapped[Json]  # facts by name, each a text
    submitted_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
