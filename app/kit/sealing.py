"""Secrets at rest: AES-256-GCM under a master key, bound to the place they belong to.

The place (table, row and column) is authenticated but not stored, so a sealed value copied into another row does not
open there. Every value names its key, so an old key stays readable while new values are sealed with the current one.
"""

import base64
import binascii
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import AppError

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = "s1"


class SealBroken(AppError):
    code = "seal_broken"
    title = "A stored secret cannot be opened with the keys we have"
    status = 500


class Sealer:
    """Seals under `current`, opens under any of `keys` (32 bytes each, by a short name without dots)."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        if current not in keys:
            raise ValueError(f"there is no master key named {current!r}")
        for name, key in keys.items():
            if len(key) != KEY_BYTES or not name or "." in name:
                raise ValueError(f"master key {name!r} must have a name without dots and {KEY_BYTES} bytes")
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._current = current

    @classmethod
    def from_text(cls, text: str) -> "Sealer":
        """From a setting such as `k2:<base64>,k1:<base64>`; the first key seals, all of them open."""
        pairs = [part.strip().partition(":") for part in text.split(",") if part.strip()]
        try:
            keys = {name: base64.b64decode(encoded, validate=True) for name, _, encoded in pairs}
        except binascii.Error:
            raise ValueError("a master key must be `name:` followed by 32 bytes in base64") from None
        if not pairs:
            raise ValueError("there must be at least one master key")
        return cls(keys, pairs[0][0])

    def seal(self, plain: bytes, place: str) -> str:
        """`s1.<key>.<base64>`; `place` is for example `webhook_endpoints/whe_1/current`."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, plain, _bound(place, self._current))
        return f"{_VERSION}.{self._current}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, place: str) -> bytes:
        version, _, rest = sealed.partition(".")
        name, _, encoded = rest.partition(".")
        cipher = self._ciphers.get(name)
        if version != _VERSION or cipher is None:
            raise SealBroken(f"{place} is sealed with a key we do not have")
        try:
            content = _read(encoded)
            return cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], _bound(place, name))
        except (InvalidTag, ValueError):
            raise SealBroken(f"{place} was changed or belongs elsewhere") from None


def _read(encoded: str) -> bytes:
    """The last letter may have bits that say nothing; a value has one way to be written all the same."""
    content = base64.b64decode(encoded, validate=True)
    if base64.b64encode(content).decode() != encoded:
        raise ValueError("not as it was written")
    return content


def _bound(place: str, key: str) -> bytes:
    return f"{_VERSION}\x1f{key}\x1f{place}".encode()
