"""`make bench`: rounds in which everybody has a turn, medians, and `var/bench.json`. Nothing asserts a time."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click
import orjson

from app.settings import ROOT
from bench.options import options
from bench.system import naive
from bench.system.engine import Engine
from bench.system.over_http import OverHttp
from bench.system.servers import Servers, free_port, output, pgbench, process, servers, wait_for_http

TARGET = ROOT / "var" / "bench.json"
#: One commit: about 2 kB inserted, one row updated.
TRANSACTION = """
\\set id random(1, 10000)
\\set k random(1, 1000000000)
BEGIN;
INSERT INTO journal (payment, body) VALUES (:id, lpad(:k::text, 1900, 'x9f3kq7a'));
UPDATE states SET n = n + 1, k = :k WHERE id = :id;
COMMIT;
"""
TABLES = (
    "CREATE TABLE journal (id bigserial PRIMARY KEY, payment bigint, body text, at timestamptz DEFAULT now())",
    "CREATE TABLE states (id bigint PRIMARY KEY, n int DEFAULT 0, k bigint)",
    "INSERT INTO states SELECT g, 0, 0 FROM generate_series(1, 10000) g",
)
LABELS = {
    "pgbench_1": "pgbench, 2 kB insert + update per commit, 1 client (commits/s)",
    "pgbench_8": "the same, 8 clients (commits/s)",
    "dbos_1": "DBOS, six steps, 1 thread",
    "dbos_8": "DBOS, six steps, 8 threads",
    "naive_reload": "SpiffWorkflow, whole JSON per step, six steps",
    "rq": "the same, one RQ job per step, 2 workers, 2 of 6 steps over HTTP",
    "engine_1": "Sluice's engine, six gateway calls, 1 worker",
    "engine_2": "Sluice's engine, six gateway calls, 2 workers",
    "http_1": "Sluice over HTTP: card payment, 2 gateway calls, ledger, events, 1 worker",
    "http_2": "the same, 2 workers",
}


class Bench:
    def __init__(self, where: Servers, stub_port: int) -> None:
        self._where = where
        self._stub_port = stub_port
        self.engine = Engine(where)
        self.http = OverHttp(where, stub_port)
        self._script = where.folder / "transaction.sql"
        self._script.write_text(TRANSACTION)
        with where.connect("pgbench") as connection:
            for statement in TABLES:
                connection.execute(statement)
        with where.connect("naive") as connection:
            connection.execute(naive.TABLE)

    def contenders(self) -> dict[str, Callable[[], float]]:
        """Everybody who has a turn in each round, and what the turn tells: something per second."""
        return {
            "pgbench_1": lambda: self._pgbench(1),
            "pgbench_8": lambda: self._pgbench(8),
            "dbos_1": lambda: self._dbos(100, 1),
            "dbos_8": lambda: self._dbos(250, 8),
            "naive_reload": self._naive,
            "engine_1": lambda: self.engine.throughput(1, 1500),
            "engine_2": lambda: self.engine.throughput(2, 2500),
            "rq": self._rq,
            "http_1": lambda: self._http(1),
            "http_2": lambda: self._http(2),
        }

    def _pgbench(self, clients: int) -> float:
        load = ["-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", "2", "-f", str(self._script)]
        told = output([pgbench(), *load, self._where.plain("pgbench")])
        return float(next(line.split()[2] for line in told.splitlines() if line.startswith("tps")))

    def _dbos(self, count: int, threads: int) -> float:
        command = [sys.executable, "-m", "bench.system.dbos_flow", self._where.plain("dbos"), str(count), str(threads)]
        return float(output(command).splitlines()[-1])

    def _naive(self) -> float:
        command = [sys.executable, "-m", "bench.system.naive", self._where.plain("naive"), "150"]
        return float(output(command).splitlines()[-1])

    def _rq(self) -> float:
        environment = {
            **self._where.environment("naive"),
            "NAIVE_DATABASE": self._where.plain("naive"),
            "NAIVE_STUB": f"http://127.0.0.1:{self._stub_port}",
            "NAIVE_REDIS": self._where.redis,
        }
        with ExitStack() as stack:
            for number in range(2):
                command = ["-m", "rq.cli", "worker", "-q", "-w", "rq.worker.SimpleWorker", "--url", self._where.redis]
                log = self._where.folder / f"rq-{number}.log"
                stack.enter_context(process([*command, naive.QUEUE], environment, log))
            naive.enqueued(self._where.plain("naive"), self._where.redis, 6)
            return naive.enqueued(self._where.plain("naive"), self._where.redis, 90)

    def _http(self, workers: int) -> float:
        with self.http.running(workers):
            return self.http.throughput(800)

    def close(self) -> None:
        self.engine.close()
        self.http.close()


@contextmanager
def benches() -> Iterator[Bench]:
    with servers() as where:
        port = free_port()
        with process(["-m", "bench.system.stub", str(port)], where.environment("http"), where.folder / "stub.log"):
            wait_for_http(f"http://127.0.0.1:{port}/")
            bench = Bench(where, port)
            yield bench
            bench.close()


def main(rounds: int, only: tuple[str, ...]) -> None:
    found: dict[str, list[float]] = defaultdict(list)
    with benches() as bench:
        contenders = {name: turn for name, turn in bench.contenders().items() if not only or name in only}
        for number in range(rounds):
            for name, turn in contenders.items():
                found[name].append(turn())
                click.echo(f"round {number + 1}  {name:<14} {found[name][-1]:10.1f}", err=True)
        medians = {name: statistics.median(values) for name, values in found.items()}
        if not only or "alone" in only:
            alone = bench.engine.alone(100)
            medians |= {"points": alone.durable_points, "wal": alone.wal_bytes, "alone": alone.p50_seconds}
        if not only or "latency" in only:
            with bench.http.running(2):
                latency = bench.http.latency(100, 20)
            medians |= {"p50": latency.p50, "p99": latency.p99}
    for name, label in LABELS.items():
        if name in found:
            click.echo(f"{label:<72}{medians[name]:>10.1f}   {' '.join(f'{value:.0f}' for value in found[name])}")
    if only:
        click.echo(orjson.dumps(medians, option=orjson.OPT_INDENT_2).decode())
    else:
        _tell(_summary(medians))


def _summary(medians: dict[str, float]) -> dict[str, float]:
    engine = max(medians["engine_1"], medians["engine_2"])
    http = max(medians["http_1"], medians["http_2"])
    told = {
        "engine_payments_per_s": engine,
        "vs_dbos": engine / max(medians["dbos_1"], medians["dbos_8"]),
        "vs_naive_reload": engine / medians["naive_reload"],
        "vs_pgbench8_over_7": engine / (medians["pgbench_8"] / 7),
        "http_payments_per_s": http,
        "vs_rq_job_per_step": http / medians["rq"],
        "accepted_to_done_p50_ms": medians["p50"] * 1000,
        "accepted_to_done_p99_ms": medians["p99"] * 1000,
        "durable_points": medians["points"],
        "wal_bytes_per_payment": medians["wal"],
    }
    return {name: round(value, 2) for name, value in told.items()}


def _tell(summary: dict[str, float]) -> None:
    click.echo()
    for name, value in summary.items():
        click.echo(f"{name:<28}{value:>12.2f}")
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    click.echo(f"\nWritten to {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    # ONLY is for whoever works on one of them: `python -m bench.system ONLY=engine_1,alone`.
    chosen = tuple(word[5:].split(",") for word in sys.argv[1:] if word.startswith("ONLY="))
    sys.argv[1:] = [word for word in sys.argv[1:] if not word.startswith("ONLY=")]
    main(**options(rounds=3), only=tuple(chosen[0]) if chosen else ())
