"""Sending a day: many orders at a steady rate, each told to its end, and then the look at what became of them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Final

from app.errors import AppError
from app.kit.database import Json
from app.traffic.orders import Order
from app.traffic.shop import Shop

#: Orders under way at the same time; most of them only wait.
_AT_ONCE: Final = 16
#: Outcomes of attempts that become others by themselves; None is a call under way.
_OPEN: Final = (None, "pending", "unknown")


@dataclass(slots=True)
class Outcome:
    """How one day's payments (by story), refunds and disputes stand; `moving` counts those not at rest yet."""

    payments: dict[str, Counter[str]] = field(default_factory=dict)
    refunds: Counter[str] = field(default_factory=Counter)
    disputes: Counter[str] = field(default_factory=Counter)
    tasks: int = 0
    incidents: int = 0
    moving: int = 0


def send(shop: Shop, orders: Sequence[Order], rate: float, told: Callable[[], None]) -> list[str]:
    """Send every order, `rate` per second at most; `told` is called as each ends. Sentences about what went wrong."""
    begun = time.monotonic()
    wrong: list[str] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = [pool.submit(_tell, shop, order, begun + position / rate) for position, order in enumerate(orders)]
        try:
            for future in as_completed(futures):
                wrong += _problem(future)
                told()
        except BaseException:
            shop.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return wrong


def _tell(shop: Shop, order: Order, not_before: float) -> None:
    shop.pause(max(0.0, not_before - time.monotonic()))
    body: Json = {
        "amount": order.amount,
        "currency": order.currency,
        "payment_method": order.story.payment_method,
        "capture_method": "manual" if order.story.manual else "automatic",
        "reference": order.reference,
        "customer": order.customer,
        "metadata": order.metadata,
    }
    payment = shop.post("/v1/payments", order.key("pay"), body)["id"]
    order.story.then(shop, order, payment)


def _problem(future: Future[None]) -> Iterator[str]:
    try:
        future.result()
    except AppError as error:
        yield error.detail


def outcome(shop: Shop, orders: Sequence[Order]) -> Outcome:
    """How everything of these orders stands now."""
    stories = {order.reference: order.story.name for order in orders}
    found = Outcome()
    ours: set[str] = set()
    for payment in shop.every("/v1/payments"):
        if story := stories.pop(payment["reference"], None):
            ours.add(payment["id"])
            found.payments.setdefault(story, Counter())[payment["status"]] += 1
            found.moving += _moves(payment)
        if not stories:
            break
    found.refunds = Counter(x["status"] for x in shop.every("/v1/refunds") if x["payment"] in ours)
    found.moving += found.refunds["pending"]
    found.disputes = Counter(x["status"] for x in shop.every("/v1/disputes") if x["payment"] in ours)
    found.tasks = sum(1 for _ in shop.every("/v1/tasks", status="open"))
    found.incidents = sum(1 for _ in shop.every("/v1/instances", status="incident"))
    return found


def _moves(payment: Json) -> bool:
    return payment["status"] == "processing" or any(one["outcome"] in _OPEN for one in payment["attempts"])


def settle(shop: Shop, orders: Sequence[Order], seconds: float) -> Outcome:
    """Look until nothing moves and two looks in a row see the same, or for `seconds`.

    The second look is for what was asked for and not begun: that shows nowhere yet.
    """
    end = time.monotonic() + seconds
    before, found = None, outcome(shop, orders)
    while (found.moving or found != before) and time.monotonic() < end:
        shop.pause(2)
        before, found = found, outcome(shop, orders)
    return found
