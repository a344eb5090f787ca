"""Who calls: the secret of `Authorization: Bearer …`, resolved to an actor."""

import hashlib

from flask import Request, request

from app.access import api_keys
from app.access.actor import Actor
from app.errors import Unauthenticated
from app.kit.database import Tx


def bearer(incoming: Request) -> str:
    """The secret the request carries, or "" without one."""
    scheme, _, secret = incoming.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.casefold() == "bearer" else ""


def authenticate(tx: Tx, incoming: Request) -> Actor:
    secret = bearer(incoming)
    if not secret:
        raise Unauthenticated("Send `Authorization: Bearer` with an API key or a personal token")
    return api_keys.authenticate(tx, secret)


def caller() -> str:
    """Under what a request is counted: its key, as a digest since the store of counts is no place for secrets."""
    secret = bearer(request)
    if secret:
        return "key:" + hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()[:32]
    return "address:" + (request.remote_addr or "")
