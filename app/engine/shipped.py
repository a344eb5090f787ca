"""The flows that come with Sluice: the files under `workflows/`, deployed for a merchant that has no others."""

from pathlib import Path

from sqlalchemy import select

from app.access.actor import system
from app.engine import definitions
from app.engine.lint import Upload
from app.engine.models import Definition
from app.kit.database import Tx

ENDINGS = (".bpmn", ".dmn", ".form.json")


def files(folder: Path) -> list[Path]:
    """Every diagram, decision table and form below `folder`, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.name.endswith(ENDINGS))


def uploads(folder: Path) -> list[Upload]:
    return [Upload(path.name, path.read_bytes()) for path in files(folder)]


def deploy(tx: Tx, merchant_id: str, folder: Path) -> list[Definition]:
    """Deploy what is new and publish it, except where people have published something since, an older version too."""
    actor = system(merchant_id)
    deployed = definitions.deploy(tx, actor, uploads(folder))
    theirs = {
        (row.kind, row.key)
        for row in tx.session.execute(
            select(Definition.kind, Definition.key).where(
                Definition.merchant_id == merchant_id,
                Definition.status == definitions.PUBLISHED,
                Definition.published_by != actor.id,
            )
        )
    }
    ours = [one for one in deployed if one.status != definitions.PUBLISHED and (one.kind, one.key) not in theirs]
    if ours:
        definitions.publish_together(tx, actor, [one.id for one in ours])
    return deployed
