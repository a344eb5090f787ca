"""What `sluice up` decides before it starts anything."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from app.stack import AddressTaken, Stack, _only_here

EVERYWHERE = "0.0.0.0"  # noqa: S104 - the address it must warn of


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Somebody else listens there, so that nothing is started; what `sluice up` does to signals is undone."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with socket.create_server((EVERYWHERE, 0)) as other:
        yield other.getsockname()[1]
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("host", "sentences"), [("127.0.0.1", 0), (EVERYWHERE, 1)])
def test_listening_for_other_machines_is_warned_of_in_one_sentence(
    host: str, sentences: int, taken_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AddressTaken):
        Stack(Settings(host=host, port=taken_port, var=tmp_path)).run()
    told = capsys.readouterr().err
    assert told.count("Warning: ") == told.count("\n") == sentences


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("::1", True),
        ("192.0.2.7", False),
        ("web", False),
    ],
)
def test_what_is_reached_from_this_machine_alone(host: str, only_here: bool) -> None:
    assert _only_here(host) is only_here


@pytest.mark.parametrize(
    ("own", "said", "allowed"),
    [("", False, True), ("postgresql+psycopg://db/x", False, False), ("postgresql+psycopg://db/x", True, True)],
)
def test_private_addresses_are_opened_only_beside_the_embedded_database(
    own: str, said: bool, allowed: bool, tmp_path: Path
) -> None:
    settings = Settings(database_url=own, webhook_allow_private=said, var=tmp_path)
    assert Stack(settings)._with_keys(settings).webhook_allow_private is allowed
