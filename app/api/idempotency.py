"""Idempotency-Key: the first request under a key does the work, every other one gets its answer.

The work and its answer are one transaction, which holds a lock of PostgreSQL's own under the key's name: as long as it
is open, equal requests see that somebody is at work, and when it ends, whether well or by a crash, either the answer is
there or nothing is. Should two be at work all the same, the table's key lets one of them commit.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import orjson
from flask import Request
from psycopg.errors import UniqueViolation
from sqlalchemy import delete, text, update
from sqlalchemy.exc import IntegrityError

from app.api.models import IdempotencyKey
from app.errors import AppError, FieldError
from app.kit.database import Tx
from app.kit.sealing import Sealer

T = TypeVar("T")

KEEP = timedelta(days=8)
#: How long an equal request waits for the first one's answer before it is told to come back.
PATIENCE_SECONDS = 2.0
_LONGEST_KEY = 255
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:place, 0))")
# A statement of its own after the lock, so that it sees what the lock's last holder has written. In one with the lock
# it would not, and where the work cannot be done twice, a repetition would be refused for what the first request did.
_LOOK = text("""
SELECT fingerprint, status, headers, body, locked_until FROM idempotency_keys
WHERE merchant_id = :merchant_id AND route = :route AND key = :key
""")


class KeyRequired(AppError):
    code = "idempotency_key_required"
    title = "This request moves money and needs the header Idempotency-Key"
    status = 400


class KeyInvalid(AppError):
    code = "idempotency_key_invalid"
    title = "The Idempotency-Key must be 1 to 255 visible ASCII characters"
    status = 400


class KeyReused(AppError):
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used for another request; send a new key"
    status = 422


class InProgress(AppError):
    code = "idempotency_in_progress"
    title = "The first request with this Idempotency-Key is still at work; try again shortly"
    status = 409


@dataclass(frozen=True, slots=True)
class Scope:
    """One key of one merchant on one route. `fingerprint` tells equal requests from others."""

    merchant_id: str
    route: str
    key: str
    fingerprint: str

    @property
    def place(self) -> str:
        return f"idempotency_keys/{self.merchant_id}/{self.route}/{self.key}"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the work, as long as the transaction lasts that gave it."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer as it was first given."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else is at work; `early` is what is answered if that takes too long, where something is there yet."""

    early: Stored | None = None


def key_of(request: Request) -> str | None:
    """The request's key; a quoted one (as in the IETF draft) equals the same key without quotes."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not 1 <= len(key) <= _LONGEST_KEY or not all("!" <= character <= "~" for character in key):
        raise KeyInvalid(errors=[FieldError("Idempotency-Key", KeyInvalid.title)])
    return key


def fingerprint(path: str, body: Any) -> str:
    """SHA-256 over the concrete path and the parsed body, so that spacing and the order of keys do not matter."""
    canonical = orjson.dumps([path, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()


class Idempotency:
    """Stored answers may hold secrets that are shown once, so they are sealed."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def claim(self, tx: Tx, scope: Scope) -> Claim | Stored | Busy:
        """The right to work, or the answer given before, or that somebody else is at work."""
        mine = tx.value(_LOCK, {"place": scope.place})
        place = {"merchant_id": scope.merchant_id, "route": scope.route, "key": scope.key}
        row = tx.row(_LOOK, place)
        if row is None:
            return Claim(scope) if mine else Busy()
        if row.fingerprint != scope.fingerprint:
            raise KeyReused
        locked = row.locked_until is not None and row.locked_until > tx.now()
        if row.status is not None:
            stored = self._stored(scope, row)
            return Busy(stored) if locked else stored
        if locked or not mine:
            return Busy()
        # The former version claims keys by rows without an answer, and whoever made this one has died, unless he
        # answers or claims anew at this very moment.
        dead = (IdempotencyKey.status.is_(None), IdempotencyKey.locked_until == row.locked_until)
        return Claim(scope) if tx.changed(delete(IdempotencyKey).where(*_same(scope), *dead)) == 1 else Busy()

    def complete(self, tx: Tx, claim: Claim, stored: Stored, better_in: timedelta | None = None) -> None:
        """Store the answer in the work's transaction, whose commit fails if another one has worked under the key.

        With `better_in` a better answer follows within that time (`amend`), and others wait for it.
        """
        tx.gather(
            IdempotencyKey,
            {
                "merchant_id": claim.scope.merchant_id,
                "route": claim.scope.route,
                "key": claim.scope.key,
                "fingerprint": claim.scope.fingerprint,
                "created_at": tx.now(),
                "locked_until": tx.now() + better_in if better_in else None,
                **self._columns(claim.scope, stored),
            },
        )

    def amend(self, tx: Tx, claim: Claim, stored: Stored) -> None:
        """Replace the answer by the one the first request really got, after it waited for the instance to rest."""
        answer = {**self._columns(claim.scope, stored), "locked_until": None}
        tx.execute(update(IdempotencyKey).where(*_same(claim.scope)).values(answer))

    def _columns(self, scope: Scope, stored: Stored) -> dict[str, Any]:
        return {
            "status": stored.status,
            "headers": {"Content-Type": stored.media_type},
            "body": self._sealer.seal(stored.body, scope.place).encode(),
        }

    def _stored(self, scope: Scope, row: Any) -> Stored:
        media_type = (row.headers or {}).get("Content-Type", "application/json")
        return Stored(row.status, media_type, self._sealer.open(row.body.decode(), scope.place))


def wait(again: Callable[[], T | Busy], seconds: float) -> T | Stored:
    """Ask `again` until nobody else is at work, at least PATIENCE_SECONDS; then the early answer, or InProgress."""
    deadline = time.monotonic() + max(seconds, PATIENCE_SECONDS)
    pause = 0.02
    found: T | Busy = Busy()
    while isinstance(found, Busy):
        if time.monotonic() >= deadline:
            if found.early is not None:
                return found.early
            raise InProgress(extra={"retry_after": 1})
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
        found = again()
    return found


def is_taken(error: IntegrityError) -> bool:
    """Whether the work was undone because somebody else had done it under the same key."""
    cause = error.orig
    return isinstance(cause, UniqueViolation) and cause.diag.constraint_name == "pk_idempotency_keys"


def purge(tx: Tx) -> None:
    """Remove keys older than we promise to keep them; called now and then by the worker."""
    tx.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < tx.now() - KEEP))


def _same(scope: Scope) -> tuple[Any, ...]:
    return (
        IdempotencyKey.merchant_id == scope.merchant_id,
        IdempotencyKey.route == scope.route,
        IdempotencyKey.key == scope.key,
    )
