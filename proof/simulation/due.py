"""What is due anywhere in the simulated house, asked in one statement, so that nobody is sent to look in vain."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import text

from app.kit.database import Tx

#: The loop's own work beside the chores, which go by their names.
INSTANCES: Final = "instances"

# An inbox item of a leased instance is due at once for whoever has the lease, and no reason to wait for anybody else.
_DUE: Final = text("""
SELECT
    least(
        (SELECT min(greatest(due_at, lease_until)) FROM (
            SELECT due_at, lease_until FROM instances WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 20
         ) soonest),
        (SELECT min(lease_until) FROM instances WHERE lease_until IS NOT NULL),
        (SELECT CAST(:now AS timestamptz) FROM inbox JOIN instances i ON i.id = inbox.instance_id
         WHERE i.failures < 5 AND i.lease_owner IS NULL LIMIT 1)
    ) AS instances,
    (SELECT min(due_at) FROM inbound_webhooks WHERE due_at IS NOT NULL) AS inbound_webhooks,
    least(
        (SELECT min(due_at) FROM deliveries WHERE due_at IS NOT NULL),
        (SELECT CAST(:now AS timestamptz) FROM events WHERE drained_at IS NULL LIMIT 1)
    ) AS deliveries,
    (SELECT min(begun_at) + interval '2 minutes' FROM attempts a WHERE state = 'begun' AND NOT EXISTS (
         SELECT FROM instances i WHERE i.id = a.instance_id AND (i.calls ? a.activation OR i.status = 'incident')
     )) AS lost_answers,
    (SELECT min(due_at) FROM moves WHERE due_at IS NOT NULL) AS moves,
    (SELECT min(due_at) FROM occasions WHERE due_at IS NOT NULL) AS starts
""")


def due(tx: Tx, now: datetime) -> Mapping[str, datetime]:
    """When the next thing is due, for each kind of work that has any."""
    row = tx.execute(_DUE, {"now": now}).mappings().one()
    return {str(kind): moment for kind, moment in row.items() if moment is not None}
