import base64

import pytest

from app.kit.sealing import SealBroken, Sealer

OLD, NEW = bytes(range(32)), bytes(32)


def test_what_was_sealed_opens_in_its_place_only() -> None:
    sealer = Sealer({"k1": NEW}, "k1")
    sealed = sealer.seal(b"secret", "webhook_endpoints/1/current")
    assert sealer.open(sealed, "webhook_endpoints/1/current") == b"secret"
    with pytest.raises(SealBroken):
        sealer.open(sealed, "webhook_endpoints/2/current")


def test_sealing_twice_gives_two_texts_and_none_shows_the_secret() -> None:
    sealer = Sealer({"k1": NEW}, "k1")
    one, two = sealer.seal(b"secret", "p"), sealer.seal(b"secret", "p")
    assert one != two
    assert b"secret" not in base64.b64decode(one.rpartition(".")[2])


def test_a_retired_key_still_opens_and_a_removed_one_does_not() -> None:
    sealed = Sealer({"k1": OLD}, "k1").seal(b"secret", "p")
    assert Sealer({"k2": NEW, "k1": OLD}, "k2").open(sealed, "p") == b"secret"
    with pytest.raises(SealBroken):
        Sealer({"k2": NEW}, "k2").open(sealed, "p")


@pytest.mark.parametrize(
    ("part", "replacement"), [("s1", "s2"), ("k1", "k9"), ("A", "B"), ("=", "!"), (".", ""), ("s1.k1.", "s1.k1.AAAA")]
)
def test_a_changed_value_is_refused(part: str, replacement: str) -> None:
    sealer = Sealer({"k1": NEW}, "k1")
    sealed = next(text for text in (sealer.seal(b"secret!", "p") for _ in range(1000)) if part in text)
    with pytest.raises(SealBroken):
        sealer.open(sealed.replace(part, replacement, 1), "p")


def test_keys_are_read_from_one_setting() -> None:
    text = f"k2:{base64.b64encode(NEW).decode()}, k1:{base64.b64encode(OLD).decode()}"
    assert Sealer.from_text(text).seal(b"x", "p").startswith("s1.k2.")
    assert Sealer.from_text(text).open(Sealer({"k1": OLD}, "k1").seal(b"x", "p"), "p") == b"x"


@pytest.mark.parametrize("text", ["", "k1", "k1:abc", "k1:" + base64.b64encode(b"short").decode()])
def test_a_key_that_is_none_is_refused_at_start(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        Sealer.from_text(text)
