"""The two statements that lease what is due: the oldest first, or merchants in turn.

Both take a due timer, an inbox item or a lease that ran out, skip what is leased or locked, and leave the parked
alone. What is leased is due again when its lease runs out: its `due_at` is empty until it is saved. Whoever takes a
lease over from somebody else counts that as a death of his. Their parameters: now, until, owner, limit, parked,
except_for. They return the columns of COLUMNS, and whether the lease was somebody else's.
"""

from sqlalchemy import text

#: What a claim needs of an instance.
COLUMNS = (
    "id",
    "merchant_id",
    "process",
    "version",
    "subject",
    "status",
    "pins",
    "variables",
    "state",
    "journal_seq",
    "fence",
    "failures",
    "deaths",
    "trace",
    "calls",
)
_FREE = "(i.lease_until IS NULL OR i.lease_until < :now OR i.lease_owner = :owner) AND NOT (i.id = ANY(:except_for))"

# Ask for the lock last, and look again: somebody may have taken it since it was found.
_TAKE = f"""
taken AS (
    SELECT i.id, i.lease_owner FROM instances i JOIN due ON due.id = i.id
    WHERE {_FREE}
    ORDER BY due.place, due.lot
    LIMIT :limit
    FOR NO KEY UPDATE OF i SKIP LOCKED
)
UPDATE instances SET
    lease_owner = :owner, lease_until = :until, due_at = NULL,
    deaths = instances.deaths + CASE WHEN instances.lease_owner <> :owner THEN 1 ELSE 0 END
FROM taken WHERE instances.id = taken.id
RETURNING {", ".join(f"instances.{name}" for name in COLUMNS)}, (taken.lease_owner <> :owner) IS TRUE AS taken_over
"""  # noqa: S608 - put together from the constants of this file

OLDEST = text(f"""
WITH due AS (
    SELECT id, min(place) AS place, id AS lot FROM (
        (SELECT i.id, 1 AS place FROM instances i WHERE i.due_at <= :now AND {_FREE} ORDER BY i.due_at LIMIT :limit)
        UNION ALL
        (SELECT i.id, 1 FROM inbox JOIN instances i ON i.id = inbox.instance_id
         WHERE i.failures < :parked AND {_FREE}
         GROUP BY i.id ORDER BY min(inbox.id) LIMIT :limit)
        UNION ALL
        (SELECT i.id, 1 FROM instances i WHERE i.lease_until < :now ORDER BY i.lease_until LIMIT :limit)
    ) found
    GROUP BY id
), {_TAKE}
""")  # noqa: S608 - put together from the constants of this file

# The merchants with timers are found by skipping through an index, one step for each of them; the order names both of
# its columns, so that no other index will do. What has just been started is due since just now, so it is among the
# newest, and takes turns with the oldest: a backlog of timers holds up nobody who comes with something new. Where more
# have their turn than are taken, lots are drawn anew each time.
FAIR = text(f"""
WITH RECURSIVE crowd AS (
    (SELECT merchant_id FROM instances WHERE due_at IS NOT NULL ORDER BY merchant_id, due_at LIMIT 1)
    UNION ALL
    SELECT (
        SELECT i.merchant_id FROM instances i
        WHERE i.due_at IS NOT NULL AND i.merchant_id > crowd.merchant_id
        ORDER BY i.merchant_id, i.due_at LIMIT 1
    )
    FROM crowd WHERE crowd.merchant_id IS NOT NULL
), due AS (
    SELECT id, min(place) AS place, md5(id || CAST(:now AS text)) AS lot FROM (
        SELECT oldest.id, oldest.place FROM crowd CROSS JOIN LATERAL (
            SELECT first.id, row_number() OVER (ORDER BY first.due_at) AS place FROM (
                SELECT i.id, i.due_at FROM instances i
                WHERE i.merchant_id = crowd.merchant_id AND i.due_at <= :now AND {_FREE}
                ORDER BY i.due_at LIMIT :limit
            ) first
        ) oldest
        UNION ALL
        SELECT fresh.id, fresh.place FROM crowd CROSS JOIN LATERAL (
            SELECT newest.id, row_number() OVER (ORDER BY newest.due_at) AS place FROM (
                SELECT i.id, i.due_at, i.journal_seq FROM instances i
                WHERE i.merchant_id = crowd.merchant_id AND i.due_at <= :now AND {_FREE}
                ORDER BY i.due_at DESC LIMIT :limit
            ) newest
            WHERE newest.journal_seq = 0
        ) fresh
        UNION ALL
        SELECT i.id, row_number() OVER (PARTITION BY i.merchant_id ORDER BY min(inbox.id))
        FROM inbox JOIN instances i ON i.id = inbox.instance_id
        WHERE i.failures < :parked AND {_FREE}
        GROUP BY i.id, i.merchant_id
        UNION ALL
        (SELECT i.id, 1 FROM instances i WHERE i.lease_until < :now ORDER BY i.lease_until LIMIT :limit)
    ) found
    GROUP BY id
), {_TAKE}
""")  # noqa: S608 - put together from the constants of this file
