"""Delivery of webhooks: signed, tried again with growing pauses while the receiver is down, never forgotten."""

from collections.abc import Callable
from datetime import datetime, timedelta

from app.kit.clock import Clock
from app.kit.crypto import signed_headers
from app.kit.http import Answer, HttpClient
from app.sandbox.books import Books, Letter
from app.sandbox.config import SandboxConfig
from app.sandbox.desk import IDLE_SECONDS

_BATCH = 50
_LONGEST_PAUSE_SECONDS = 60.0


class Courier:
    """Signs by the machine's clock: the receiver judges the timestamp by its own, however far ours was moved."""

    def __init__(self, books: Books, config: SandboxConfig, clock: Clock) -> None:
        self._books = books
        self._config = config
        self._clock = clock
        self._client = HttpClient(connect_seconds=2, total_seconds=5, max_bytes=1 << 16)

    def close(self) -> None:
        self._client.close()

    def deliver_due(self, keep_going: Callable[[], bool]) -> float:
        """Deliver what is due; the seconds until the next letter."""
        if not self._config.webhook_url:
            return IDLE_SECONDS
        while letters := self._books.letters_due(self._clock.now(), _BATCH):
            for letter in letters:
                if not keep_going():
                    return 0
                self._deliver(letter)
        due = self._books.next_letter()
        return IDLE_SECONDS if due is None else self._seconds_until(due)

    def _seconds_until(self, due: datetime) -> float:
        return min(max((due - self._clock.now()).total_seconds(), 0), IDLE_SECONDS)

    def _deliver(self, letter: Letter) -> None:
        now = self._clock.now()
        headers = signed_headers((self._config.webhook_secret,), letter.id, now, letter.body)
        headers["content-type"] = "application/json"
        answer = self._client.exchange("POST", self._config.webhook_url, headers, letter.body)
        if isinstance(answer, Answer) and 200 <= answer.status < 300:
            self._books.letter_delivered(letter.seq)
        else:
            pause = min(self._config.webhook_retry_seconds * 2**letter.tries, _LONGEST_PAUSE_SECONDS)
            self._books.letter_failed(letter.seq, self._clock.now() + timedelta(seconds=pause))
