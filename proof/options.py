"""Options as make writes them: `PAYMENTS=2000 SEED=7 BREAK=fresh-keys`."""

import sys

import click


def options(**known: int | str) -> dict[str, str]:
    """What is given on the command line over the known defaults; where a default is a number, only numbers.

    Raises click.UsageError for any other word.
    """
    found = {name: str(value) for name, value in known.items()}
    for word in sys.argv[1:]:
        name, _, value = word.partition("=")
        default = known.get(name.lower())
        if default is None or (isinstance(default, int) and not value.isdecimal()):
            raise click.UsageError(f"{word!r} is none of {', '.join(f'{key.upper()}=...' for key in known)}")
        found[name.lower()] = value
    return found
