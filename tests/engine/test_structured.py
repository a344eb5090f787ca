"""Random diagrams made of well-nested blocks: they end, and stopping anywhere changes nothing."""

import random

import pytest

from tests.engine import structured

#: Fresh in every run; a failure names its seed, and `python -m bench.diagrams SEED=<seed> COUNT=1` replays it.
FRESH = random.SystemRandom().randrange(10**9)


@pytest.mark.parametrize("offset", range(5))
def test_a_well_nested_diagram_ends_and_its_journal_is_whole(offset: int) -> None:
    print(f"seeds from {FRESH}")  # noqa: T201 - pytest shows it with a failure
    for seed in range(FRESH + offset * 20, FRESH + offset * 20 + 20):
        try:
            structured.run(seed)
        except Exception as broken:
            pytest.fail(f"SEED={seed}: {type(broken).__name__}: {broken}")


def test_a_seed_always_draws_and_runs_the_same() -> None:
    first, second = structured.run(7), structured.run(7)
    assert first.journal == second.journal
    assert first.state == second.state


def test_a_state_that_lost_something_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof would fail if saving forgot what a token waits for."""
    monkeypatch.setattr("app.engine.codec._scope", lambda scope: {"d": scope.data, "t": []})
    with pytest.raises(AssertionError):
        structured.run(7)
