"""Counting requests per caller, by one process for itself; together in Redis it is tested through the API."""

import time

import pytest

from app.api.problems import RateLimited
from app.api.rate import Rate


def test_whoever_was_held_back_may_go_on_when_the_time_is_over() -> None:
    rate = Rate("2/second", "")
    rate.check("one")
    rate.check("one")
    with pytest.raises(RateLimited) as refused:
        rate.check("one")
    assert refused.value.extra == {"retry_after": 1}
    rate.check("other")
    time.sleep(1.05)
    rate.check("one")


def test_without_an_answer_of_redis_each_process_counts_for_itself() -> None:
    rate = Rate("1/minute", "redis://127.0.0.1:1")
    rate.check("one")
    with pytest.raises(RateLimited):
        rate.check("one")
