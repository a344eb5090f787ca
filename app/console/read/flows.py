"""Flows: every process with its versions, who uses which, and what waits to be published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select

from app.access.actor import Actor
from app.console.read.people import Names, names_of
from app.engine import definitions
from app.engine.models import Definition, Instance
from app.engine.versions import in_use
from app.errors import NotFound
from app.kit.database import Tx


@dataclass(frozen=True, slots=True)
class Version:
    """`running` instances are pinned to it, as their own flow or as a part; `ended` have followed it."""

    definition: Definition
    running: int = 0
    ended: int = 0

    @property
    def findings(self) -> Sequence[dict[str, str]]:
        found: Sequence[dict[str, str]] = self.definition.warnings.get("findings", [])
        return found


@dataclass(frozen=True, slots=True)
class Flow:
    """One key of one kind with its versions, the newest first."""

    kind: str
    key: str
    versions: Sequence[Version]

    @property
    def published(self) -> Version | None:
        return next((each for each in self.versions if each.definition.status == "published"), None)

    @property
    def shown(self) -> Version:
        """What a list draws: the published version, the newest one when none is."""
        return self.published or self.versions[0]

    @property
    def drafts(self) -> Sequence[Version]:
        """Drafts newer than what is published: those somebody is waiting for."""
        published = self.published
        since = published.definition.version if published else 0
        return [each for each in self.versions if each.definition.status == "draft" and each.definition.version > since]

    @property
    def running(self) -> int:
        return sum(each.running for each in self.versions)


@dataclass(frozen=True, slots=True)
class Flows:
    processes: Sequence[Flow]
    others: Sequence[Flow]
    names: Names = field(default_factory=Names)

    @property
    def waiting(self) -> Sequence[Version]:
        """Every draft that waits for another person to publish it, the newest first."""
        drafts = [draft for flow in [*self.processes, *self.others] for draft in flow.drafts]
        return sorted(drafts, key=lambda each: each.definition.created_at, reverse=True)


@dataclass(frozen=True, slots=True)
class FlowPage:
    """One flow with the version that is looked at: `users` are the published processes that use it, `models` tells for
    each decision which model defines it.
    """

    flow: Flow
    chosen: Version
    users: Sequence[Definition]
    models: Mapping[str, str]
    names: Names


def flows(tx: Tx, actor: Actor) -> Flows:
    every = _flows(tx, actor)
    return Flows(
        processes=[flow for flow in every if flow.kind == "bpmn"],
        others=[flow for flow in every if flow.kind != "bpmn"],
        names=_names(tx, every),
    )


def flow_page(tx: Tx, actor: Actor, key: str, kind: str, version: str) -> FlowPage:
    """`version` is a number as text; any other text means the one that a list draws."""
    found = next(iter(_flows(tx, actor, key, kind)), None)
    if found is None:
        raise NotFound(f"There is no flow {key}")
    chosen = next((each for each in found.versions if str(each.definition.version) == version), found.shown)
    return FlowPage(
        flow=found,
        chosen=chosen,
        users=definitions.users_of(tx, chosen.definition),
        models=_models(tx, actor),
        names=_names(tx, [found]),
    )


def _models(tx: Tx, actor: Actor) -> dict[str, str]:
    """Decision -> the model that defines it; the published one where several versions name it."""
    query = (
        select(Definition.key, Definition.uses)
        .where(Definition.merchant_id == actor.merchant_id, Definition.kind == "dmn")
        .order_by(Definition.status == definitions.PUBLISHED)
    )
    return {name: row.key for row in tx.session.execute(query) for name in row.uses["defines"]}


def _flows(tx: Tx, actor: Actor, key: str = "", kind: str = "") -> list[Flow]:
    query = select(Definition).where(Definition.merchant_id == actor.merchant_id)
    if key:
        query = query.where(Definition.key == key, Definition.kind == kind)
    rows = tx.session.scalars(query.order_by(Definition.kind, Definition.key, Definition.version.desc())).all()
    running, ended = in_use(tx, actor.merchant_id), _ended(tx, actor)
    grouped: dict[tuple[str, str], list[Version]] = {}
    for row in rows:
        version = Version(row, running.get(row.id, 0), ended.get(row.id, 0))
        grouped.setdefault((row.kind, row.key), []).append(version)
    return [Flow(found_kind, found_key, versions) for (found_kind, found_key), versions in grouped.items()]


def _ended(tx: Tx, actor: Actor) -> dict[str, int]:
    query = select(Instance.definition_id, func.count()).where(
        Instance.merchant_id == actor.merchant_id, Instance.ended_at.is_not(None)
    )
    return {row[0]: row[1] for row in tx.session.execute(query.group_by(Instance.definition_id)).all()}


def _names(tx: Tx, found: Sequence[Flow]) -> Names:
    rows = [version.definition for each in found for version in each.versions]
    return names_of(tx, {row.created_by for row in rows} | {row.published_by for row in rows})
