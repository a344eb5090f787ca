"""What is bought: orders drawn from a seed, each independent of how many there are, so a longer day only adds some."""

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Final

from app.kit.database import Json
from app.kit.money import EXPONENTS
from app.traffic.mix import STORIES, Story


@dataclass(frozen=True, slots=True)
class Market:
    """`weight` of a hundred orders; `scale` turns an amount in euros into about as much of the currency."""

    currency: str
    weight: int
    scale: float
    countries: tuple[str, ...]


MARKETS: Final = (
    Market("EUR", 52, 1, ("DE", "FR", "NL", "AT", "ES", "IT")),
    Market("USD", 18, 1.1, ("US", "CA")),
    Market("GBP", 14, 0.85, ("GB", "IE")),
    Market("CHF", 7, 1, ("CH",)),
    Market("CNY", 4, 7.5, ("CN",)),
    # Yen have no decimals, and the shipped rules flag whatever looks larger than 5,000 for a new customer.
    Market("JPY", 3, 12, ("JP",)),
    Market("KWD", 2, 0.33, ("KW",)),
)
#: Markets in which the demo merchant has limits that a large order exceeds.
LARGE_MARKETS: Final = MARKETS[:3]
FIRST_NAMES: Final = (
    "Aiko Amina Anton Beatriz Carlos Chen Clara David Elena Emil Farid Grace Hannah Ines Jonas Kofi Lars Leila Luca "
    "Maria Mateo Mei Nadia Noah Oskar Priya Rosa Samir Sofia Tomas Yuki Zoe"
)
LAST_NAMES: Final = (
    "Ahmed Bauer Berg Costa Dubois Ferrari Garcia Haas Ito Jansen Keller Kim Lang Lopez Meyer Moreau Nguyen Novak "
    "Okafor Patel Rossi Sato Schmid Silva Tanaka Vogel Wang Weber Wood Zhang"
)
CUSTOMERS: Final = 160
CHANNELS: Final = ("web", "web", "web", "app", "app", "phone")
ENDINGS: Final = (0, 0, 50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the day. `amount` is in minor units; `share` is the part that a story may capture or return."""

    seed: int
    number: int
    story: Story
    amount: int
    currency: str
    share: float
    customer: Json
    metadata: dict[str, str]

    @property
    def reference(self) -> str:
        return f"order-{self.seed}-{self.number:05}"

    @property
    def part(self) -> int:
        """`share` of the amount in minor units: at least one, and less than all of it."""
        return min(max(1, int(self.amount * self.share)), self.amount - 1)

    def key(self, step: str) -> str:
        """The Idempotency-Key of one request about this order, the same in every run with this seed."""
        return f"demo-{self.seed}-{self.number}-{step}"


def orders(seed: int, count: int) -> list[Order]:
    return [_order(seed, number) for number in range(count)]


def _order(seed: int, number: int) -> Order:
    random = Random(f"{seed}:{number}")  # noqa: S311 - a plan that can be repeated, not a secret
    story = _deck(seed, number // _CARDS)[number % _CARDS]
    markets = LARGE_MARKETS if story.large else MARKETS
    market = random.choices(markets, [market.weight for market in markets])[0]
    euros = random.uniform(1200, 4500) if story.large else 4 * 100 ** random.random()
    return Order(
        seed=seed,
        number=number,
        story=story,
        amount=_price(euros * market.scale, market.currency, random),
        currency=market.currency,
        share=random.uniform(0.2, 0.8),
        customer=_customer(random, market),
        metadata={"channel": random.choice(CHANNELS), "items": str(random.randint(1, 6))},
    )


_CARDS: Final = sum(story.weight for story in STORIES)


@lru_cache(maxsize=64)
def _deck(seed: int, round_: int) -> tuple[Story, ...]:
    """Every story as often as its weight says, shuffled: so a short day has its share of rare ones as well."""
    cards = [story for story in STORIES for _ in range(story.weight)]
    Random(f"{seed}:deck:{round_}").shuffle(cards)  # noqa: S311 - as above
    return tuple(cards)


def _price(amount: float, currency: str, random: Random) -> int:
    """A price as shops write them: 12.90 rather than 12.87."""
    digits = EXPONENTS[currency]
    if digits == 0:
        return max(100, round(amount / 10) * 10)
    cents = max(1, int(amount)) * 100 + random.choice(ENDINGS)
    return int(cents * 10 ** (digits - 2))


def _customer(random: Random, market: Market) -> Json:
    """Few customers come often and many once; who a customer is depends on nothing but the number."""
    number = int(CUSTOMERS * random.random() ** 1.3)
    who = Random(f"customer:{market.currency}:{number}")  # noqa: S311 - as above
    first, last = who.choice(FIRST_NAMES.split()), who.choice(LAST_NAMES.split())
    return {
        "id": f"cus_{market.currency.lower()}{number:03}",
        "name": f"{first} {last}",
        "email": f"{first}.{last}{number}@example.com".lower(),
        "country": who.choice(market.countries),
    }
