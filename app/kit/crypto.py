"""Signatures of webhooks, the same for what we send and what we receive.

The scheme is Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, written `v1,<base64>`, several separated by a
space while a secret is being rotated. A timestamp too far in the future is refused like one too far in the past.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.errors import InvalidInput, Unauthenticated

TOLERANCE_SECONDS = 300
_PREFIX = "whsec_"
_VERSION = "v1,"


class SignatureRefused(Unauthenticated):
    code = "signature_refused"
    title = "The signature does not match"


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """What a verified signature vouches for besides the body: the message's id and when it was signed."""

    id: str
    signed_at: datetime


def new_signing_secret() -> str:
    """`whsec_` and 32 random bytes in base64, the form libraries for Standard Webhooks expect."""
    return _PREFIX + base64.b64encode(os.urandom(32)).decode()


def signing_key(secret: str) -> bytes:
    """The bytes of a `whsec_` secret; InvalidInput, which never repeats the secret, when it has another form."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < 16:
        raise InvalidInput("A signing secret is 'whsec_' followed by at least 16 bytes in base64; generate a new one")
    return key


def signed_headers(secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a message; one signature per secret, so that receivers may change theirs at leisure."""
    timestamp = int(at.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(secret, message_id, timestamp, body) for secret in secrets),
    }


def verify_signature(
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> SignedMessage:
    """What the signature vouches for, or SignatureRefused. `body` is the raw bytes as they were received."""
    given = {name.lower(): value for name, value in headers.items()}
    message_id = given.get("webhook-id", "")
    timestamp = given.get("webhook-timestamp", "")
    if not message_id or not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 12):
        raise SignatureRefused("webhook-id or webhook-timestamp is missing or malformed")
    if abs(int(now.timestamp()) - int(timestamp)) > tolerance_seconds:
        raise SignatureRefused(f"webhook-timestamp is more than {tolerance_seconds} seconds away from now")
    offered = [text.encode() for text in given.get("webhook-signature", "").split(" ") if text.startswith(_VERSION)]
    expected = [_signature(secret, message_id, int(timestamp), body).encode() for secret in secrets]
    matches = [hmac.compare_digest(mine, theirs) for mine in expected for theirs in offered]
    if not any(matches):
        raise SignatureRefused("No signature was made with a secret we know")
    return SignedMessage(message_id, datetime.fromtimestamp(int(timestamp), UTC))


def _signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    content = f"{message_id}.{timestamp}.".encode() + body
    return _VERSION + base64.b64encode(hmac.digest(signing_key(secret), content, hashlib.sha256)).decode()
