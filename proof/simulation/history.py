"""A digest of everything that happened, the same for the same seed."""

import hashlib
from typing import Final

import orjson
import psycopg

from proof.invariants import Books

#: What is compared, each in an order of its own that no plan of the database decides.
_TOLD: Final = (
    "SELECT instance_id, seq, at, kind, element, node, actor, facts FROM journal ORDER BY instance_id, seq",
    "SELECT object_id, sequence, id, type, actor, created_at, data FROM events ORDER BY object_id, sequence",
    "SELECT id, state, outcome, gateway_reference, message, lookups, begun_at, finished_at FROM attempts ORDER BY id",
    "SELECT gateway, event_id, status, tries, received_at, applied_at FROM inbound_webhooks ORDER BY gateway, event_id",
)


def digest(url: str, books: Books) -> str:
    """SHA-256 over journal, events, attempts, webhooks and the gateways' books, as 64 hexadecimal digits."""
    seal = hashlib.sha256()
    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection, connection.cursor() as cursor:
        for query in _TOLD:
            with cursor.copy(f"COPY ({query}) TO STDOUT") as lines:
                for line in lines:
                    seal.update(line)
    for name in sorted(books):
        seal.update(orjson.dumps(books[name], option=orjson.OPT_SORT_KEYS))
    return seal.hexdigest()
