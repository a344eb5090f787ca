"""The ledger's tables. Rows are only ever inserted, kept so by triggers; a correction is another posting."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.database import Base


class Account(Base):
    """One account of a merchant in one currency, e.g. `psp:sandbox_a:clearing`. `kind` says its normal side."""

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("merchant_id", "name", "currency"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    name: Mapped[str]
    currency: Mapped[str]
    kind: Mapped[str]  # asset, liability, expense, income
    created_at: Mapped[datetime]


class Posting(Base):
    """One booked fact. (source_type, source_id, kind) is unique, so booking the same fact twice is impossible."""

    __tablename__ = "postings"
    __table_args__ = (
        UniqueConstraint("source_type", "source_id", "kind"),
        Index("ix_postings_subject", "subject"),
        Index("ix_postings_merchant", "merchant_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))  # not enforced: it is its subject's
    kind: Mapped[str]  # authorized, captured, released, refund_requested, ...
    source_type: Mapped[str]  # attempt, refund, dispute
    source_id: Mapped[str]
    subject: Mapped[str]  # the payment's id
    reverses: Mapped[str | None] = mapped_column(ForeignKey("postings.id"))
    created_at: Mapped[datetime]


class Entry(Base):
    """One side of a posting: positive is debit, negative is credit, in minor units. `layer` is posted or pending."""

    __tablename__ = "entries"
    __table_args__ = (
        CheckConstraint("amount <> 0", name="amount_not_zero"),
        CheckConstraint("layer IN ('posted', 'pending')", name="layer"),
        Index("ix_entries_account", "account_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    posting_id: Mapped[str] = mapped_column(ForeignKey("postings.id"), index=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    layer: Mapped[str]
