"""Amounts, times and spans as people of both languages read and type them."""

from datetime import UTC, datetime, timedelta

import pytest

from app.console.amounts import parse_amount
from app.console.language import Language, best_language
from app.errors import InvalidInput

NOW = datetime(2026, 11, 23, 14, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (124000, "EUR", "1,240.00 EUR"),
        (480000, "JPY", "480,000 JPY"),
        (45250, "KWD", "45.250 KWD"),
        (5, "EUR", "0.05 EUR"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert Language("en").amount(minor, currency) == text.replace(" ", "\u00a0")


def test_the_largest_amount_loses_no_digit() -> None:
    assert Language("zh").amount(999_999_999_999_999, "EUR") == "9,999,999,999,999.99\u00a0EUR"


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("12.5", "EUR", 1250), ("12,50", "EUR", 1250), ("1 240", "EUR", 124000), ("7", "JPY", 7), ("1.250", "KWD", 1250)],
)
def test_a_typed_amount_is_exact(text: str, currency: str, minor: int) -> None:
    assert parse_amount(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("", "EUR"),
        ("0", "EUR"),
        ("-5", "EUR"),
        ("1,240.00", "EUR"),
        ("1.234", "EUR"),
        ("7.5", "JPY"),
        ("1e3", "EUR"),
        ("9" * 16, "EUR"),
        ("٣", "EUR "),
    ],
)
def test_a_doubtful_amount_is_refused(text: str, currency: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_amount(text, currency.strip())
    assert refusal.value.errors[0].field == "amount"


def test_times_are_told_in_utc_in_both_languages() -> None:
    assert Language("en").moment(NOW) == "23 Nov 2026, 14:02:05 UTC"
    assert Language("zh").moment(NOW) == "2026年11月23日 14:02:05 UTC"


def test_a_time_is_as_short_as_it_can_be() -> None:
    reader = Language("en")
    assert reader.short(NOW, NOW) == "14:02"
    assert reader.short(NOW - timedelta(days=2), NOW) == "21 Nov 14:02"
    assert reader.short(NOW - timedelta(days=400), NOW) == "19 Oct 2025"


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(seconds=20), "now"),
        (timedelta(minutes=5), "5 min"),
        (timedelta(hours=2, minutes=30), "2 h 30 min"),
        (timedelta(days=3, minutes=2), "3 d"),
        (timedelta(hours=-1), "1 h"),
    ],
)
def test_a_span_names_its_two_largest_units(length: timedelta, text: str) -> None:
    assert Language("en").span(length) == text


def test_facts_of_a_flow_are_told_as_people_read_them() -> None:
    told = {"paid": True, "tries": 1200, "at": "2026-11-30T01:21:59.34Z", "parts": ["a", None]}
    wanted = "paid: Yes, tries: 1,200, at: 30 Nov 2026, 01:21:59 UTC, parts: a, -"
    assert Language("en").value(told) == wanted


def test_a_text_with_places_cannot_reach_into_what_fills_them() -> None:
    filled = Language("en").filled("Takes {amount}, {amount.__class__} and {nothing}", {"amount": "5 EUR"})
    assert filled == "Takes 5 EUR, {amount.__class__} and {nothing}"


def test_the_first_wish_we_speak_is_taken() -> None:
    assert best_language(None, "fr", "zh", "en").code == "zh"
    assert best_language(None).code == "en"
