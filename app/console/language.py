"""English and Simplified Chinese from one catalogue; numbers, dates and amounts by the reader's locale.

`t` is strict: a key that is missing is a programming error. `word` is for values of the domain and of diagrams, which
may be newer than the catalogue: it falls back to the value itself, made readable.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from html import unescape
from pathlib import Path
from xml.sax.saxutils import quoteattr

import yaml
from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

from app.kit.money import Money, exponent

LANGUAGES = {"en": "English", "zh": "简体中文"}
_LOCALES = {"en": Locale("en", "GB"), "zh": Locale("zh", "CN", script="Hans")}
_TAGS = {"en": "en", "zh": "zh-Hans"}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_NUMBER = re.compile(r"\d[\d,.]*(?<![,.])")
_NAME = re.compile(r' name="([^"]*)"')
_PLACE = re.compile(r"{(\w+)}")
_UNITS = ((86400, "age.days"), (3600, "age.hours"), (60, "age.minutes"))


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """Every text of the console: key -> language -> text."""
    lines = yaml.safe_load((Path(__file__).parent / "catalogue.yaml").read_text(encoding="utf-8"))
    return {key: dict(zip(LANGUAGES, texts, strict=True)) for key, texts in lines.items()}


@cache
def texts() -> dict[str, str]:
    """Texts that others wrote, such as names in the shipped flows: as it is written there -> in Chinese."""
    lines: dict[str, str] = yaml.safe_load((Path(__file__).parent / "texts.yaml").read_text(encoding="utf-8"))
    return lines


@dataclass(frozen=True, slots=True)
class Language:
    """How one person reads: `code` is `en` or `zh`."""

    code: str

    @property
    def tag(self) -> str:
        """The BCP 47 tag for the `lang` attribute."""
        return _TAGS[self.code]

    def t(self, key: str, **values: object) -> str:
        text = catalogue()[key][self.code]
        return text.format(**values) if values else text

    def word(self, family: str, value: str) -> str:
        """The word for `value`, e.g. `word('payment_status', 'requires_action')`."""
        known = catalogue().get(f"{family}.{value}")
        return known[self.code] if known else value.replace("_", " ").replace(".", " ").capitalize()

    def reason(self, value: str) -> str:
        """Why a status is what it is: a word of its own, or the code of the decline that led there."""
        return self.word("status_reason" if f"status_reason.{value}" in catalogue() else "decline", value)

    def problem(self, code: str, detail: str) -> str:
        """What went wrong: in English the sentence of who refused, which names things; else the catalogue's."""
        if self.code == "en":
            return detail
        known = catalogue().get(f"problem.{code}")
        said = self.said(detail)
        return known[self.code] if known and said == detail else said

    def finding(self, code: str) -> str:
        """What the gate's finding says in general, before the English that names the place; nothing in English."""
        known = catalogue().get(f"finding.{code}")
        return known[self.code] if known and self.code != "en" else ""

    def said(self, text: str | None) -> str:
        """A text that others wrote in English, in the reader's language where it is known; its numbers stay."""
        if not text or self.code == "en":
            return text or ""
        known = texts().get(_NUMBER.sub("{}", text)) or texts().get(text)
        return known.format(*_NUMBER.findall(text)) if known else text

    def drawn(self, diagram: bytes) -> bytes:
        """A diagram with the names in it said in the reader's language."""
        if self.code == "en":
            return diagram

        def say(found: re.Match[str]) -> str:
            return f" name={quoteattr(self.said(unescape(found[1])))}"

        return _NAME.sub(say, diagram.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def own(self, part: object, name: str) -> str:
        """A text that a diagram's author wrote in both languages or in one, e.g. `own(decision, 'label')`."""
        translated = getattr(part, f"{name}_{self.code}", None)
        return str(translated or getattr(part, name) or "")

    def filled(self, text: str, values: Mapping[str, object]) -> str:
        """`text` with `{name}` replaced by values; a name nobody knows stays as it is written."""
        return _PLACE.sub(lambda place: str(values.get(place[1], place[0])), text)

    def problem_title(self, status: int) -> str:
        return (
            self.t(f"problem.title_{status}") if f"problem.title_{status}" in catalogue() else self.t("problem.title")
        )

    def number(self, value: float) -> str:
        return format_decimal(value, locale=_LOCALES[self.code])

    def amount(self, minor: int, currency: str) -> str:
        """Minor units as text with the code behind them, e.g. `1,240.00 EUR`; the exponent is ISO's, not CLDR's."""
        digits = exponent(currency)
        pattern = "#,##0." + "0" * digits if digits else "#,##0"
        value = Decimal(minor).scaleb(-digits)
        return f"{format_decimal(value, format=pattern, locale=_LOCALES[self.code])}\u00a0{currency}"

    def plain(self, minor: int, currency: str) -> str:
        """An amount as it is typed into a field: major units, no grouping, no code."""
        return Money(minor, currency).major()

    def value(self, value: object) -> str:
        """A fact of a diagram or a rule as a person reads it."""
        if value is None or value == "":
            return "-"
        if isinstance(value, bool):
            return self.t("value.yes" if value else "value.no")
        if isinstance(value, int):
            return self.number(value)
        if isinstance(value, list | tuple):
            return ", ".join(self.value(each) for each in value)
        if isinstance(value, Mapping):
            return ", ".join(f"{key}: {self.value(each)}" for key, each in value.items())
        text = str(value)
        return self.moment(datetime.fromisoformat(text)) if _MOMENT.fullmatch(text) else text

    def moment(self, at: datetime) -> str:
        """A point in time to the second, in UTC."""
        pattern = "y年M月d日 HH:mm:ss" if self.code == "zh" else "d MMM y, HH:mm:ss"
        return format_datetime(at.astimezone(UTC), pattern, locale=_LOCALES[self.code]) + " UTC"

    def clock_time(self, at: datetime) -> str:
        return format_datetime(at.astimezone(UTC), "HH:mm", locale=_LOCALES[self.code])

    def day(self, at: datetime) -> str:
        pattern = "y年M月d日" if self.code == "zh" else "d MMM y"
        return format_date(at.astimezone(UTC), pattern, locale=_LOCALES[self.code])

    def short(self, at: datetime, now: datetime) -> str:
        """As little as tells it apart: the time today, day and time this year, else the date."""
        here, today = at.astimezone(UTC), now.astimezone(UTC)
        if here.date() == today.date():
            return self.clock_time(at)
        if here.year == today.year:
            pattern = "M月d日 HH:mm" if self.code == "zh" else "d MMM HH:mm"
            return format_datetime(here, pattern, locale=_LOCALES[self.code])
        return self.day(at)

    def lasted(self, length: timedelta) -> str:
        """How long something took; below a minute in seconds."""
        seconds = int(length.total_seconds())
        if seconds < 1:
            return self.t("age.instant")
        return self.t("age.seconds", n=seconds) if seconds < 60 else self.span(length)

    def span(self, length: timedelta) -> str:
        """A length of time in its one or two largest units, e.g. `3 h 20 min`."""
        seconds = max(int(abs(length).total_seconds()), 0)
        parts: list[tuple[int, str]] = []
        for size, key in _UNITS:
            count, seconds = divmod(seconds, size)
            if count or parts:
                parts.append((count, key))
        shown = [self.t(key, n=count) for count, key in parts[:2] if count]
        return " ".join(shown) or self.t("age.now")


def best_language(*wishes: str | None) -> Language:
    """The first wish we speak; English when there is none."""
    for wish in wishes:
        if wish in LANGUAGES:
            return Language(str(wish))
    return Language("en")
