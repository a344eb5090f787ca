"""`python -m proof.simulation PAYMENTS=2000 SEED=7`: run, print the seed, and end with 1 at a broken promise."""

import secrets
import sys

import click

from proof.options import options
from proof.relay import BREAKS
from proof.simulation.days import run

if __name__ == "__main__":
    given = options(payments=2000, seed=secrets.randbelow(10**9), processes=1, **{"break": ""})
    if given["break"] not in BREAKS:
        raise click.UsageError(f"BREAK is one of {', '.join(filter(None, BREAKS))}")
    if "0" in (given["payments"], given["processes"]):
        raise click.UsageError("PAYMENTS and PROCESSES are at least 1")
    sys.exit(run(int(given["payments"]), int(given["seed"]), given["break"], int(given["processes"])))
