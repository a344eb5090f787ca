"""Reading the definitions store: lists, one definition in full, and who still runs on which version."""

from dataclasses import dataclass

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import defer

from app.engine.definitions import DRAFT, USED_AS, Kind
from app.engine.models import Definition, Instance
from app.engine.step import InstanceStatus
from app.kit.database import Json, Tx
from app.kit.paging import Page, fetch

#: Lists leave out what may be a megabyte each.
_LIGHT = defer(Definition.content)
_RUNNING = [str(status) for status in InstanceStatus if not status.ended]


@dataclass(frozen=True, slots=True)
class Use:
    """How many instances that have not ended are pinned to one version."""

    definition_id: str
    version: int
    running: int


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
    if kind is not None:
        query = query.where(Definition.kind == kind)
    if key is not None:
        query = query.where(Definition.key == key)
    if status is not None:
        query = query.where(Definition.status == status)
    return fetch(tx, query, Definition.id, limit, after)


def drafts(tx: Tx, merchant_id: str, *, limit: int = 50, after: str | None = None) -> Page[Definition]:
    """Versions that wait for somebody to publish them, newest first."""
    return definitions(tx, merchant_id, status=DRAFT, limit=limit, after=after)


def versions(tx: Tx, merchant_id: str, kind: Kind, key: str) -> list[Definition]:
    """Every version of one key, newest first."""
    mine = (Definition.merchant_id == merchant_id, Definition.kind == kind, Definition.key == key)
    return list(tx.session.scalars(select(Definition).options(_LIGHT).where(*mine).order_by(Definition.version.desc())))


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


def who_uses(tx: Tx, one: Definition) -> list[Use]:
    """The instances that have not ended and are pinned to any version of this key, per version, newest first."""
    names = one.uses["defines"] if one.kind == "dmn" else [one.key]
    pinned = or_(*(Instance.pins[USED_AS[one.kind]][name].astext == Definition.id for name in names))
    counted = (
        select(Definition.id, Definition.version, func.count(Instance.id.distinct()).label("running"))
        .join(Instance, pinned)
        .where(
            Definition.merchant_id == one.merchant_id,
            Definition.kind == one.kind,
            Definition.key == one.key,
            Instance.merchant_id == one.merchant_id,
            Instance.status.in_(_RUNNING),
        )
        .group_by(Definition.id, Definition.version)
        .order_by(Definition.version.desc())
    )
    return [Use(row.id, row.version, row.running) for row in tx.session.execute(counted)]


_PINNED = text("""
    SELECT pinned.value AS definition_id, count(DISTINCT instances.id) AS running
    FROM instances
    CROSS JOIN LATERAL jsonb_each(instances.pins) AS kinds(kind, pins)
    CROSS JOIN LATERAL jsonb_each_text(
        CASE jsonb_typeof(kinds.pins) WHEN 'object' THEN kinds.pins ELSE '{}' END
    ) AS pinned
    WHERE instances.merchant_id = :merchant AND instances.status = ANY(:running)
    GROUP BY pinned.value
""")


def running(tx: Tx, merchant_id: str) -> dict[str, int]:
    """How many instances that have not ended may still touch each definition, called ones included, by its id."""
    rows = tx.execute(_PINNED, {"merchant": merchant_id, "running": _RUNNING})
    return {row.definition_id: row.running for row in rows}
