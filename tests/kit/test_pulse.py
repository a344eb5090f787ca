from time import monotonic

from app.kit.pulse import GAP_SECONDS, Pulse


def beating(*seconds_ago: float) -> Pulse:
    pulse = Pulse()
    for ago in seconds_ago:
        pulse.beat(monotonic() - ago)
    return pulse


def test_regular_beats_prove_that_the_process_was_awake() -> None:
    assert beating(20, 16, 12, 8, 4, 1).unbroken_since(monotonic() - 18)


def test_nothing_is_proved_before_the_first_beat_or_without_one() -> None:
    assert not Pulse().unbroken_since(monotonic())
    assert not beating(5, 1).unbroken_since(monotonic() - 6)


def test_a_process_that_slept_and_beats_again_is_not_believed_about_before() -> None:
    pulse = beating(30, 27, 24, 24 - GAP_SECONDS - 0.1, 15, 12, 9, 6, 3, 0)
    assert not pulse.unbroken_since(monotonic() - 25)
    assert pulse.unbroken_since(monotonic() - 16)


def test_a_process_that_stopped_beating_is_asleep() -> None:
    assert not beating(28, 24, 20, 16, 12, 8, GAP_SECONDS + 1).unbroken_since(monotonic() - 22)
