"""The real database, whose connection is lost at seeded commits: before them, or before their answer came back."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from sqlalchemy.exc import OperationalError

from app.kit.clock import Clock
from app.kit.database import Database, Tx

#: Commits that never reached the server, and commits whose answer was lost, each of a thousand.
UNDONE, UNANSWERED = 2, 2


class ShakyDatabase(Database):
    """`shaky` says whether connections are lost at the moment: only workers are that unlucky, and know what to do."""

    def __init__(self, url: str, clock: Clock, random: Random) -> None:
        super().__init__(url, pool_size=4, clock=clock)
        self.shaky = False
        self.lost = 0
        self._random = random

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        draw = self._random.randrange(1000) if self.shaky else 1000
        with super().begin() as tx:
            yield tx
            if draw < UNDONE:
                raise self._loss("The connection was lost before the commit")
        if UNDONE <= draw < UNDONE + UNANSWERED:
            raise self._loss("The connection was lost before the commit was answered")

    def _loss(self, why: str) -> OperationalError:
        self.lost += 1
        return OperationalError("COMMIT", None, ConnectionError(why))
