"""The audit log: append-only, each entry sealed with the digest of the one before it, per merchant."""

import hashlib

import orjson
from sqlalchemy import select, text

from app.access.actor import Actor
from app.events.models import AuditEntry
from app.kit.database import Json, Tx

# The digest of each entry covers the one before.
_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtext('audit:' || :m))::text")


def record(tx: Tx, actor: Actor, action: str, object_id: str, facts: Json | None = None) -> None:
    """Write that `actor` did `action` (e.g. `task.completed`) to `object_id`. `facts` must hold no secret."""
    tx.rows(_TAKE_TURNS, {"m": actor.merchant_id})
    previous = tx.session.scalar(
        select(AuditEntry.digest)
        .where(AuditEntry.merchant_id == actor.merchant_id)
        .order_by(AuditEntry.id.desc())
        .limit(1)
    )
    entry = AuditEntry(
        merchant_id=actor.merchant_id,
        at=tx.now(),
        actor=actor.id,
        action=action,
        object_id=object_id,
        facts=facts or {},
        digest="",
    )
    entry.digest = digest(entry, previous or "")
    tx.session.add(entry)
    tx.session.flush()


def digest(entry: AuditEntry, previous: str) -> str:
    """SHA-256 over the previous digest and every column of the entry, as hexadecimal text."""
    content = [
        previous,
        entry.merchant_id,
        entry.at.isoformat(),
        entry.actor,
        entry.action,
        entry.object_id,
        entry.facts,
    ]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def verify(tx: Tx, merchant_id: str) -> int | None:
    """The id of the first entry whose seal is broken, or None when the chain is whole."""
    previous = ""
    entries = tx.session.scalars(
        select(AuditEntry).where(AuditEntry.merchant_id == merchant_id).order_by(AuditEntry.id)
    )
    for entry in entries:
        if entry.digest != digest(entry, previous):
            return entry.id
        previous = entry.digest
    return None
