"""How many requests a caller may send within a time: counted in Redis for all web processes, or by each for itself.

Counting is not worth waiting for: where Redis does not answer in time, each process counts its own for a while.
"""

import threading
import time
from collections import Counter
from typing import Final

import structlog
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter

from app.api.problems import RateLimited
from app.kit.clock import SystemClock

log = structlog.get_logger()

_TIMEOUT: Final = 0.25
#: For how long Redis is left alone once it did not answer.
_ALONE_SECONDS: Final = 10


class Rate:
    """`allowed` is such as `30000/minute`; `redis` is a URL, or empty."""

    def __init__(self, allowed: str, redis: str) -> None:
        self._allowed = parse(allowed)
        self._own = _Own(self._allowed)
        self._together = FixedWindowRateLimiter(_storage(redis)) if redis else None
        self._alone_until = 0.0

    def check(self, caller: str) -> None:
        """Count one request; RateLimited if it is one too many."""
        left = self._left(caller)
        if left is not None:
            seconds = max(1, int(left))
            raise RateLimited(f"Try again in {seconds} seconds", extra={"retry_after": seconds})

    def _left(self, caller: str) -> float | None:
        """The seconds until the caller may go on; None when it may now."""
        if self._together is None or time.monotonic() < self._alone_until:
            return self._own.left(caller)
        try:
            if self._together.hit(self._allowed, "api", caller):
                return None
            ends = self._together.get_window_stats(self._allowed, "api", caller).reset_time
        except StorageError as error:
            log.warning("rate.alone", error=type(error.storage_error).__name__)
            self._alone_until = time.monotonic() + _ALONE_SECONDS
            return self._own.left(caller)
        return ends - SystemClock().now().timestamp()


class _Own:
    """What this process counts. A time begins for all callers with the first request after the one before."""

    def __init__(self, allowed: RateLimitItem) -> None:
        self._allowed = allowed
        self._counts = Counter[str]()
        self._ends = 0.0
        self._lock = threading.Lock()

    def left(self, caller: str) -> float | None:
        now = time.monotonic()
        with self._lock:
            if now >= self._ends:
                self._counts.clear()
                self._ends = now + self._allowed.get_expiry()
            self._counts[caller] += 1
            return self._ends - now if self._counts[caller] > self._allowed.amount else None


def _storage(redis: str) -> RedisStorage:
    return RedisStorage(redis, wrap_exceptions=True, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
