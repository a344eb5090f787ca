"""The table of refunds."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.database import Base


class Refund(Base):
    """One refund of one payment. Its amount is reserved in the payment's `amount_refunding` from the first moment."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        Index("ix_refunds_payment", "payment_id", "created_at"),
        Index("ix_refunds_merchant_created", "merchant_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"))
    instance_id: Mapped[str | None] = mapped_column(ForeignKey("instances.id"))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    status: Mapped[str]
    status_reason: Mapped[str] = mapped_column(default="")
    reason: Mapped[str]
    gateway_reference: Mapped[str] = mapped_column(default="")
    requested_by: Mapped[str]
    approved_by: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
