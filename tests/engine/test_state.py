"""The bytes of an instance: small, equal for equal instances, refused when they do not fit."""

import orjson
import pytest

from app.engine.codec import UnreadableState
from app.engine.runner import Run
from app.engine.step import InstanceStatus
from tests.engine.diagrams import chain, draw, end, service, start, user
from tests.engine.drive import START, Drive, bundle_of

DRAWN = draw(start(), service("a"), user("u"), end(), chain("s", "a", "u", "e"))


def test_a_state_holds_variables_counters_and_what_is_alive() -> None:
    drive = Drive(DRAWN, amount=500)
    drive.result("a#1", ok=True)
    assert orjson.loads(drive.state) == {
        "v": 1,
        "d": {"amount": 500, "ok": True},
        "t": [["u", 1, 32, None, {"ask": {"groups": ["reviewers"]}}]],
        "c": {"s": 1, "a": 1, "u": 1},
    }


def test_an_instance_that_has_not_been_set_going_can_be_kept() -> None:
    bundle = bundle_of(DRAWN)
    state = Run.start(bundle, {"amount": 500}).dump()
    assert [c.node for c in Run.load(bundle, state).advance([], START).calls] == ["a#1"]


def test_an_ended_instance_stays_ended() -> None:
    drive = Drive(DRAWN)
    drive.cancel()
    assert Run.load(drive.bundle, drive.state).advance([], START).status is InstanceStatus.CANCELED


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"not json",
        b"[]",
        b'{"v": 2}',
        b'{"v": 1, "d": {}}',
        b'{"v": 1, "d": {}, "t": [["gone", 1, 32]]}',
        b'{"v": 1, "d": {}, "t": [["u", 1, 64]]}',
        b'{"v": 1, "d": {}, "t": [["u"]]}',
    ],
)
def test_bytes_that_are_no_state_of_this_diagram_are_refused(state: bytes) -> None:
    with pytest.raises(UnreadableState):
        Run.load(bundle_of(DRAWN), state)
