"""The sandbox's own books: every charge in the order they were made, a page at a time."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.gateways.port import BookedCharge, CouldNotAsk, GatewayResult
from app.gateways.wire import Wire


class _Booked(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    id: str
    key: str
    reference: str
    currency: str
    created_at: AwareDatetime = Field(strict=False)
    authorized: int
    captured: int
    refunded: int
    voided: int
    disputed: int

    @property
    def told(self) -> BookedCharge:
        return BookedCharge(self.id, **self.model_dump(exclude={"id", "created_at"}))


class _Page(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    data: list[_Booked]
    has_more: bool


def books(wire: Wire, name: str, since: datetime) -> Iterator[BookedCharge]:
    """What was made since then by the sandbox's clock; CouldNotAsk for whatever cannot be read as a whole."""
    after, more = "", True
    while more:
        page = _page(wire, name, after)
        yield from (booked.told for booked in page.data if booked.created_at >= since)
        last = page.data[-1].id if page.data else after
        if page.has_more and last == after:
            raise CouldNotAsk(f"{name} says that more charges follow and does not list them")
        after, more = last, page.has_more


def booked(shown: Mapping[str, Any]) -> BookedCharge:
    """A charge as the sandbox lists it; ValueError for another shape."""
    return _Booked.model_validate(shown).told


def _page(wire: Wire, name: str, after: str) -> _Page:
    answer = wire.get(f"/v1/charges?after={quote(after, safe='')}")
    if isinstance(answer, GatewayResult):
        raise CouldNotAsk(f"{name} did not list its charges to the end: {answer.message}")
    if answer.status != 200:
        raise CouldNotAsk(f"{name} did not list its charges to the end: it answered {answer.status}")
    try:
        return _Page.model_validate(answer.body)
    except ValueError:
        raise CouldNotAsk(f"{name} does not list its charges as documented") from None
