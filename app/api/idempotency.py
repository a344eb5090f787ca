"""Idempotency-Key: the first request under a key does the work, every other one gets its answer.

The key is claimed by an INSERT of its own before the work; the answer is stored in the work's transaction. A claim is
a lease: if its holder dies, the next request takes over, and should the first one still be alive, the change of
`locked_until` makes its completion fail and rolls its work back. So the work happens once, whoever is slow or dies.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from flask import Request
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from app.api.models import IdempotencyKey
from app.errors import AppError, FieldError
from app.kit.database import NO_WAIT, Database, Tx
from app.kit.sealing import Sealer

LEASE = timedelta(seconds=20)
KEEP = timedelta(days=8)
#: How long an equal request waits for the first one's answer before it is told to come back.
PATIENCE_SECONDS = 2.0
_LONGEST_KEY = 255


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
    """The right to do the work, until the lease is over; `locked_until` is also what proves it."""

    scope: Scope
    locked_until: datetime


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

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    def claim(self, tx: Tx, scope: Scope) -> Claim | Stored | Busy:
        """The right to work, or the answer given before, or that somebody else is at work."""
        # The claim reaches the disk no later than the work that follows it, so its own commit need not wait.
        tx.local(NO_WAIT)
        until = tx.now() + LEASE
        row = {
            "merchant_id": scope.merchant_id,
            "route": scope.route,
            "key": scope.key,
            "fingerprint": scope.fingerprint,
            "created_at": tx.now(),
            "locked_until": until,
        }
        mine = insert(IdempotencyKey).values(row).on_conflict_do_nothing().returning(IdempotencyKey.key)
        if tx.session.scalar(mine) is not None:
            return Claim(scope, until)
        found = tx.session.scalar(_select(scope).with_for_update())
        if found is None:
            return Busy()
        if found.fingerprint != scope.fingerprint:
            raise KeyReused
        locked = found.locked_until is not None and found.locked_until > tx.now()
        if found.status is not None:
            stored = self._stored(scope, found)
            return Busy(stored) if locked else stored
        if locked:
            return Busy()
        found.locked_until = until
        return Claim(scope, until)

    def wait(self, scope: Scope, seconds: float) -> Claim | Stored:
        """Until the one at work is done, at least PATIENCE_SECONDS; then its early answer, or InProgress without."""
        deadline = time.monotonic() + max(seconds, PATIENCE_SECONDS)
        pause = 0.02
        result: Claim | Stored | Busy = Busy()
        while time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)
            with self._database.begin() as tx:
                result = self.claim(tx, scope)
            if not isinstance(result, Busy):
                return result
        if isinstance(result, Busy) and result.early is not None:
            return result.early
        raise InProgress(extra={"retry_after": 1})

    def complete(self, tx: Tx, claim: Claim, stored: Stored, better_in: timedelta | None = None) -> None:
        """Store the answer in the work's transaction; InProgress, undoing the work, if the claim was taken over.

        With `better_in` a better answer follows within that time (`amend`), and others wait for it.
        """
        until = tx.now() + better_in if better_in else None
        done = tx.changed(
            _mine(claim)
            .where(IdempotencyKey.status.is_(None), IdempotencyKey.locked_until == claim.locked_until)
            .values({**self._columns(claim.scope, stored), "locked_until": until})
        )
        if done != 1:
            raise InProgress(extra={"retry_after": 1})

    def amend(self, tx: Tx, claim: Claim, stored: Stored) -> None:
        """Replace the answer by the one the first request really got, after it waited for the instance to rest."""
        tx.execute(_mine(claim).values({**self._columns(claim.scope, stored), "locked_until": None}))

    def release(self, claim: Claim) -> None:
        """Forget a claim whose work was rolled back, so that the same key can be tried again at once."""
        with self._database.begin() as tx:
            tx.execute(
                delete(IdempotencyKey).where(
                    *_same(claim.scope),
                    IdempotencyKey.status.is_(None),
                    IdempotencyKey.locked_until == claim.locked_until,
                )
            )

    def _columns(self, scope: Scope, stored: Stored) -> dict[str, Any]:
        return {
            "status": stored.status,
            "headers": {"Content-Type": stored.media_type},
            "body": self._sealer.seal(stored.body, scope.place).encode(),
        }

    def _stored(self, scope: Scope, row: IdempotencyKey) -> Stored:
        assert row.status is not None
        assert row.body is not None
        media_type = (row.headers or {}).get("Content-Type", "application/json")
        return Stored(row.status, media_type, self._sealer.open(row.body.decode(), scope.place))


def purge(tx: Tx) -> None:
    """Remove keys older than we promise to keep them; called now and then by the worker."""
    tx.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < tx.now() - KEEP))


def _same(scope: Scope) -> tuple[Any, ...]:
    return (
        IdempotencyKey.merchant_id == scope.merchant_id,
        IdempotencyKey.route == scope.route,
        IdempotencyKey.key == scope.key,
    )


def _select(scope: Scope) -> Any:
    return select(IdempotencyKey).where(*_same(scope)).execution_options(populate_existing=True)


def _mine(claim: Claim) -> Any:
    return update(IdempotencyKey).where(*_same(claim.scope))
