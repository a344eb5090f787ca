"""The flows that come with Sluice: the files under `workflows/`, deployed for a merchant that has no others."""

from pathlib import Path

import structlog
from sqlalchemy import and_, func, or_, select

from app.access.actor import Actor, system
from app.engine import definitions
from app.engine.lint import Upload
from app.engine.models import Definition
from app.errors import Conflict
from app.kit.database import Tx

log = structlog.get_logger()

ENDINGS = (".bpmn", ".dmn", ".form.json")


def files(folder: Path) -> list[Path]:
    """Every diagram, decision table and form below `folder`, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.name.endswith(ENDINGS))


def uploads(folder: Path) -> list[Upload]:
    return [Upload(path.name, path.read_bytes()) for path in files(folder)]


def deploy(tx: Tx, merchant_id: str, folder: Path) -> list[Definition]:
    """Deploy what is new and publish it, except where people have decided otherwise.

    That is where they published something since, an older version too, or retired it. What then fits no longer stays a
    draft for them to publish, and is told in the log.
    """
    actor = system(merchant_id)
    deployed = definitions.deploy(tx, actor, uploads(folder))
    theirs = _decided_by_people(tx, actor)
    ours = [one for one in deployed if one.status != definitions.PUBLISHED and (one.kind, one.key) not in theirs]
    try:
        if ours:
            definitions.publish_together(tx, actor, [one.id for one in ours])
    except (Conflict, definitions.DefinitionRefused) as misfit:
        log.warning("flows.left_as_drafts", merchant=merchant_id, flows=[one.key for one in ours], why=misfit.detail)
    return deployed


def _decided_by_people(tx: Tx, actor: Actor) -> set[tuple[str, str]]:
    """Kinds and keys that people published, or retired: the house itself never leaves one without a version."""
    by_people = func.count().filter(Definition.status == definitions.PUBLISHED, Definition.published_by != actor.id)
    standing = func.count().filter(Definition.status == definitions.PUBLISHED)
    ever = func.count().filter(Definition.published_at.is_not(None))
    query = (
        select(Definition.kind, Definition.key)
        .where(Definition.merchant_id == actor.merchant_id)
        .group_by(Definition.kind, Definition.key)
        .having(or_(by_people > 0, and_(standing == 0, ever > 0)))
    )
    return {(row.kind, row.key) for row in tx.session.execute(query)}
