"""History of instances that ended long ago: one compressed row each, so that the tables in use stay small.

Nothing of it is lost, and readers do not notice: `lines` answers with the same rows wherever they lie.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, text

from app.engine.models import ArchivedJournal, JournalPage, JournalRow
from app.engine.step import JournalEntry, element_of
from app.kit.database import Json, Tx

#: Messages are kept this long after they were received or had expired; until then a repetition is recognised.
MESSAGES_KEPT = timedelta(days=30)

_CHOOSE = text("""
SELECT id FROM instances
WHERE ended_at < :before AND archived_at IS NULL
ORDER BY ended_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
# The guard of journal and pages lets go of a line only once the archive holds it.
_FOLD = text("""
INSERT INTO journal_archive (instance_id, last_seq, lines)
SELECT instance_id, max(seq), jsonb_agg(line ORDER BY seq) FROM (
    SELECT instance_id, seq, to_jsonb(journal) - 'instance_id' AS line FROM journal WHERE instance_id = ANY(:ids)
    UNION ALL
    SELECT page.instance_id, place.seq, line || jsonb_build_object('seq', place.seq, 'at', page.at)
    FROM journal_pages page
    CROSS JOIN LATERAL jsonb_array_elements(page.lines) WITH ORDINALITY AS listed(line, number)
    CROSS JOIN LATERAL (SELECT page.seq - jsonb_array_length(page.lines) + number::integer AS seq) place
    WHERE page.instance_id = ANY(:ids)
) found GROUP BY instance_id
""")
_CLEAR = (
    text("DELETE FROM journal WHERE instance_id = ANY(:ids)"),
    text("DELETE FROM journal_pages WHERE instance_id = ANY(:ids)"),
)
_MARK = text("UPDATE instances SET archived_at = :now WHERE id = ANY(:ids)")
_FORGET = text("""
DELETE FROM messages WHERE id IN (
    SELECT id FROM messages
    WHERE coalesce(delivered_at, expires_at) < :before
    ORDER BY coalesce(delivered_at, expires_at) LIMIT :limit FOR UPDATE SKIP LOCKED
)
""")


def fold(tx: Tx, after: timedelta, limit: int) -> int:
    """Move the journals of up to `limit` instances that ended longer than `after` ago; how many there were."""
    ids = tx.column(_CHOOSE, {"before": tx.now() - after, "limit": limit})
    if ids:
        for statement in (_FOLD, *_CLEAR):
            tx.rows(statement, {"ids": ids})
        tx.rows(_MARK, {"ids": ids, "now": tx.now()})
    return len(ids)


def forget_messages(tx: Tx, limit: int) -> int:
    """Delete messages that were received or expired long ago; how many."""
    return tx.changed(_FORGET, {"before": tx.now() - MESSAGES_KEPT, "limit": limit})


def lines(tx: Tx, instance_ids: Sequence[str]) -> list[JournalRow]:
    """The whole history of the instances, in order; rows that come from pages or the archive belong to no session."""
    mine = list(instance_ids)
    archived = tx.session.scalars(select(ArchivedJournal).where(ArchivedJournal.instance_id.in_(mine)))
    rows = [_row(one.instance_id, line) for one in archived for line in one.lines]
    pages = tx.session.scalars(select(JournalPage).where(JournalPage.instance_id.in_(mine)))
    rows += [row for page in pages for row in _rows(page)]
    rows += tx.session.scalars(select(JournalRow).where(JournalRow.instance_id.in_(mine)))
    return sorted(rows, key=lambda row: (row.instance_id, row.seq))


_EMPTY: Final[Json] = {"node": "", "process": "", "scope": "", "actor": "", "facts": {}}


def page_line(entry: JournalEntry) -> Json:
    """`entry` as a page holds it: without what is empty, or can be told from its place in the page or from its node."""
    line: Json = {"kind": entry.kind}
    if entry.element != element_of(entry.node):
        line["element"] = entry.element
    # One after the other, for a payment has a hundred lines.
    if entry.node:
        line["node"] = entry.node
    if entry.process:
        line["process"] = entry.process
    if entry.scope:
        line["scope"] = entry.scope
    if entry.actor:
        line["actor"] = entry.actor
    if entry.facts:
        line["facts"] = entry.facts
    return line


def _rows(page: JournalPage) -> Iterator[JournalRow]:
    for seq, line in enumerate(page.lines, start=page.seq - len(page.lines) + 1):
        yield _row(page.instance_id, {**line, "seq": seq, "at": page.at})


def _row(instance_id: str, line: Json) -> JournalRow:
    at = line["at"]
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    element = element_of(line.get("node", ""))
    return JournalRow(**{**_EMPTY, "facts": {}, "element": element, **line, "instance_id": instance_id, "at": moment})
