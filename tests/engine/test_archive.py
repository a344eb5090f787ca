"""Old history moves to one row per instance: readers see the same, and no line can be lost on the way."""

from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from app.console.read.timeline import timeline
from app.engine import archive, inbox, queries
from app.engine.models import ArchivedJournal, Instance, JournalPage, JournalRow, Message
from app.jobs.archive import SLICE, Archive
from app.kit.database import Database
from tests.fixtures_sandbox import sandbox
from tests.house import MERCHANT, House, house

assert house
assert sandbox
MONTH = timedelta(days=30)


def archived(database: Database) -> int:
    with database.begin() as tx:
        return tx.session.scalar(select(func.count()).select_from(ArchivedJournal)) or 0


def story(house: House, payment_id: str) -> tuple[object, object]:
    with house.database.begin() as tx:
        instance = tx.session.scalars(select(Instance).where(Instance.subject == payment_id)).one()
        told = [(one.at, one.kind, one.where, one.actor) for one in timeline(tx, [payment_id])]
        return queries.instance_view(tx, instance)["path"], told


def test_an_archived_instance_reads_as_before(house: House) -> None:
    payment_id = house.paid()
    before = story(house, payment_id)
    house.clock.advance(timedelta(days=31))
    with house.database.begin() as tx:
        assert archive.fold(tx, MONTH, SLICE) == 1
        assert tx.session.scalars(select(JournalPage)).all() == []
    assert story(house, payment_id) == before
    assert before[0]
    with house.database.begin() as tx:
        assert archive.fold(tx, MONTH, SLICE) == 0, "once is enough"


def test_only_what_ended_long_ago_is_moved(house: House) -> None:
    house.paid()
    held = house.pay(capture_method="manual")
    house.run()
    house.clock.advance(timedelta(days=29))
    with house.database.begin() as tx:
        assert archive.fold(tx, MONTH, SLICE) == 0
    house.clock.advance(timedelta(days=2))
    with house.database.begin() as tx:
        assert archive.fold(tx, MONTH, SLICE) == 1
    assert house.journal(held), "it still runs"
    with house.database.begin() as tx:
        assert tx.session.scalars(select(JournalPage)).all()


def test_lines_of_the_former_journal_and_of_pages_are_one_history_and_one_archive(house: House) -> None:
    payment_id = house.paid()
    with house.database.begin() as tx:
        instance = tx.session.scalars(select(Instance).where(Instance.subject == payment_id)).one()
        former = {"instance_id": instance.id, "seq": instance.journal_seq + 1, "at": tx.now(), "kind": "stale"}
        nothing = dict.fromkeys(("node", "process", "scope", "actor"), "")
        tx.session.add(JournalRow(**former, **nothing, element="late", facts={"item": "message"}))
    lines = [(row.seq, row.at, row.kind, row.element, row.node, row.facts) for row in house.journal(payment_id)]
    assert [line[0] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1][3] == "late"
    house.clock.advance(timedelta(days=31))
    with house.database.begin() as tx:
        assert archive.fold(tx, MONTH, SLICE) == 1
        assert tx.session.scalars(select(JournalRow)).all() == []
    archived = [(row.seq, row.at, row.kind, row.element, row.node, row.facts) for row in house.journal(payment_id)]
    assert archived == lines


@pytest.mark.parametrize("statement", [delete(JournalPage), update(JournalPage).values(seq=0)])
def test_a_line_leaves_the_journal_only_for_the_archive(house: House, statement: object) -> None:
    house.paid()
    with pytest.raises(DBAPIError, match="append-only"), house.database.begin() as tx:
        tx.execute(statement)  # type: ignore[arg-type]


@pytest.mark.parametrize("statement", [delete(ArchivedJournal), update(ArchivedJournal).values(last_seq=0)])
def test_the_archive_is_append_only(house: House, statement: object) -> None:
    house.paid()
    house.clock.advance(timedelta(days=31))
    with house.database.begin() as tx:
        archive.fold(tx, MONTH, SLICE)
    with pytest.raises(DBAPIError, match="append-only") as refused, house.database.begin() as tx:
        tx.execute(statement)  # type: ignore[arg-type]
    assert isinstance(refused.value.orig, psycopg.errors.RestrictViolation)


def test_a_message_is_forgotten_a_month_after_it_served_and_not_before(house: House) -> None:
    with house.database.begin() as tx:
        assert inbox.publish_message(tx, MERCHANT, "gateway.event", "att_1", {}, "once")
    house.clock.advance(timedelta(days=30))
    with house.database.begin() as tx:
        assert archive.forget_messages(tx, SLICE) == 0, "it expired a day after it came"
        assert not inbox.publish_message(tx, MERCHANT, "gateway.event", "att_1", {}, "once")
    house.clock.advance(timedelta(days=2))
    with house.database.begin() as tx:
        assert archive.forget_messages(tx, SLICE) == 1
        assert tx.session.scalars(select(Message)).all() == []


def test_the_worker_does_it_by_itself(house: House) -> None:
    house.paid()
    chore = Archive(MONTH)
    house.clock.advance(timedelta(days=31))
    for _ in range(2):
        with house.database.begin() as tx:
            assert chore.take(tx, 1) == []
    assert archived(house.database) == 1


def test_choosing_what_to_move_reads_an_index(house: House) -> None:
    with house.database.begin() as tx:
        tx.execute(text("SET LOCAL enable_seqscan = off"))
        plan = tx.execute(
            text(
                "EXPLAIN SELECT id FROM instances WHERE ended_at < now() AND archived_at IS NULL "
                "ORDER BY ended_at LIMIT 10"
            )
        )
        assert "ix_instances_to_archive" in "\n".join(row[0] for row in plan)
