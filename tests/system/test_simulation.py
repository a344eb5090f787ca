"""The simulation in small: a seed is a history, the promises hold in it, and without what keeps them they do not."""

from pathlib import Path

import psycopg
import pytest

from proof.simulation.history import digest
from proof.simulation.world import World
from tests.plugins.servers import EMPTY_ALL_TABLES

PAYMENTS = 40
# Between two runs PostgreSQL must not learn more about the tables, and then read them in another order.
_LEARN_NOTHING = """
DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = false)', one);
    END LOOP;
END $$
"""


def simulate(url: str, folder: Path, seed: int, breaking: str = "") -> tuple[str, list[str]]:
    """The history's digest, and the promises it broke."""
    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        connection.execute(_LEARN_NOTHING)
        connection.execute(EMPTY_ALL_TABLES)
    world = World(url, seed, folder, breaking=breaking)
    try:
        world.run(PAYMENTS)
        found = [str(broken) for broken in world.check(rest=True)]
        return digest(url, world.books()), found
    finally:
        world.close()


def test_the_same_seed_is_the_same_history_to_the_last_byte(database_url: str, tmp_path: Path) -> None:
    first = simulate(database_url, tmp_path / "first", 7)
    again = simulate(database_url, tmp_path / "again", 7)
    assert first == again
    assert first[1] == []


@pytest.mark.parametrize(
    ("breaking", "promise"), [("fresh-keys", "I1"), ("no-write-ahead", "I5"), ("hasty-failover", "I1")]
)
def test_without_what_keeps_a_promise_the_same_run_breaks_it(
    database_url: str, tmp_path: Path, breaking: str, promise: str
) -> None:
    _, found = simulate(database_url, tmp_path, 7, breaking)
    assert [one for one in found if one.startswith(promise)] != []
