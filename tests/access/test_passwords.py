import time

import pytest

from app.access import passwords


@pytest.mark.parametrize(
    "password",
    ["short", "password1234", "aaaaaaaaaaaaaaaa", "x" * 201, "ada.lovelace12"],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(passwords.WeakPassword) as refused:
        passwords.hash_password(password, email="ada.lovelace@shop.example")
    assert refused.value.errors[0].field == "password"
    assert password not in str(refused.value)


def test_only_the_right_password_matches_and_the_hash_is_argon2id() -> None:
    hashed = passwords.hash_password("three green parrots")
    assert hashed.startswith("$argon2id$")
    assert passwords.matches(hashed, "three green parrots")
    assert not passwords.matches(hashed, "three green parrot")
    assert not passwords.matches("not a hash", "three green parrots")


def test_a_password_typed_in_another_unicode_form_is_the_same_password() -> None:
    hashed = passwords.hash_password("Gr\u00fc\u00dfe aus Z\u00fcrich")
    assert passwords.matches(hashed, "Gru\u0308\u00dfe aus Zu\u0308rich")


def test_an_unknown_account_costs_as_much_time_as_a_wrong_password() -> None:
    hashed = passwords.hash_password("three green parrots")
    known = _fastest(lambda: passwords.matches(hashed, "wrong wrong wrong"))
    unknown = _fastest(lambda: passwords.spend_time("wrong wrong wrong"))
    assert 0.4 < unknown / known < 2.5


def _fastest(action: object) -> float:
    assert callable(action)
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return min(times)
