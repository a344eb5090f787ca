from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from app.access.models import Merchant
from app.kit.database import Database


def test_changed_counts_the_rows_of_every_kind_of_statement(database: Database) -> None:
    with database.begin() as tx:
        row = {"id": "mer_1", "name": "Shop", "settings": {}, "created_at": tx.now()}
        add = insert(Merchant).values(row).on_conflict_do_nothing()
        assert [tx.changed(add), tx.changed(add)] == [1, 0]
        assert tx.changed(text("UPDATE merchants SET name = 'Other'")) == 1
        assert tx.changed(text("DELETE FROM merchants WHERE id = 'mer_2'")) == 0
