"""Signed-in browsers. The cookie holds a random secret, the row its SHA-256.

A session ends IDLE after its last use and in any case LIFETIME after it began; signing in again always starts a
new one, so a secret planted before the sign-in is worth nothing.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select

from app.access.models import Session, User
from app.kit.database import Tx
from app.kit.ids import new_id, new_secret

IDLE = timedelta(hours=2)
LIFETIME = timedelta(hours=12)
#: Use is written down at most this often, so that reading pages does not mean writing rows.
_TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`secret` goes into the cookie and nowhere else."""

    secret: str
    session: Session


def start(tx: Tx, user: User, *, address: str = "", user_agent: str = "", previous: str = "") -> SignedIn:
    """Begin a session for a person who just proved who they are; the browser's `previous` secret stops working."""
    if previous:
        end(tx, previous)
    secret = new_secret("ses")
    session = Session(
        token_hash=_digest(secret),
        id=new_id("ses"),
        user_id=user.id,
        address=address[:64],
        user_agent=user_agent[:300],
        created_at=tx.now(),
        last_seen_at=tx.now(),
        expires_at=tx.now() + LIFETIME,
    )
    tx.session.add(session)
    tx.session.flush()
    return SignedIn(secret, session)


def find(tx: Tx, secret: str) -> tuple[Session, User] | None:
    """The session behind a cookie and its person; None when it ended or the person was disabled."""
    row = tx.session.execute(
        select(Session, User)
        .join(User, User.id == Session.user_id)
        .where(
            Session.token_hash == _digest(secret),
            Session.expires_at > tx.now(),
            Session.last_seen_at > tx.now() - IDLE,
            User.disabled_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        return None
    session, user = row
    if tx.now() - session.last_seen_at > _TOUCH_EVERY:
        session.last_seen_at = tx.now()
    return session, user


def end(tx: Tx, secret: str) -> None:
    """Sign out."""
    tx.execute(delete(Session).where(Session.token_hash == _digest(secret)))


def end_all(tx: Tx, user_id: str) -> None:
    tx.execute(delete(Session).where(Session.user_id == user_id))


def purge(tx: Tx) -> None:
    """Remove rows of sessions that ended; called now and then by the worker."""
    tx.execute(delete(Session).where((Session.expires_at <= tx.now()) | (Session.last_seen_at <= tx.now() - IDLE)))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
