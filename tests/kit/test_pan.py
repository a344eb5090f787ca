import pytest

from app.kit.pan import contains_card_number


@pytest.mark.parametrize(
    "text",
    [
        *("4242424242424242", "4242 4242 4242 4242", "5555-5555-5555-4444", "3782 822463 10005", "4-2-4242424242424-2"),
        *("4242424242424242 123", "4242 4242 4242 4242 12/27", "12 4242424242424242", "1 4242 4242 4242 4242 12 27"),
        *("card 4242424242424242.", "4242424242424242-123", "0 0 4242424242424242 0 0 0 0 0 0 0 0 0"),
    ],
)
def test_a_card_number_is_found_whatever_stands_beside_it(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        *("4242424242424241", "pay_01m82wedmhjez13faxb2zszw1e", "1772366400000", "2026-11-23 4242"),
        *("DE89 4242 4242 4242 4242 00", "42 42 42 42 42 42 42 42 0", "4242  4242 4242 4242", "x4242424242424242"),
    ],
)
def test_other_numbers_are_none(text: str) -> None:
    assert not contains_card_number(text)
