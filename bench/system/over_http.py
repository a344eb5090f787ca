"""The whole system over HTTP: gunicorn and workers as in production, the shipped card payment, a gateway stub.

Latency counts from inside the request that accepts, just before its commit, to the commit that ended the flow, by
PostgreSQL's own record. The load is paced, so a slow answer delays nobody else's request.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import func, select, text

import handlers
from app import demo
from app.engine.models import Instance
from app.kit.database import Database
from app.kit.ids import new_id
from app.settings import ROOT
from bench.system.servers import Servers, free_port, gateways, process, wait_for_http

# Importing them declares the operations that the shipped flows call.
assert handlers

#: One web process with its threads, beside the workers, PostgreSQL, the stub and the loader. Where the rate is low some
#: of the load's connections idle for seconds, and none is to be closed under it.
WEB = (
    *("--worker-class", "gthread", "--workers", "1", "--threads", "8", "--keep-alive", "60"),
    *("--no-control-socket", "--log-level", "warning"),
)
CONNECTIONS = 24
PATIENCE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from accepted to done."""

    p50: float
    p99: float


class OverHttp:
    def __init__(self, servers: Servers, stub_port: int) -> None:
        self._servers = servers
        self._stub_port = stub_port
        self._port = free_port()
        self._database = Database(servers.url("http"))
        with self._database.begin() as tx:
            demo.prepare(tx, ["sandbox_a"], ROOT / "workflows")
            self._key = str(demo.issue_credentials(tx)["api_key"])

    @contextmanager
    def running(self, workers: int = 1) -> Iterator[None]:
        more = {"SLUICE_GATEWAYS": gateways(self._stub_port), "PORT": str(self._port)}
        environment = self._servers.environment("http", **more)
        web = ["-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{self._port}", *WEB]
        with ExitStack() as stack:
            stack.enter_context(process(web, environment, self._servers.folder / "web.log"))
            for number in range(workers):
                log = self._servers.folder / f"worker-{number}.log"
                stack.enter_context(process(["-m", "app.cli", "worker"], environment, log))
            wait_for_http(f"http://127.0.0.1:{self._port}/healthz")
            self.throughput(60)
            yield

    def throughput(self, count: int) -> float:
        """Payments per second, from the first request to the last flow that ended."""
        began = time.perf_counter()
        asyncio.run(self._flood(count))
        self._until_done()
        return count / (time.perf_counter() - began)

    def latency(self, rate: float, seconds: float) -> Latency:
        """At `rate` payments per second, whose arrivals are random."""
        since = self._now()
        asyncio.run(self._pace(rate, seconds))
        self._until_done()
        found = sorted(self._seconds(since))
        return Latency(found[len(found) // 2], found[int(len(found) * 0.99)])

    def close(self) -> None:
        self._database.close()

    async def _flood(self, count: int) -> None:
        left = iter(range(count))

        async def shop() -> None:
            connection = await self._connect()
            for _ in left:
                await self._pay(*connection)
            connection[1].close()

        await asyncio.gather(*(shop() for _ in range(CONNECTIONS)))

    async def _pace(self, rate: float, seconds: float) -> None:
        # Opened when they are needed: the web lends a thread to every new connection, however long it stays silent.
        idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        free = asyncio.Semaphore(CONNECTIONS)

        async def one() -> None:
            async with free:
                connection = idle.pop() if idle else await self._connect()
                await self._pay(*connection)
                idle.append(connection)

        chance = random.Random(4)
        due, end = time.perf_counter(), time.perf_counter() + seconds
        async with asyncio.TaskGroup() as sent:
            while (due := due + chance.expovariate(rate)) < end:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                sent.create_task(one())
        for _, writer in idle:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def _pay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cards differ, as they do in a shop: one card used by everybody would be counted as fraud.
        body = orjson.dumps(
            {
                "amount": 1999,
                "currency": "EUR",
                "payment_method": new_id("pm"),
                "reference": "order-1001",
                "customer": {"id": new_id("cus"), "email": "a@example.org", "country": "DE"},
                "metadata": {"order": "1001", "note": "x" * 120},
            }
        )
        head = (
            f"POST /v1/payments HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._key}\r\n"
            f"Idempotency-Key: {new_id('idem')}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        lines = answer.decode().split("\r\n")
        size = next(int(line.partition(": ")[2]) for line in lines if line.lower().startswith("content-length"))
        content = await reader.readexactly(size)
        if " 201 " not in lines[0]:
            raise RuntimeError(f"{lines[0]}: {content[:300]!r}")

    def _until_done(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        open_ones = select(func.count()).select_from(Instance).where(Instance.ended_at.is_(None))
        while time.monotonic() < deadline:
            with self._database.begin() as tx:
                left = tx.session.scalar(open_ones)
            if not left:
                return
            time.sleep(0.03)
        raise RuntimeError(f"{left} flows did not come to an end")

    def _now(self) -> datetime:
        with self._database.begin() as tx:
            return tx.now()

    def _seconds(self, since: datetime) -> list[float]:
        """Per payment. Nothing writes to an instance after its end, so its row tells the commit that ended it."""
        query = text("""
            SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - created_at)
            FROM instances WHERE created_at > :since AND process = 'card-payment'
        """)
        with self._database.begin() as tx:
            return [float(row[0]) for row in tx.execute(query, {"since": since})]
