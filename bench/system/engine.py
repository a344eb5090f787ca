"""The engine alone: payments are written by the thousand and advanced by worker processes; no web, no HTTP.

The time includes writing the payments and their instances. Six calls each go to a gateway inside the worker.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text

from app.access.actor import Actor, system
from app.access.merchants import create_merchant
from app.engine import definitions, pins
from app.engine.inbox import CHANNEL
from app.engine.lint import Upload
from app.engine.models import Instance
from app.kit.database import Database, Json, Tx
from app.kit.ids import new_id
from app.operations import registry
from app.payments.models import Payment
from bench.system import six
from bench.system.servers import Servers, process

# Whether there is any, by an index: counting, or reading the table, would cost a good part of what is measured.
_BY_INDEX = text("SET LOCAL enable_seqscan = off")
_LEFT = text("""
SELECT EXISTS (SELECT FROM instances WHERE due_at IS NOT NULL)
    OR EXISTS (SELECT FROM instances WHERE lease_until IS NOT NULL)
""")
MERCHANT = "mer_bench"
AT_ONCE = 500
PATIENCE = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class Alone:
    """One payment at a time: commits that waited for the disk, bytes of WAL, and seconds from accepted to done."""

    durable_points: float
    wal_bytes: float
    p50_seconds: float


class Engine:
    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._database = Database(servers.url("engine"))
        with self._database.begin() as tx:
            create_merchant(tx, "Bench", merchant_id=MERCHANT)
            upload = Upload("six-calls.bpmn", six.OURS)
            definitions.deploy(tx, system(MERCHANT), [upload], publish=True, operations=registry)
            self._pinned = pins.pins_for(tx, MERCHANT, six.PROCESS)

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        environment = self._servers.environment("engine", SLUICE_LOG_LEVEL="WARNING")
        with ExitStack() as stack:
            for number in range(count):
                log = self._servers.folder / f"engine-{number}.log"
                stack.enter_context(process(["-m", "bench.system.worker"], environment, log))
            # One payment for each shows that it is up, and warms it.
            self._run(count * 40)
            yield

    def throughput(self, workers: int, count: int) -> float:
        """Payments per second from the first that is written to the last that is done."""
        with self.workers(workers):
            return count / self._run(count)

    def alone(self, count: int) -> Alone:
        with self.workers(1):
            seconds = []
            before = self._disk()
            for _ in range(count):
                began = time.perf_counter()
                self._accept(1)
                self._until_done(0.0005)
                seconds.append(time.perf_counter() - began)
            # Idle workers hand in their statistics with the sweep after the next one.
            time.sleep(2.5)
            after = self._disk()
        return Alone((after[0] - before[0]) / count, (after[1] - before[1]) / count, statistics.median(seconds))

    def close(self) -> None:
        self._database.close()

    def _run(self, count: int) -> float:
        began = time.perf_counter()
        for start in range(0, count, AT_ONCE):
            self._accept(min(AT_ONCE, count - start))
        self._until_done(0.02)
        return time.perf_counter() - began

    def _accept(self, count: int) -> None:
        """What `create_payment` leaves for the engine, many in one transaction."""
        with self._database.begin() as tx:
            for _ in range(count):
                instance, payment = self._rows(tx, system(MERCHANT))
                tx.insert(Instance, **instance)
                tx.insert(Payment, **payment)
            tx.notify(CHANNEL)

    def _rows(self, tx: Tx, actor: Actor) -> tuple[Json, Json]:
        now, payment_id, instance_id = tx.now(), new_id("pay"), new_id("ins")
        shared = {"merchant_id": MERCHANT, "created_by": actor.id, "created_at": now, "updated_at": now}
        instance = {
            **shared,
            "id": instance_id,
            "definition_id": self._pinned.definition_id,
            "process": six.PROCESS,
            "version": self._pinned.version,
            "subject": payment_id,
            "status": "running",
            "pins": dict(self._pinned.pins),
            "variables": {"payment": payment_id, **six.PAYLOAD},
            "due_at": now,
        }
        payment = {
            **shared,
            "id": payment_id,
            "instance_id": instance_id,
            "status": "processing",
            "amount": six.PAYLOAD["amount"],
            "currency": six.PAYLOAD["currency"],
            "process": six.PROCESS,
            "payment_method": six.PAYLOAD["method"],
            "method_fingerprint": "fp_bench",
            "capture_method": "automatic",
            "reference": "",
            "customer": six.PAYLOAD["customer"],
            "metadata_": six.PAYLOAD["metadata"],
            "return_url": "",
        }
        return instance, payment

    def _until_done(self, pause: float) -> None:
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while time.monotonic() < deadline:
            with self._database.begin() as tx:
                tx.execute(_BY_INDEX)
                if not tx.execute(_LEFT).scalar_one():
                    return
            time.sleep(pause)
        raise RuntimeError("The engine did not come to an end")

    def _disk(self) -> tuple[float, float]:
        """Flushes of the WAL that a session waited for, and the position in it in bytes."""
        with self._database.begin() as tx:
            tx.execute(text("SELECT pg_stat_force_next_flush()"))
        with self._database.begin() as tx:
            look = text("""
                SELECT (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal' AND backend_type = 'client backend')
                       AS flushes,
                       pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS position
            """)
            row = tx.execute(look).one()
        return float(row.flushes), float(row.position)
