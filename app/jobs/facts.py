"""What the database itself knows about how we are doing, asked when Prometheus asks: every web process says the same.

Alert on these and not on queues or processes: they stay right whoever died and whatever hint was lost. Each is one
look into a partial index.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.kit.database import Database, Tx

log = structlog.get_logger()

#: Parked instances are people's business, not the loop's; their inbox waits for a repair.
_NUMBERS: Final = (
    (
        "sluice_oldest_due_seconds",
        "How long the most overdue instance has been waiting for a worker",
        text("""
        SELECT greatest(0, extract(epoch FROM :now - min(due_at)))::float FROM instances
        WHERE due_at <= :now AND (lease_until IS NULL OR lease_until < :now)
        """),
    ),
    (
        "sluice_oldest_inbox_seconds",
        "How long the oldest item has been lying in an inbox",
        text("""
        SELECT greatest(0, extract(epoch FROM :now - min(inbox.created_at)))::float FROM inbox
        JOIN instances i ON i.id = inbox.instance_id WHERE i.status <> 'incident'
        """),
    ),
    (
        "sluice_expired_leases",
        "Instances whose worker died or slept, and nobody has taken over yet",
        text("SELECT count(*) FROM instances WHERE lease_until < :now AND lease_owner IS NOT NULL"),
    ),
    (
        "sluice_outbox_oldest_seconds",
        "How long the oldest event has been waiting to become deliveries",
        text("""
        SELECT greatest(0, extract(epoch FROM :now - created_at))::float FROM events
        WHERE drained_at IS NULL ORDER BY id LIMIT 1
        """),
    ),
    (
        "sluice_deliveries_overdue_seconds",
        "How long the most overdue delivery has been waiting to be tried",
        text("SELECT greatest(0, extract(epoch FROM :now - min(due_at)))::float FROM deliveries WHERE due_at <= :now"),
    ),
    (
        "sluice_deliveries_dead",
        "Deliveries that were given up",
        text("SELECT count(*) FROM deliveries WHERE status = 'dead'"),
    ),
    (
        "sluice_oldest_review_seconds",
        "How long the oldest open task has been waiting for a person",
        text("""
        SELECT greatest(0, extract(epoch FROM :now - min(created_at)))::float FROM tasks
        WHERE status IN ('open', 'claimed')
        """),
    ),
    (
        "sluice_incidents_open",
        "Instances that wait for a repair",
        text("SELECT count(*) FROM incidents WHERE status = 'open'"),
    ),
    (
        "sluice_inbound_webhooks_open",
        "Webhooks of gateways that were tried and not applied yet, or given up",
        text("SELECT count(*) FROM inbound_webhooks WHERE status IN ('new', 'unmatched', 'parked') AND tries > 0"),
    ),
    (
        "sluice_inbound_webhooks_oldest_seconds",
        "How long the oldest webhook of a gateway has been waiting to be applied",
        text("""
        SELECT greatest(0, extract(epoch FROM :now - min(received_at)))::float FROM inbound_webhooks
        WHERE status IN ('new', 'unmatched', 'parked')
        """),
    ),
    (
        "sluice_long_jobs_open",
        "Long jobs that are queued or running",
        text("SELECT count(*) FROM long_jobs WHERE status IN ('queued', 'running')"),
    ),
)
_UNKNOWN: Final = text("""
SELECT gateway, currency, count(*), sum(amount) FROM attempts WHERE outcome = 'unknown' GROUP BY gateway, currency
""")


class DatabaseFacts(Collector):
    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks the database nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        try:
            with self._database.begin() as tx:
                tx.local({"statement_timeout": "2s"})
                found = [*_numbers(tx), *_unknowns(tx)]
        except SQLAlchemyError as error:
            log.warning("facts.unknown", error=type(error).__name__)
            yield _gauge("sluice_database_up", "1 while the database answers", 0)
            return
        yield _gauge("sluice_database_up", "1 while the database answers", 1)
        yield from found


def _numbers(tx: Tx) -> Iterator[Metric]:
    for name, meaning, query in _NUMBERS:
        yield _gauge(name, meaning, tx.value(query, {"now": tx.now()}) or 0)


def _unknowns(tx: Tx) -> Iterator[Metric]:
    count = GaugeMetricFamily("sluice_unknown_attempts", "Attempts nobody knows the outcome of", labels=["gateway"])
    money = GaugeMetricFamily(
        "sluice_unknown_amount", "Money in such attempts, in minor units", labels=["gateway", "currency"]
    )
    counts: dict[str, int] = {}
    for gateway, currency, number, amount in tx.rows(_UNKNOWN):
        counts[gateway] = counts.get(gateway, 0) + number
        money.add_metric([gateway, currency], int(amount))
    for gateway, number in counts.items():
        count.add_metric([gateway], number)
    yield count
    yield money


def _gauge(name: str, meaning: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, meaning)
    family.add_metric([], value)
    return family
