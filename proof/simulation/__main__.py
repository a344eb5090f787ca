"""`python -m proof.simulation PAYMENTS=2000 SEED=7`: run, print the seed, and end with 1 at a broken promise."""

import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psycopg

from app.kit import log
from app.kit.embedded import EmbeddedPostgres
from app.migrate import upgrade
from proof.options import options
from proof.relay import BREAKS
from proof.simulation.history import digest
from proof.simulation.world import World


@contextmanager
def _database() -> Iterator[tuple[str, Path]]:
    """A server of its own that waits for no disk, whose statistics and clean-ups come when we ask and not by time."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-simulation-"))
    folder.chmod(0o711)
    try:
        with EmbeddedPostgres(folder / "server", durable=False) as url:
            upgrade(url)
            with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
                for setting in ("autovacuum = off", "jit = off", "shared_buffers = '512MB'"):
                    connection.execute(f"ALTER SYSTEM SET {setting}")
                connection.execute("SELECT pg_reload_conf()")
            yield url, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(payments: int, seed: int, breaking: str) -> int:
    log.configure("CRITICAL")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    click.echo(f"PAYMENTS={payments} SEED={seed}" + (f" BREAK={breaking}" if breaking else ""))
    with _database() as (url, folder):
        world = World(url, seed, folder, breaking=breaking)
        try:
            return _run(world, url, payments)
        finally:
            world.close()


def _run(world: World, url: str, payments: int) -> int:
    begun = time.monotonic()
    shown = 0

    def told(ordered: int) -> None:
        nonlocal shown
        if ordered - shown >= max(500, payments // 40):
            shown = ordered
            _maintain(url)
            _show(ordered, payments, begun)

    world.run(payments, told)
    seconds = time.monotonic() - begun
    found = world.check(rest=True)
    for what, times in sorted((world.tally + world.people.decided + world.shop.refused).items()):
        click.echo(f"{times:>9,} {what}")
    click.echo(f"{payments:,} payments in {seconds:.0f} s, {payments / seconds * 60:,.0f} a minute")
    click.echo(f"digest {digest(url, world.books())}")
    for broken in found[:20]:
        click.echo(f"BROKEN {broken}")
    if found:
        click.echo(f"{len(found)} broken; replay: make simulate PAYMENTS={payments} SEED={world.seed}")
    return int(bool(found))


def _maintain(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _show(done: int, of: int, begun: float) -> None:
    rate = done / (time.monotonic() - begun)
    click.echo(f"{done:>9,} of {of:,} ordered, {rate * 60:,.0f} a minute")


if __name__ == "__main__":
    given = options(payments=2000, seed=secrets.randbelow(10**9), **{"break": ""})
    if given["break"] not in BREAKS:
        raise click.UsageError(f"BREAK is one of {', '.join(filter(None, BREAKS))}")
    sys.exit(main(int(given["payments"]), int(given["seed"]), given["break"]))
