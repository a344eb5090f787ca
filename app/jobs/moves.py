"""The chore that carries out migrations: instances are moved to another version one by one, beside all other work."""

from collections.abc import Sequence

from app.engine import migrate
from app.engine.migrate import Job
from app.kit.database import Tx


class Moves:
    name = "moves"
    channels: Sequence[str] = (migrate.CHANNEL,)

    def take(self, tx: Tx, limit: int) -> Sequence[Job]:
        return migrate.take(tx, limit)

    def do(self, job: Job) -> None:
        """Nothing is outside the database: the whole move is one transaction."""

    def book(self, tx: Tx, job: Job, answer: None) -> None:  # noqa: ARG002 - a chore's shape
        migrate.carry_out(tx, job)
