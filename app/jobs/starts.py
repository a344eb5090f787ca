"""The chore that starts processes whose time has come."""

from collections.abc import Sequence

from app.engine import occasions, starting
from app.kit.database import Tx


class Starts:
    name = "starts"
    channels: Sequence[str] = ()

    def take(self, tx: Tx, limit: int) -> Sequence[str]:
        """Definitions that are due; they stay so until they are booked."""
        return occasions.due(tx, limit)

    def do(self, job: str) -> None:
        """Nothing is outside the database."""

    def book(self, tx: Tx, job: str, answer: None) -> None:  # noqa: ARG002 - a chore's shape
        starting.start_due(tx, job)
