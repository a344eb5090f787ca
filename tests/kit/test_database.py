from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from app.access.models import Merchant
from app.kit.database import Database


def test_an_error_never_repeats_what_somebody_sent(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught, database.begin() as tx:
        tx.execute(text("SELECT CAST(:typed AS text) || :other"), {"typed": "4111\x00", "other": "secret"})
    assert "4111" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_changed_counts_the_rows_of_every_kind_of_statement(database: Database) -> None:
    with database.begin() as tx:
        row = {"id": "mer_1", "name": "Shop", "settings": {}, "created_at": tx.now()}
        add = insert(Merchant).values(row).on_conflict_do_nothing()
        assert [tx.changed(add), tx.changed(add)] == [1, 0]
        assert tx.changed(text("UPDATE merchants SET name = 'Other'")) == 1
        assert tx.changed(text("DELETE FROM merchants WHERE id = 'mer_2'")) == 0


def test_a_hint_leaves_after_the_commit_once_per_channel_and_not_without_one(database: Database) -> None:
    told: list[str] = []
    database.on_notify(told.append)
    with database.begin() as tx:
        tx.notify("sluice_work")
        tx.notify("sluice_work")
        assert told == []
    assert told == ["sluice_work"]
    with suppress(RuntimeError), database.begin() as tx:
        tx.notify("sluice_work")
        raise RuntimeError
    assert told == ["sluice_work"]
