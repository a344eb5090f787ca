"""A day depends on its seed alone, shows everything, and stays within what its stories need."""

from collections import Counter

from app.access.merchants import MerchantSettings
from app.kit.money import EXPONENTS
from app.payments.commands import CreatePayment
from app.payments.risk import reference_amount
from app.traffic.mix import STORIES
from app.traffic.orders import orders

ROUND = sum(story.weight for story in STORIES)
SETTINGS = MerchantSettings()


def test_the_same_seed_gives_the_same_day_and_a_longer_day_only_adds_orders() -> None:
    assert orders(7, 50) == orders(7, 50)
    assert orders(7, 300)[:50] == orders(7, 50)
    assert orders(7, 50) != orders(8, 50)


def test_one_round_tells_every_story_as_often_as_its_weight_says() -> None:
    told = Counter(order.story.name for order in orders(3, ROUND))
    assert told == Counter({story.name: story.weight for story in STORIES})


def test_every_order_is_a_payment_the_api_accepts_under_keys_of_its_own() -> None:
    day = orders(1, 400)
    for order in day:
        CreatePayment(
            amount=order.amount,
            currency=order.currency,
            payment_method=order.story.payment_method,
            reference=order.reference,
            customer=order.customer,
            metadata=order.metadata,
        )
        assert 0 < order.part < order.amount
    assert len({order.key("pay") for order in day}) == len({order.reference for order in day}) == 400


def test_only_large_orders_exceed_the_limits_and_no_amount_is_flagged_by_the_shipped_rules() -> None:
    for order in orders(2, 600):
        limits = (SETTINGS.review_limit, SETTINGS.refund_approval_limit)
        beyond = [order.amount > limit.get(order.currency, order.amount) for limit in limits]
        assert beyond == [order.story.large] * 2, order
        assert reference_amount(order.amount, order.currency) <= 500_000


def test_customers_come_back_and_are_always_the_same_person() -> None:
    day = orders(1, 400)
    visits = Counter(order.customer["id"] for order in day)
    assert 1 < max(visits.values()) < 20
    assert len(visits) > 100
    assert len({(order.customer["id"], order.customer["email"]) for order in day}) == len(visits)
    assert {order.currency for order in day} <= EXPONENTS.keys()
