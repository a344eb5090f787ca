"""Reading the definitions store: lists, one definition in full, and who still runs on which version."""

from sqlalchemy import select, text
from sqlalchemy.orm import defer

from app.engine.definitions import Kind
from app.engine.models import Definition
from app.engine.step import InstanceStatus
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch, narrowed

#: Lists leave out what may be a megabyte each.
_LIGHT = defer(Definition.content)
_RUNNING = [str(status) for status in InstanceStatus if not status.ended]
_IN_USE = text("""
SELECT pinned.value AS definition_id, count(DISTINCT instances.id) AS running
FROM instances
CROSS JOIN LATERAL (VALUES (pins -> 'processes'), (pins -> 'decisions'), (pins -> 'forms')) AS kinds(names)
CROSS JOIN LATERAL jsonb_each_text(kinds.names) AS pinned
WHERE instances.merchant_id = :merchant AND instances.status = ANY(:running)
GROUP BY pinned.value
""")


def definitions(
    tx: Tx,
    merchant_id: str,
    *,
    kind: Kind | None = None,
    key: str | None = None,
    status: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Page[Definition]:
    """Versions of any key, newest first."""
    query = select(Definition).options(_LIGHT).where(Definition.merchant_id == merchant_id)
    wanted = {Definition.kind: kind, Definition.key: key, Definition.status: status}
    return fetch(tx, narrowed(query, wanted), Definition.id, limit, after)


def definition_view(one: Definition, *, content: bool = False) -> Json:
    """A definition in the API's shape; with `content` its text as well."""
    view: Json = {
        "id": one.id,
        "object": "definition",
        "kind": one.kind,
        "key": one.key,
        "version": one.version,
        "name": one.name,
        "status": one.status,
        "file_name": one.file_name,
        "sha256": one.content_hash,
        "uses": one.uses,
        "warnings": one.warnings["findings"],
        "created_by": one.created_by,
        "created_at": one.created_at.isoformat(),
        "published_by": one.published_by,
        "published_at": one.published_at.isoformat() if one.published_at else None,
    }
    return {**view, "content": one.content.decode("utf-8-sig")} if content else view


def in_use(tx: Tx, merchant_id: str) -> dict[str, int]:
    """Definition id -> how many instances that have not ended are pinned to it, as their own flow or as a part."""
    rows = tx.rows(_IN_USE, {"merchant": merchant_id, "running": _RUNNING})
    return {row.definition_id: row.running for row in rows}
