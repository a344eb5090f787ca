from typing import Any

import orjson
import pytest

from app.gateways.redact import MASK, redacted, without_nul


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "client_secret", "Authorization", "token", "access_token", "pan", "iban"),
        *("card_number", "number", "cvc", "cardHolder", "expiry_month"),
        *("email", "billingAddress", "phone", "firstName", "name"),
    ],
)
def test_secrets_and_personal_data_are_taken_out_by_name(name: str) -> None:
    assert redacted({"deep": [{name: {"anything": "at all"}}]}) == {"deep": [{name: MASK}]}


@pytest.mark.parametrize("name", ["status", "company", "expand", "gateway_code", "amount", "payment_method", "span"])
def test_other_names_are_kept(name: str) -> None:
    assert redacted({name: "value"}) == {name: "value"}


@pytest.mark.parametrize(
    "number", ["4242424242424242", "4242 4242 4242 4242", "5555-5555-5555-4444", "378282246310005"]
)
def test_a_card_number_within_a_text_is_taken_out(number: str) -> None:
    assert redacted({"message": f"Card {number} refused"}) == {"message": f"Card {MASK} refused"}


@pytest.mark.parametrize("text", ["pay_01m82wedmhjez13faxb2zszw1e", "1772366400000", "4242424242424241", "2026-11-23"])
def test_ids_and_times_are_kept(text: str) -> None:
    assert redacted([text]) == [text]


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("Your card 4242424242424242.", f"Your card {MASK}."),
        ("4242424242424242 12/27 123", f"{MASK} 12/27 123"),
        ("7 5555-5555-5555-4444-1227", f"7 {MASK}-1227"),
        ({"source": 4242424242424242, "at": 1772366400000}, {"source": MASK, "at": 1772366400000}),
        ({"4242424242424242": True}, {MASK: True}),
    ],
)
def test_a_card_number_is_taken_out_whatever_stands_beside_it(told: object, kept: object) -> None:
    assert redacted(told) == kept


@pytest.mark.parametrize("before", range(460, 500))
def test_a_text_is_not_cut_within_a_card_number(before: int) -> None:
    """Fifteen digits of sixteen tell the last."""
    assert "424242" not in redacted("x" * (before - 1) + " 4242424242424242 and more of it")


def test_names_are_cut_as_texts_are() -> None:
    assert [len(name) for name in redacted({"x" * 10_000: 1})] == [500]


def test_no_answer_holds_what_no_row_can() -> None:
    told = orjson.loads(without_nul(rb'{"a": "\u0000b\\u0000\\\u0000\u0000c", "\u0000": 1}'))
    assert told == {"a": "b\\u0000\\c", "": 1}


def test_numbers_and_nothing_pass_through() -> None:
    assert redacted({"amount": 1000, "final": True, "fee": None}) == {"amount": 1000, "final": True, "fee": None}


def test_the_result_is_small_however_large_the_answer_is() -> None:
    deep: Any = {"x": "y"}
    for _ in range(100):
        deep = {"x": deep, "list": ["z" * 10_000] * 10_000}
    assert len(str(redacted(deep))) < 1_000_000
    assert len(redacted("z" * 10_000)) == 500
