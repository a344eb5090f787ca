"""The unit of work on a real PostgreSQL: its clock, its settings, its hints, and connections that die."""

from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, PendingRollbackError

import app.models
from app.access.models import Merchant
from app.kit.bulk import Part
from app.kit.clock import SystemClock
from app.kit.database import Base, Database, Tx, is_away


def test_an_error_never_repeats_what_somebody_sent(database: Database) -> None:
    asked, given = text("SELECT CAST(:typed AS text) || :other"), {"typed": "4111\x00", "other": "secret"}
    for way in (Tx.execute, Tx.rows):
        with pytest.raises(DBAPIError) as caught, database.begin() as tx:
            way(tx, asked, given)
        assert "4111" not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_an_error_never_repeats_the_row_it_is_about(database: Database) -> None:
    """PostgreSQL would: the row that breaks a rule, the key that is there twice, and the JSON it stumbled over."""
    secret = {"email": "ann@example.test"}
    with database.begin() as tx:
        tx.gather(Merchant, {"id": "ann@example.test", "name": "", "settings": {}, "created_at": tx.now()})
        tx.rows(text("ALTER TABLE merchants ADD CONSTRAINT named CHECK (name <> 'x')"))
    rows: list[dict[str, Any]] = [
        {"id": "mer_1", "name": "x", "settings": secret},
        {"id": "ann@example.test", "name": "", "settings": {}},
        {"id": "mer_1", "name": "", "settings": {**secret, "note": "\x00"}},
    ]
    for row in rows:
        with pytest.raises(DBAPIError) as caught, database.begin() as tx:
            tx.gather(Merchant, {**row, "created_at": tx.now()})
        assert "ann@" not in str(caught.value)
        assert "ann@" not in str(caught.value.orig)
        assert caught.value.orig is not None
        with pytest.raises(DBAPIError) as caught, database.begin() as tx:
            tx.session.execute(insert(Merchant).values({**row, "created_at": tx.now()}))
        assert "ann@" not in str(caught.value)


def test_changed_counts_the_rows_of_every_kind_of_statement(database: Database) -> None:
    with database.begin() as tx:
        row = {"id": "mer_1", "name": "Shop", "settings": {}, "created_at": tx.now()}
        add = insert(Merchant).values(row).on_conflict_do_nothing()
        assert [tx.changed(add), tx.changed(add)] == [1, 0]
        assert tx.changed(text("UPDATE merchants SET name = 'Other'")) == 1
        assert tx.changed(text("DELETE FROM merchants WHERE id = 'mer_2'")) == 0


def test_a_fixed_text_finds_what_the_session_and_the_gathered_rows_hold(database: Database) -> None:
    names = text("SELECT name, settings, created_at FROM merchants ORDER BY id")
    with database.begin() as tx:
        tx.gather(Merchant, {"id": "mer_1", "name": "Shop", "settings": {"a": [1]}, "created_at": tx.now()})
        assert tx.rows(names) == [("Shop", {"a": [1]}, tx.now())]
        tx.session.get_one(Merchant, "mer_1").name = "Renamed"
        assert tx.row(names).name == "Renamed"
        assert tx.column(names) == ["Renamed"]
        assert tx.value(text("SELECT name FROM merchants WHERE id = 'mer_2'")) is None


def test_what_breaks_in_a_fixed_text_or_at_the_commit_is_told_as_sqlalchemy_does(database: Database) -> None:
    add = text("INSERT INTO merchants (id, name, settings, created_at) VALUES ('mer_1', 'Shop', '{}', now())")
    with pytest.raises(IntegrityError), database.begin() as tx:
        tx.rows(text(f"{add.text}, {add.text.partition('VALUES ')[2]}"))
    late = text("ALTER TABLE merchants ADD CONSTRAINT only_one UNIQUE (name) DEFERRABLE INITIALLY DEFERRED")
    with database.begin() as tx:
        tx.rows(late)
        tx.rows(add)
    with pytest.raises(IntegrityError), database.begin() as tx:
        tx.rows(text("INSERT INTO merchants SELECT 'mer_2', name, settings, created_at FROM merchants"))
    with database.begin() as tx:
        assert tx.column(text("SELECT id FROM merchants")) == ["mer_1"]
        tx.rows(text("ALTER TABLE merchants DROP CONSTRAINT only_one"))


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


def test_a_gathered_row_that_breaks_is_undone_with_its_part_alone(database: Database) -> None:
    with database.begin() as tx:
        tx.insert(Merchant, id="mer_1", name="Shop", settings={}, created_at=tx.now())
        with suppress(IntegrityError), tx.part():
            tx.gather(Merchant, {"id": "mer_1", "name": "Twice", "settings": {}, "created_at": tx.now()})
        tx.insert(Merchant, id="mer_2", name="Other", settings={}, created_at=tx.now())
    with database.begin() as tx:
        assert tx.execute(text("SELECT name FROM merchants ORDER BY id")).scalars().all() == ["Shop", "Other"]


def test_what_changes_after_a_row_was_gathered_is_written_too(database: Database) -> None:
    with database.begin() as tx:
        merchant = tx.insert(Merchant, id="mer_1", name="Shop", settings={}, created_at=tx.now())
        merchant.name = "Renamed"
    with database.begin() as tx:
        assert tx.session.get_one(Merchant, "mer_1").name == "Renamed"


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Merchant, "changes_gathered", True)


def _merchant(tx: Tx, merchant_id: str) -> Merchant:
    settings = {"kept": [1, 'a"b', None]}
    return tx.insert(Merchant, id=merchant_id, name="Shop", settings=settings, created_at=tx.now())


@pytest.mark.usefixtures("gathered")
def test_changes_leave_with_new_rows_and_touch_nothing_else(database: Database) -> None:
    with database.begin() as tx:
        _merchant(tx, "mer_1")
        # Changed before it is written, it is inserted as it is by then.
        _merchant(tx, "mer_2").name = "Second"
    with database.begin() as tx:
        first, second = (tx.session.get_one(Merchant, one) for one in ("mer_1", "mer_2"))
        first.name, second.settings = "First", {"new": True}
        _merchant(tx, "mer_3").settings = {}
        assert not database_sees(database, "First")
        tx.settle()
        first.name = "Last"
        second.name = second.name
    with database.begin() as tx:
        rows = tx.rows(text("SELECT name, settings FROM merchants ORDER BY id"))
        kept = {"kept": [1, 'a"b', None]}
        assert rows == [("Last", kept), ("Second", {"new": True}), ("Shop", {})]


def database_sees(database: Database, name: str) -> bool:
    with database.begin() as tx:
        return bool(tx.rows(text("SELECT id FROM merchants WHERE name = :name"), {"name": name}))


@pytest.mark.usefixtures("gathered")
def test_a_change_of_a_row_that_is_gone_is_not_lost_in_silence(database: Database) -> None:
    with database.begin() as tx:
        _merchant(tx, "mer_1")
    with ExitStack() as late:
        tx = late.enter_context(database.begin())
        tx.session.get_one(Merchant, "mer_1").name = "Renamed"
        tx.apart(text("DELETE FROM merchants"))
        with pytest.raises(AssertionError, match="not there any more"):
            tx.settle()
        late.callback(tx.session.rollback)
    assert database_sees(database, "Shop")


@pytest.mark.usefixtures("gathered")
def test_a_change_that_is_undone_with_its_part_is_undone_in_the_object_too(database: Database) -> None:
    with database.begin() as tx:
        _merchant(tx, "mer_1")
    with database.begin() as tx:
        merchant = tx.session.get_one(Merchant, "mer_1")
        with suppress(ZeroDivisionError), tx.part():
            merchant.name = "Renamed"
            assert tx.column(text("SELECT name FROM merchants")) == ["Renamed"]
            raise ZeroDivisionError
        assert merchant.name == "Shop"
        merchant.settings = {}
    assert database_sees(database, "Shop")


@pytest.mark.usefixtures("gathered")
def test_an_object_is_changed_after_its_part_was_undone_without_being_read_before(database: Database) -> None:
    with database.begin() as tx:
        _merchant(tx, "mer_1")
    with database.begin() as tx:
        merchant = tx.session.get_one(Merchant, "mer_1")
        with suppress(ZeroDivisionError), tx.part():
            raise ZeroDivisionError
        merchant.name = "Renamed"
    assert database_sees(database, "Renamed")


def test_a_part_is_written_with_the_rows_and_a_second_one_of_its_kind_after_it(database: Database) -> None:
    other = "other AS (INSERT INTO merchants SELECT id, 'Part', '{}', now() FROM unnest(CAST(:ids AS text[])) AS id)"
    with database.begin() as tx:
        tx.gather(Merchant, {"id": "mer_1", "name": "Shop", "settings": {}, "created_at": tx.now()})
        for ids in (["mer_2"], ["mer_3", "mer_4"]):
            tx.gather_part(Part(other, {"ids": ids}))
    with database.begin() as tx:
        assert tx.value(text("SELECT count(*) FROM merchants WHERE name = 'Part'")) == 3
        assert tx.value(text("SELECT count(*) FROM merchants")) == 4


def test_a_part_that_raises_takes_its_hints_and_what_it_knew_with_it(database: Database) -> None:
    told: list[str] = []
    database.on_notify(told.append)
    with database.begin() as tx:
        tx.notify("sluice_work")
        with suppress(RuntimeError), tx.part():
            tx.notify("sluice_events")
            tx.after_commit(lambda: tx.known.add("acc_1"))
            tx.own(set).add("locked")
            raise RuntimeError
        assert tx.own(set) == set()
    assert (told, tx.known) == (["sluice_work"], set())
    with database.begin() as tx:
        with suppress(RuntimeError), tx.part():
            tx.notify("sluice_work")
            raise RuntimeError
        tx.notify("sluice_work")
    assert told == ["sluice_work", "sluice_work"]


def test_postgresql_is_told_at_the_commit_too(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url.replace("+psycopg", "", 1), autocommit=True) as listener:
        listener.execute("LISTEN sluice_work")
        listener.execute("LISTEN sluice_flag")
        with database.begin() as tx:
            tx.notify("sluice_work")
            tx.notify("sluice_flag", "risk")
        heard = {(told.channel, told.payload) for told in listener.notifies(timeout=5, stop_after=2)}
    assert heard == {("sluice_work", ""), ("sluice_flag", "risk")}


def test_settings_hold_for_one_transaction_which_has_one_moment(database: Database) -> None:
    with database.begin() as tx:
        tx.local({"enable_seqscan": "off", "synchronous_commit": "off"})
        assert tx.execute(text("SHOW enable_seqscan")).scalar_one() == "off"
        assert tx.now() == tx.now()
        assert abs(tx.now() - SystemClock().now()) < timedelta(minutes=1)
    with database.begin() as tx:
        assert tx.execute(text("SHOW enable_seqscan")).scalar_one() == "on"


def test_connections_that_died_in_the_pool_are_not_used(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once() -> set[int]:
        with ExitStack() as open_:
            return {
                open_.enter_context(database.begin()).execute(text("SELECT pg_backend_pid()")).scalar_one()
                for _ in range(4)
            }

    before = at_once()
    with psycopg.connect(database_url.replace("+psycopg", "", 1), autocommit=True) as other:
        for backend in before:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    monkeypatch.setattr("app.kit.database._FRESH_SECONDS", 0.0)
    assert not at_once() & before


def test_a_transaction_that_lost_its_connection_goes_on_with_no_other(database: Database) -> None:
    add = text("INSERT INTO merchants (id, name, settings, created_at) VALUES ('mer_1', 'Shop', '{}', now())")
    with suppress(PendingRollbackError), database.begin() as tx:
        backend = tx.value(text("SELECT pg_backend_pid()"))
        with database.begin() as other:
            other.value(text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
        with pytest.raises(OperationalError):
            tx.rows(add)
        with pytest.raises(PendingRollbackError):
            tx.rows(add)
    with database.begin() as tx:
        assert tx.column(text("SELECT id FROM merchants")) == []


@pytest.mark.parametrize("fixed", [False, True])
def test_a_connection_that_died_a_moment_ago_is_one_error_and_no_more(
    database: Database, database_url: str, *, fixed: bool
) -> None:
    who = text("SELECT pg_backend_pid()")

    def backend() -> int:
        with database.begin() as tx:
            return int(tx.value(who) if fixed else tx.execute(who).scalar_one())

    with psycopg.connect(database_url.replace("+psycopg", "", 1), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend()])
    with pytest.raises(OperationalError) as lost:
        backend()
    assert is_away(lost.value)
    assert backend()


def test_no_class_has_relationships_since_sessions_do_not_look_for_what_hangs_on_an_object() -> None:
    assert app.models, "every class is there"
    assert [mapper.class_.__name__ for mapper in Base.registry.mappers if mapper.relationships] == []
