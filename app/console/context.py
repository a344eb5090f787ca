"""What the console is given when it is wired, and how a page reaches it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from flask import current_app

from app.events.endpoints import Endpoints
from app.events.webhooks import Webhooks
from app.kit.clock import Clock
from app.kit.database import Database, Tx

EXTENSION = "sluice_console"


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """`secure_cookies` is off only for plain http on the own machine; `base_url` is how people reach the console."""

    secure_cookies: bool
    base_url: str


@dataclass(frozen=True, slots=True)
class ConsoleContext:
    database: Database
    clock: Clock
    settings: ConsoleSettings
    endpoints: Endpoints
    webhooks: Webhooks


def console() -> ConsoleContext:
    """The context of the app that serves this request."""
    return cast(ConsoleContext, current_app.extensions[EXTENSION])


@contextmanager
def transaction() -> Iterator[Tx]:
    """One transaction for the page: reads of one moment, or one command with everything it writes."""
    with console().database.begin() as tx:
        yield tx
