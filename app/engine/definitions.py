"""The definitions store: files become immutable versions, one of each key is published, instances pin what they use.

Nothing is stored that the gate refuses; nobody publishes alone what they deployed; nothing published may refer to
something that is not. Changes of one merchant's definitions happen one after the other, under an advisory lock.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.orm import defer

from app.access.actor import Actor, Role
from app.access.api_keys import people_behind
from app.engine import occasions
from app.engine.lint import Examined, Finding, Known, ProcessFacts, Severity, Upload, examine
from app.engine.models import Definition
from app.engine.reserved import about_money
from app.errors import Conflict, FieldError, FourEyes, InvalidInput, NotFound
from app.events import audit
from app.kit.database import Json, Tx
from app.kit.ids import new_id
from app.operations import Registry, registry

Kind = Literal["bpmn", "dmn", "form"]
DRAFT, PUBLISHED, RETIRED = "draft", "published", "retired"
#: What a definition of each kind is called by the ones that use it.
USED_AS = {"bpmn": "processes", "dmn": "decisions", "form": "forms"}
_WORDS = {"processes": "process", "decisions": "decision", "forms": "form"}


class DefinitionRefused(InvalidInput):
    """`extra["findings"]` holds every finding in the API's shape, warnings included."""

    code = "definition_refused"
    title = "The definition is refused"

    def __init__(self, findings: Sequence[Finding]) -> None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(
            f"{first.element}: {first.message}. {first.remedy}{more}",
            errors=[FieldError(one.element, f"{one.message}. {one.remedy}", one.code) for one in errors],
            extra={"findings": [finding.view() for finding in findings]},
        )


@dataclass(frozen=True, slots=True)
class Missing:
    """Something a definition uses that has no published version. `kind` is `process`, `decision` or `form`."""

    user: str
    kind: str
    name: str


def deploy(
    tx: Tx,
    actor: Actor,
    files: Sequence[Upload],
    *,
    publish: bool = False,
    operations: Registry = registry,
) -> list[Definition]:
    """Store `files` as drafts, all or none, in their order; content that is known gives its existing version.

    DefinitionRefused with all findings when the gate finds an error. `publish` needs the right to publish them.
    """
    actor.require(Role.ANALYST)
    if not files:
        raise InvalidInput("There is no file to deploy; send at least one diagram, decision table or form")
    _lock(tx, actor.merchant_id)
    examined = examine(files, known(tx, actor.merchant_id, operations))
    if any(item.refused for item in examined):
        raise DefinitionRefused([finding for item in examined for finding in item.findings])
    definitions = [_store(tx, actor, item) for item in examined]
    tx.session.flush()
    if publish:
        _publish(tx, actor, definitions, operations)
    return definitions


def publish(tx: Tx, actor: Actor, definition_id: str, *, operations: Registry = registry) -> Definition:
    """Make a version the one that new instances take; the one before is retired.

    An older version may be published again. FourEyes for a key, for who deployed it and for who made the key that did
    (the house itself may always), Conflict when something it uses is not published, DefinitionRefused when what
    surrounds it has changed since it was deployed.
    """
    return publish_together(tx, actor, [definition_id], operations=operations)[0]


def publish_together(
    tx: Tx, actor: Actor, definition_ids: Sequence[str], *, operations: Registry = registry
) -> list[Definition]:
    """Publish several versions as one unit; they may refer to each other."""
    _lock(tx, actor.merchant_id)
    definitions = [definition(tx, actor.merchant_id, definition_id) for definition_id in definition_ids]
    _publish(tx, actor, definitions, operations)
    return definitions


def retire(tx: Tx, actor: Actor, definition_id: str) -> Definition:
    """Take a published version out of use; running instances keep it. Conflict while something published uses it."""
    actor.require(Role.ANALYST)
    _lock(tx, actor.merchant_id)
    found = definition(tx, actor.merchant_id, definition_id)
    if found.status != PUBLISHED:
        raise Conflict(f"{found.key} version {found.version} is {found.status}, not published")
    users = users_of(tx, found)
    if users:
        names = ", ".join(user.key for user in users)
        raise Conflict(f"{found.key} is used by {names}; publish versions that do without it first")
    found.status = RETIRED
    if found.kind == "bpmn":
        occasions.closed(tx, found.merchant_id, found.key)
    audit.record(tx, actor, "definition.retired", found.id, _facts(found))
    tx.session.flush()
    return found


def definition(tx: Tx, merchant_id: str, definition_id: str) -> Definition:
    found = tx.session.get(Definition, definition_id)
    if found is None or found.merchant_id != merchant_id:
        raise NotFound(f"There is no definition {definition_id!r}")
    return found


def published(tx: Tx, merchant_id: str, kind: Kind | None = None) -> list[Definition]:
    """What new instances take. The content of each is read only when it is asked for."""
    mine = (Definition.merchant_id == merchant_id, Definition.status == PUBLISHED)
    return _without_content(tx, *mine, *(() if kind is None else (Definition.kind == kind,)))


def with_ids(tx: Tx, ids: Sequence[str]) -> list[Definition]:
    """As `published`, of these definitions, whatever they are by now."""
    return _without_content(tx, Definition.id.in_(ids))


def _without_content(tx: Tx, *conditions: ColumnElement[bool]) -> list[Definition]:
    query = select(Definition).options(defer(Definition.content)).where(*conditions)
    return list(tx.session.scalars(query.order_by(Definition.kind, Definition.key)))


def users_of(tx: Tx, found: Definition) -> list[Definition]:
    """The published processes that use what `found` defines."""
    names = set(found.uses["defines"]) if found.kind == "dmn" else {found.key}
    used_as = USED_AS[found.kind]
    return [one for one in published(tx, found.merchant_id, "bpmn") if not names.isdisjoint(one.uses[used_as])]


def known(tx: Tx, merchant_id: str, operations: Registry = registry) -> Known:
    """What a merchant's files may refer to."""
    return _known(published(tx, merchant_id), operations)


def _known(definitions: Sequence[Definition], operations: Registry) -> Known:
    return Known(
        operations=operations,
        processes={one.key: ProcessFacts.of(one.uses) for one in definitions if one.kind == "bpmn"},
        decisions={name: one.key for one in definitions if one.kind == "dmn" for name in one.uses["defines"]},
        forms=frozenset(one.key for one in definitions if one.kind == "form"),
    )


def _store(tx: Tx, actor: Actor, item: Examined) -> Definition:
    content_hash = hashlib.sha256(item.upload.content).hexdigest()
    mine = (
        Definition.merchant_id == actor.merchant_id,
        Definition.kind == item.kind,
        Definition.key == item.key,
    )
    existing = tx.session.scalar(select(Definition).where(*mine, Definition.content_hash == content_hash))
    if existing is not None:
        return existing
    last = tx.session.scalar(select(func.max(Definition.version)).where(*mine))
    created = Definition(
        id=new_id("def"),
        merchant_id=actor.merchant_id,
        kind=item.kind,
        key=item.key,
        version=(last or 0) + 1,
        name=item.name,
        status=DRAFT,
        content=item.upload.content,
        content_hash=content_hash,
        file_name=item.upload.name,
        uses=item.uses,
        warnings={"findings": [finding.view() for finding in item.findings]},
        created_by=actor.id,
        created_at=tx.now(),
        published_by=None,
        published_at=None,
    )
    tx.session.add(created)
    tx.session.flush()
    audit.record(tx, actor, "definition.deployed", created.id, _facts(created))
    return created


def _publish(tx: Tx, actor: Actor, definitions: Sequence[Definition], operations: Registry) -> None:
    actor.require(Role.ANALYST)
    if not (actor.is_person or actor.is_house):
        raise FourEyes("A system may deploy; publishing is for a person, since nobody knows who else holds its key")
    for one in definitions:
        if actor.id in people_behind(tx, [one.created_by]):
            raise FourEyes(
                f"You deployed {one.key} version {one.version} yourself, or made the key that did; ask another analyst "
                "to publish it",
                extra={"definition": one.id, "deployed_by": one.created_by},
            )
    fresh = [one for one in definitions if one.status != PUBLISHED]
    replaced = {(one.kind, one.key) for one in fresh}
    standing = [one for one in published(tx, actor.merchant_id) if (one.kind, one.key) not in replaced]
    _check_together(fresh, standing, operations)
    for one in fresh:
        _replace(tx, actor, one)
    occasions.opened(tx, [one for one in fresh if one.kind == "bpmn"])
    _check_occasions(tx, actor.merchant_id, operations)


def _check_occasions(tx: Tx, merchant_id: str, operations: Registry) -> None:
    """Nothing that starts by itself may come to act on money through what it calls: it is about no payment."""
    world = known(tx, merchant_id, operations)
    for occasion in occasions.standing(tx, merchant_id):
        money = about_money(world.operations_of(occasion.process))
        if money:
            raise Conflict(
                f"{occasion.process} starts by itself, and would now call {money[0]}, which needs a payment, a refund "
                "or a dispute to be about; take the call out, or give it a plain start event"
            )


def _check_together(fresh: Sequence[Definition], standing: Sequence[Definition], operations: Registry) -> None:
    """Whether everything that will be published fits together, what already was included."""
    missing = _missing([*fresh, *standing])
    if missing:
        first = missing[0]
        raise Conflict(
            f"{first.user} uses the {first.kind} {first.name!r}, which is not published; publish it first, or both "
            "together",
            extra={"missing": [{"used_by": one.user, "kind": one.kind, "name": one.name} for one in missing]},
        )
    uploads = [Upload(one.file_name, one.content) for one in fresh]
    examined = examine(uploads, _known(standing, operations))
    if any(item.refused for item in examined):
        raise DefinitionRefused([finding for item in examined for finding in item.findings])


def _missing(definitions: Sequence[Definition]) -> list[Missing]:
    there = {
        "processes": {one.key for one in definitions if one.kind == "bpmn"},
        "decisions": {name for one in definitions if one.kind == "dmn" for name in one.uses["defines"]},
        "forms": {one.key for one in definitions if one.kind == "form"},
    }
    return [
        Missing(one.key, _WORDS[used_as], name)
        for one in definitions
        if one.kind == "bpmn"
        for used_as, names in there.items()
        for name in one.uses[used_as]
        if name not in names
    ]


def _replace(tx: Tx, actor: Actor, fresh: Definition) -> None:
    former = tx.session.scalar(
        select(Definition).where(
            Definition.merchant_id == fresh.merchant_id,
            Definition.kind == fresh.kind,
            Definition.key == fresh.key,
            Definition.status == PUBLISHED,
        )
    )
    facts = _facts(fresh)
    if former is not None:
        former.status = RETIRED
        facts["replaces"] = former.version
        tx.session.flush()  # at most one row of a key may be published, also between the two updates
    fresh.status = PUBLISHED
    fresh.published_by = actor.id
    fresh.published_at = tx.now()
    tx.session.flush()
    audit.record(tx, actor, "definition.published", fresh.id, facts)


def _facts(one: Definition) -> Json:
    facts: dict[str, Any] = {"kind": one.kind, "key": one.key, "version": one.version, "sha256": one.content_hash}
    return facts


_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtext('definitions:' || :m))::text")


def _lock(tx: Tx, merchant_id: str) -> None:
    tx.rows(_TAKE_TURNS, {"m": merchant_id})
