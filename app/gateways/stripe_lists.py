"""Stripe's lists, page by page: the newest objects first, a hundred at a time."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from app.gateways.port import GatewayResult
from app.gateways.stripe_mapping import refusal
from app.gateways.wire import JsonAnswer

Json = Mapping[str, Any]
#: Asks for the page that these parameters name.
Ask = Callable[[Json], JsonAnswer | GatewayResult]

PAGE: Final = 100


class NoAnswer(Exception):
    """Stripe gave no list; `answer` is what is known about that."""

    def __init__(self, answer: GatewayResult) -> None:
        super().__init__(answer.message)
        self.answer = answer


def listed(answer: JsonAnswer | GatewayResult) -> list[Json]:
    """The objects of one page, or NoAnswer."""
    if isinstance(answer, GatewayResult):
        raise NoAnswer(answer)
    shown = answer.body.get("data")
    if answer.status != 200 or not isinstance(shown, list) or not all(isinstance(each, dict) for each in shown):
        raise NoAnswer(refusal(answer))
    return shown


def every(ask: Ask) -> Iterator[Json]:
    """Every object, page after page while they are taken; NoAnswer unless each page leads on or is the last."""
    page: dict[str, Any] = {"limit": PAGE}
    while True:
        answer = ask(page)
        shown = listed(answer)
        assert isinstance(answer, JsonAnswer)
        yield from shown
        more = answer.body.get("has_more")
        last = shown[-1].get("id") if shown else None
        if more is False:
            return
        if more is not True or not isinstance(last, str) or last == page.get("starting_after"):
            raise NoAnswer(refusal(answer))
        page["starting_after"] = last


def metadata(shown: Json) -> Json:
    told = shown.get("metadata")
    return told if isinstance(told, dict) else {}


def created(shown: Json) -> int:
    """When it was made, in seconds; 0 when it does not say."""
    told = shown.get("created")
    return told if isinstance(told, int) else 0
