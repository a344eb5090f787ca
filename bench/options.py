"""Options as make writes them: `COUNT=5000 SEED=7`."""

import sys

import click


def options(**known: int) -> dict[str, int]:
    """The numbers given on the command line over the known ones. Raises click.UsageError for any other word."""
    found = dict(known)
    for word in sys.argv[1:]:
        name, _, value = word.partition("=")
        if name.lower() not in known or not value.isdecimal():
            raise click.UsageError(f"{word!r} is none of {', '.join(f'{key.upper()}=<number>' for key in known)}")
        found[name.lower()] = int(value)
    return found
