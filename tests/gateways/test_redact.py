from typing import Any

import pytest

from app.gateways.redact import MASK, redacted


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


def test_numbers_and_nothing_pass_through() -> None:
    assert redacted({"amount": 1000, "final": True, "fee": None}) == {"amount": 1000, "final": True, "fee": None}


def test_the_result_is_small_however_large_the_answer_is() -> None:
    deep: Any = {"x": "y"}
    for _ in range(100):
        deep = {"x": deep, "list": ["z" * 10_000] * 10_000}
    assert len(str(redacted(deep))) < 1_000_000
    assert len(redacted("z" * 10_000)) == 500
