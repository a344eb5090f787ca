from datetime import UTC, datetime, timedelta

import pytest

from app.errors import InvalidInput
from app.kit.crypto import (
    SignatureRefused,
    new_signing_secret,
    signed_headers,
    signing_key,
    verify_signature,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW, FOREIGN = new_signing_secret(), new_signing_secret(), new_signing_secret()


def test_the_signature_is_the_one_of_the_published_example() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed_headers((secret,), "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_was_signed_is_vouched_for() -> None:
    signed = verify_signature((NEW,), signed_headers((NEW,), "evt_1", NOW, b"body"), b"body", NOW)
    assert (signed.id, signed.signed_at) == ("evt_1", NOW)


def test_header_names_are_compared_without_regard_to_case() -> None:
    headers = {name.title(): value for name, value in signed_headers((NEW,), "evt_1", NOW, b"body").items()}
    assert verify_signature((NEW,), headers, b"body", NOW).id == "evt_1"


@pytest.mark.parametrize("change", [{"webhook-id": "evt_2"}, {"webhook-timestamp": str(int(NOW.timestamp()) + 1)}])
def test_id_and_timestamp_are_part_of_the_signature(change: dict[str, str]) -> None:
    headers = signed_headers((NEW,), "evt_1", NOW, b"body") | change
    with pytest.raises(SignatureRefused):
        verify_signature((NEW,), headers, b"body", NOW)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(SignatureRefused):
        verify_signature((NEW,), signed_headers((NEW,), "evt_1", NOW, b"body"), b"bodY", NOW)


@pytest.mark.parametrize("seconds", [-301, 301, 4000])
def test_a_timestamp_too_far_away_is_refused_on_both_sides(seconds: int) -> None:
    headers = signed_headers((NEW,), "evt_1", NOW + timedelta(seconds=seconds), b"body")
    with pytest.raises(SignatureRefused, match="300 seconds"):
        verify_signature((NEW,), headers, b"body", NOW)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_timestamp_at_the_edge_is_accepted(seconds: int) -> None:
    headers = signed_headers((NEW,), "evt_1", NOW + timedelta(seconds=seconds), b"body")
    assert verify_signature((NEW,), headers, b"body", NOW).id == "evt_1"


@pytest.mark.parametrize(("signing", "knowing"), [((OLD, NEW), (OLD,)), ((OLD, NEW), (NEW,)), ((NEW,), (OLD, NEW))])
def test_a_secret_can_be_rotated_from_either_side(signing: tuple[str, ...], knowing: tuple[str, ...]) -> None:
    headers = signed_headers(signing, "evt_1", NOW, b"body")
    assert verify_signature(knowing, headers, b"body", NOW).id == "evt_1"


@pytest.mark.parametrize("secrets", [(FOREIGN,), ()])
def test_a_signature_by_somebody_else_is_refused(secrets: tuple[str, ...]) -> None:
    with pytest.raises(SignatureRefused):
        verify_signature(secrets, signed_headers((NEW,), "evt_1", NOW, b"body"), b"body", NOW)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "v1,ü", "-1", "9" * 40, "²"])
def test_missing_and_malformed_headers_are_refused(name: str, value: str | None) -> None:
    headers = signed_headers((NEW,), "evt_1", NOW, b"body")
    headers.pop(name)
    if value is not None:
        headers[name] = value
    with pytest.raises(SignatureRefused):
        verify_signature((NEW,), headers, b"body", NOW)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_short",
        "whsec_!!!!",
        pytest.param(new_signing_secret()[6:], id="no prefix"),
        "whsec_c2hvcnQ=",
    ],
)
def test_a_secret_of_another_form_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        signing_key(secret)
    assert not secret or secret not in refused.value.detail.replace("'whsec_'", "")


def test_new_secrets_differ_and_can_be_used() -> None:
    assert len({signing_key(new_signing_secret()) for _ in range(20)}) == 20
