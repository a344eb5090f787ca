"""What a merchant of the demo does when the house says that a capture was not sent."""

from typing import Any, cast

from app.kit.database import Json
from app.traffic.follow import capture_in_parts
from app.traffic.shop import Shop


class _Order:
    amount = 1000
    part = 400

    def key(self, step: str) -> str:
        return step


class _House:
    """Answers as the API does; each capture that is asked for has the next of `outcomes`."""

    def __init__(self, *outcomes: str) -> None:
        self._outcomes = outcomes
        self.asked: list[tuple[str, Json | None]] = []

    def post(self, _path: str, key: str, body: Json | None = None) -> Json:
        self.asked.append((key, body))
        return self._payment(None)

    def get(self, _path: str) -> Json:
        return self._payment(self._outcomes[len(self.asked) - 1] if self.asked else None)

    def pause(self, seconds: float) -> None:
        raise AssertionError(f"nothing is to be waited for, least of all {seconds} seconds")

    def _payment(self, outcome: str | None) -> Json:
        attempts: list[dict[str, Any]] = [{"id": f"att_{len(self.asked)}", "outcome": outcome}]
        return {"status": "requires_capture", "attempts": attempts}


def _captured_by(house: _House) -> list[tuple[str, Json | None]]:
    capture_in_parts(cast(Shop, house), _Order(), "pay_1")
    return house.asked


def test_a_capture_that_was_not_sent_is_asked_for_anew_and_the_rest_after_it() -> None:
    part: Json = {"amount": 400, "final": False}
    asked = _captured_by(_House("not_sent", "approved", "approved"))
    assert asked == [("capture-1-1", part), ("capture-1-2", part), ("capture-2", {"amount": 600})]


def test_nothing_more_is_asked_for_after_a_capture_that_was_declined() -> None:
    assert [key for key, _ in _captured_by(_House("declined"))] == ["capture-1-1"]


def test_a_merchant_whose_captures_are_never_sent_gives_up() -> None:
    assert len(_captured_by(_House(*["not_sent"] * 100))) == 20
