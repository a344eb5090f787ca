"""The tables of access. A secret is stored as a hash and shown once."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.database import Base, Json


class Merchant(Base):
    """A tenant: everything that belongs to somebody carries its id."""

    __tablename__ = "merchants"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    settings: Mapped[Json]  # {"review_limit": {"EUR": 100000}, "refund_approval_limit": {...}, "gateways": [...]}
    created_at: Mapped[datetime]


class User(Base):
    """A person of one merchant. `roles` are names of `Role`; a person who left is disabled, never deleted."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    email: Mapped[str]
    name: Mapped[str]
    roles: Mapped[list[str]]
    password_hash: Mapped[str]
    language: Mapped[str] = mapped_column(default="en")
    disabled_at: Mapped[datetime | None]
    last_sign_in_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class SignInFailure(Base):
    """Wrong passwords for one account from one address; the account need not exist."""

    __tablename__ = "sign_in_failures"
    __table_args__ = (Index("ix_sign_in_failures_failed", "failed_at"),)

    account: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime]
    locked_until: Mapped[datetime | None]


class Session(Base):
    """A signed-in browser. The cookie holds a random secret; the row holds its hash."""

    __tablename__ = "sessions"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)  # what a list of sessions may show
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    address: Mapped[str]
    user_agent: Mapped[str]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ApiKey(Base):
    """A system's key with roles of its own, or a person's token (`user_id`), which never exceeds that user's roles."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("ix_api_keys_merchant", "merchant_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    prefix: Mapped[str]  # the first characters, to recognise it by
    secret_hash: Mapped[str] = mapped_column(unique=True)
    roles: Mapped[list[str]]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
