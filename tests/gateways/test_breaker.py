"""The circuit breaker: opens after failures in a row, lets one call find out, and waits longer each time it fails."""

from app.gateways.breaker import Breaker, Rule


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(time: Time) -> Breaker:
    breaker = Breaker(Rule(failures=3, first_pause=1, longest_pause=5), time)
    for _ in range(3):
        assert breaker.admit()
        breaker.failed()
    assert breaker.open
    return breaker


def test_failures_that_are_not_in_a_row_leave_it_closed() -> None:
    breaker = Breaker(Rule(failures=3))
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert not breaker.open
    assert breaker.admit()


def test_while_it_is_open_nobody_calls_and_afterwards_exactly_one_does() -> None:
    time = Time()
    breaker = opened(time)
    time.now = 0.9
    assert not breaker.admit()
    time.now = 1.0
    assert [breaker.admit() for _ in range(3)] == [True, False, False]


def test_a_probe_that_succeeds_closes_it() -> None:
    time = Time()
    breaker = opened(time)
    time.now = 1.0
    assert breaker.admit()
    breaker.succeeded()
    assert not breaker.open
    breaker.failed()
    assert not breaker.open, "the count begins again"


def test_every_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    time = Time()
    breaker = opened(time)
    pauses = []
    for _ in range(5):
        begun = time.now
        while not breaker.admit():
            time.now += 0.5
        pauses.append(time.now - begun)
        breaker.failed()
    assert pauses == [1, 2, 4, 5, 5]


def test_calls_that_were_under_way_when_it_opened_do_not_prolong_it() -> None:
    time = Time()
    breaker = opened(time)
    breaker.failed()
    time.now = 1.0
    assert breaker.admit()


def test_one_that_was_under_way_and_succeeded_closes_it() -> None:
    time = Time()
    breaker = opened(time)
    breaker.succeeded()
    assert breaker.admit()
