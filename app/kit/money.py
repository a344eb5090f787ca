"""Money as an integer number of minor units and an ISO 4217 code; no float and no implicit currency anywhere.

Exponents come from our own table of ISO 4217 list one (2026-01-01); currencies that were withdrawn stay, because
old payments keep them. Display libraries disagree with ISO on several of them, so they are not consulted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.errors import InvalidInput

# Two decimals is the rule of the standard; only the exceptions are listed by exponent.
_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"
_TWO = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
    "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
    "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW "
    "ZWG"
)

EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_ZERO.split(), 0),
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_THREE.split(), 3),
    **dict.fromkeys(_FOUR.split(), 4),
}

#: The largest amount a column or a gateway is trusted with: it fits a signed 64-bit integer with room for sums.
MAX_MINOR = 10**15


class UnknownCurrency(InvalidInput):
    code = "unknown_currency"
    title = "The currency is not an ISO 4217 code we know"


class CurrencyMismatch(InvalidInput):
    code = "currency_mismatch"
    title = "Two amounts of different currencies cannot be combined"


def exponent(currency: str) -> int:
    """How many decimals the minor unit of `currency` has."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency!r} is not an ISO 4217 currency code") from None


@dataclass(frozen=True, slots=True, order=False)
class Money:
    minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)
        if abs(self.minor) > MAX_MINOR:
            raise InvalidInput(f"An amount may not exceed {MAX_MINOR} minor units")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other)

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be combined")
        return other.minor

    def major(self) -> str:
        """The amount in major units as plain text, e.g. `12.50`, `1250` for yen, `1.250` for dinars."""
        digits = exponent(self.currency)
        return f"{Decimal(self.minor).scaleb(-digits):.{digits}f}"

    def __str__(self) -> str:
        return f"{self.major()} {self.currency}"

    def split(self, weights: Sequence[int]) -> "list[Money]":
        """Parts in proportion to `weights` that add up exactly; the largest remainders get the odd minor units."""
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise InvalidInput("Weights must not be negative and must sum to more than zero")
        parts = [self.minor * weight // total for weight in weights]
        by_remainder = sorted(range(len(parts)), key=lambda i: -(self.minor * weights[i] % total))
        for i in by_remainder[: self.minor - sum(parts)]:
            parts[i] += 1
        return [Money(part, self.currency) for part in parts]
