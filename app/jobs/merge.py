"""Several steps of one turn seen as one: what is open comes from the last, what happened from all of them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from app.engine.step import Step


def merged(steps: Sequence[Step]) -> Step:
    if len(steps) == 1:
        return steps[0]
    return replace(
        steps[-1],
        journal=tuple(chain.from_iterable(step.journal for step in steps)),
        thrown=tuple(chain.from_iterable(step.thrown for step in steps)),
        stale=tuple(chain.from_iterable(step.stale for step in steps)),
    )
