"""A run of the simulation: as many days as it takes, each on a server of its own, one by one or several at once.

Whatever is printed about a day is enough to live it again.
"""

import hashlib
import multiprocessing
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click
import psycopg

from app.kit import log
from app.kit.embedded import EmbeddedPostgres
from app.migrate import upgrade
from proof.simulation.day import Day, Outcome, Plan

#: Payments of one day: its tables stay small, and whatever breaks is replayed within a minute or two.
DAY: Final = 2000
#: A server whose statistics and clean-ups come when we ask and not by time, and whose plans hang on the data alone:
#: neither on a sample of it, nor on who else reads a table at the moment.
_SETTINGS: Final = (
    *("autovacuum = off", "jit = off", "checkpoint_timeout = '1h'", "max_wal_size = '16GB'"),
    *("default_statistics_target = 500", "synchronize_seqscans = off", "max_parallel_workers_per_gather = 0"),
)


def _leave_nothing_behind() -> None:
    """Told to end, a process stops its server and clears its folder first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _live(plan: Plan) -> Outcome:
    """A day with a server and a folder of its own that are gone afterwards.

    Two days on one server would not be the same twice: each moves when the other's tables are tidied, and with that the
    order in which rows are found that no statement asks to be sorted.
    """
    log.configure("CRITICAL")
    folder = Path(tempfile.mkdtemp(prefix="sluice-simulation-"))
    folder.chmod(0o711)
    try:
        with EmbeddedPostgres(folder / "server", durable=False) as url:
            with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
                for setting in _SETTINGS:
                    connection.execute(f"ALTER SYSTEM SET {setting}")
                connection.execute("SELECT pg_reload_conf()")
            upgrade(url)
            return Day(plan, url, folder / "books").live()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(payments: int, seed: int, breaking: str, processes: int) -> int:
    """Live `payments` in `processes` at once and print what happened; 1 when a promise was broken."""
    _leave_nothing_behind()
    click.echo(f"PAYMENTS={payments} SEED={seed}" + (f" BREAK={breaking}" if breaking else ""))
    plans = [
        Plan(min(DAY, payments - begun), seed + day, breaking) for day, begun in enumerate(range(0, payments, DAY))
    ]
    if processes == 1:
        return _tell(map(_live, plans))
    with multiprocessing.get_context("spawn").Pool(processes, _leave_nothing_behind) as pool:
        return _tell(pool.imap(_live, plans))


def _tell(days: Iterable[Outcome]) -> int:
    """Print each day as it ends; 1 after the first whose promises were broken."""
    begun = time.monotonic()
    lived: list[Outcome] = []
    for day in days:
        lived.append(day)
        done = sum(one.plan.payments for one in lived)
        rate = done / (time.monotonic() - begun) * 60
        click.echo(f"{done:>9,} payments, {rate:,.0f} a minute; SEED={day.plan.seed} digest {day.digest}")
        if day.broken:
            break
    _sum_up(lived, time.monotonic() - begun)
    return int(bool(lived[-1].broken))


def _sum_up(lived: Sequence[Outcome], seconds: float) -> None:
    payments = sum(one.plan.payments for one in lived)
    for what, times in sorted(sum((one.tally for one in lived), Counter()).items()):
        click.echo(f"{times:>9,} {what}")
    click.echo(f"{payments:,} payments in {seconds:.0f} s, {payments / seconds * 60:,.0f} a minute")
    click.echo(f"digest {hashlib.sha256(''.join(one.digest for one in lived).encode()).hexdigest()}")
    last = lived[-1]
    for broken in last.broken[:20]:
        click.echo(f"BROKEN {broken}")
    if last.broken:
        click.echo(f"{len(last.broken)} broken {last.when}; replay: {last.plan.replay}")
