"""The torture calls broken only what a second look finds, too."""

from proof.invariants import Broken
from proof.torture.__main__ import lasting

ONE, OTHER = Broken("I1", "pay_1", "charged twice"), Broken("I1", "pay_2", "heard of too late")


def test_only_what_both_looks_find_is_broken() -> None:
    looks = iter([[ONE, OTHER], [ONE]])
    assert lasting(lambda: next(looks), 0) == [ONE]


def test_nobody_looks_again_where_nothing_was_found() -> None:
    looks = iter([list[Broken]()])
    assert lasting(lambda: next(looks), 60) == []
