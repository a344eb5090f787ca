"""`python -m bench.diagrams COUNT=5000 SEED=1`: random diagrams, each run twice side by side.

One run stays in memory, the other is written out and read again after every step; state, journal and variables must be
equal to the byte. A seed that fails is printed with the command that replays it.
"""

import secrets
import sys
import time
from collections import Counter

import click

from bench.options import options
from tests.engine import structured


def main(count: int, seed: int) -> int:
    """The exit code: how many diagrams failed, at most 1."""
    click.echo(f"COUNT={count} SEED={seed}")
    began, failed = time.monotonic(), 0
    seen: Counter[str] = Counter()
    for number in range(seed, seed + count):
        try:
            drive = structured.run(number)
        except Exception as broken:  # whatever it is, it is this seed's failure and the others go on
            failed += 1
            click.echo(
                f"FAILED {type(broken).__name__}: {broken}\n  replay: python -m bench.diagrams SEED={number} COUNT=1"
            )
            continue
        seen["steps"] += drive.steps
        seen["journal entries"] += len(drive.journal)
        kinds = {element.kind for diagram in drive.bundle.diagrams.values() for element in diagram.elements.values()}
        seen.update(f"with {kind}" for kind in kinds)
    for what, times in sorted(seen.items()):
        click.echo(f"{times:>9,} {what}")
    click.echo(f"{count - failed:,} of {count:,} diagrams ended with equal runs in {time.monotonic() - began:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    given = options(count=5000, seed=secrets.randbelow(10**9))
    sys.exit(main(given["count"], given["seed"]))
