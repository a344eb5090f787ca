"""Webhooks of Stripe, verified by ourselves: its SDK accepts a timestamp that lies in the future.

`Stripe-Signature: t=<seconds>,v1=<hex>`, an HMAC-SHA256 over `t.body` keyed with the endpoint's secret as text; several
v1 while Stripe rotates it, and several secrets here while we do. Source: docs.stripe.com/webhooks, "Verify manually".
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from app.gateways.port import EventKind, GatewayEvent, InvalidSignature
from app.gateways.redact import redacted, without_nul
from app.gateways.stripe_mapping import KEY
from app.kit.crypto import TOLERANCE_SECONDS

_HEADER: Final = "stripe-signature"
_MOST_SIGNATURES: Final = 16
#: Sent before the payment is confirmed, when there is nothing to learn about it.
_TOO_EARLY: Final = "payment_intent.created"
_ACTED: Final = frozenset({"payment_intent.amount_capturable_updated", "payment_intent.payment_failed"})


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> datetime:
    """When the raw `body` was signed; InvalidSignature when not by Stripe, or not within five minutes of `now`."""
    given = {name.lower(): value for name, value in headers.items()}.get(_HEADER, "")
    parts = [part.partition("=")[::2] for part in given.split(",")[:_MOST_SIGNATURES]]
    times = [value for name, value in parts if name.strip() == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdecimal() and len(times[0]) < 12):
        raise InvalidSignature("Stripe-Signature is missing or has no single time t")
    signed_at = int(times[0])
    if abs(int(now.timestamp()) - signed_at) > TOLERANCE_SECONDS:
        raise InvalidSignature(f"Stripe-Signature is more than {TOLERANCE_SECONDS} seconds away from now")
    offered = [value.strip().encode() for name, value in parts if name.strip() == "v1"]
    content = b"%d." % signed_at + body
    expected = [hmac.new(secret.encode(), content, hashlib.sha256).hexdigest().encode() for secret in secrets]
    matches = [hmac.compare_digest(mine, theirs) for mine in expected for theirs in offered]
    if not any(matches):
        raise InvalidSignature("No signature was made with a secret we know")
    return datetime.fromtimestamp(signed_at, UTC)


def read(body: bytes, signed_at: datetime) -> GatewayEvent:
    """The event in a verified `body`; what we cannot read is kept as OTHER under the hash of its bytes."""
    payload = _json_object(body)
    event_id, kind, shown = payload.get("id"), payload.get("type"), _shown(payload)
    if not isinstance(event_id, str) or not event_id or not isinstance(kind, str) or not shown:
        identity = event_id if isinstance(event_id, str) and event_id else hashlib.sha256(body).hexdigest()
        return GatewayEvent(identity, EventKind.OTHER, signed_at, payload=redacted(payload))
    metadata = shown.get("metadata")
    about = shown.get("object")
    return GatewayEvent(
        id=event_id,
        kind=_kind(kind, about),
        occurred_at=_moment(payload.get("created")) or signed_at,
        key=_text(metadata, KEY),
        charge=_text(shown, "id") if about == "payment_intent" else _text(shown, "payment_intent"),
        dispute=_text(shown, "id") if about == "dispute" else "",
        type=kind,
        payload=redacted(payload),
    )


def _kind(kind: str, about: object) -> EventKind:
    if about == "dispute":
        return EventKind.DISPUTE_UPDATED
    if kind in _ACTED:
        return EventKind.ACTION_COMPLETED
    if about in ("payment_intent", "refund") and kind != _TOO_EARLY:
        return EventKind.ATTEMPT_UPDATED
    return EventKind.OTHER


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        payload = orjson.loads(without_nul(body))
    except orjson.JSONDecodeError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _shown(payload: Mapping[str, Any]) -> dict[str, Any]:
    data = payload.get("data")
    shown = data.get("object") if isinstance(data, dict) else None
    return shown if isinstance(shown, dict) else {}


def _moment(value: object) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) and 0 <= value < 10**11 else None


def _text(shown: object, name: str) -> str:
    value = shown.get(name) if isinstance(shown, dict) else None
    return value if isinstance(value, str) else ""
