"""Planning a migration: which instances, where each would rest afterwards, and why others have to stay.

The plan is made without a lock and is what a person reads before deciding; `migrate.py` judges each instance again,
under its lock, when it is moved.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import exists, func, or_, select, text

from app.access.actor import Actor, Role
from app.engine.definitions import DRAFT, definition, published
from app.engine.dialect import parse_diagram
from app.engine.incidents import PARKED
from app.engine.models import Definition, InboxItem, Incident, Instance, Move, Task, WaitRow
from app.engine.moving import Course, Moved, move
from app.engine.moving_rules import Refusal
from app.engine.pins import Standing, load_bundle, load_form, moved_pins
from app.engine.reserved import about_money, is_money
from app.engine.runner import Run
from app.engine.step import Step, Wait, WaitKind
from app.errors import AppError, Conflict, FieldError, InvalidInput
from app.kit.database import Json, Tx
from app.operations import Registry, registry

#: More instances than these are left to the next command; the plan says how many.
INSTANCE_LIMIT = 2000


_CALLING = text("EXISTS (SELECT FROM jsonb_each_text(instances.calls) WHERE value = ANY(:elements))")


@dataclass(frozen=True, slots=True)
class Command:
    """Move instances from one version to another. Without `instances` and `waiting_at` all that run on `source`.

    `mapping` is element id -> element id, for elements that were renamed.
    """

    source: str
    target: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    instances: tuple[str, ...] = ()
    waiting_at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance with everything besides its diagram that decides whether it may be moved.

    `since` tells when each timer began; `claimed` are the forms of the tasks somebody works on, by node; `former` the
    pins it was moved away from.
    """

    instance: Instance
    since: Mapping[str, datetime]
    claimed: Mapping[str, str]
    arrived: bool
    parked: bool
    former: Sequence[Json]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One instance in a plan; `waits` are those after the move, empty where it is refused."""

    instance_id: str
    subject: str
    fence: int
    refusals: tuple[Refusal, ...]
    before: tuple[str, ...]
    waits: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    source: Definition
    target: Definition
    mapping: Mapping[str, str]
    verdicts: tuple[Verdict, ...]
    left_out: int

    @property
    def allowed(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.refusals]

    def totals(self) -> Json:
        """At which elements the allowed ones wait now, and where they will."""
        before = Counter(element for verdict in self.allowed for element in verdict.before)
        after = Counter(wait.element for verdict in self.allowed for wait in verdict.waits)
        return {"before": dict(sorted(before.items())), "after": dict(sorted(after.items())), "left_out": self.left_out}


@dataclass(frozen=True, slots=True)
class Route:
    """From one version to another, with what the judge needs to know about the new one."""

    source: Definition
    target: Definition
    mapping: Mapping[str, str]
    standing: Standing
    money: frozenset[str]


def route(
    tx: Tx,
    merchant_id: str,
    source_id: str,
    target_id: str,
    mapping: Mapping[str, str],
    operations: Registry = registry,
) -> Route:
    """NotFound for an unknown version, Conflict for two that are no versions of one process or for a draft."""
    source, target = definition(tx, merchant_id, source_id), definition(tx, merchant_id, target_id)
    if (source.kind, target.kind) != ("bpmn", "bpmn") or source.key != target.key:
        raise Conflict("Give two versions of one process; instances cannot be moved to another process")
    if source.id == target.id:
        raise Conflict(f"They already run on version {target.version}")
    if target.status == DRAFT:
        raise Conflict(f"Version {target.version} of {target.key} is a draft; publish it first")
    money = frozenset(operation.name for operation in operations if operation.moves_money)
    return Route(source, target, mapping, Standing.of(published(tx, merchant_id)), money)


def plan(tx: Tx, actor: Actor, command: Command, operations: Registry = registry) -> Plan:
    """What carrying out `command` now would do; nothing is written."""
    actor.require(Role.OPERATOR, Role.ANALYST)
    way = route(tx, actor.merchant_id, command.source, command.target, command.mapping, operations)
    _check_mapping(way)
    ids, left_out = _selected(tx, actor.merchant_id, way, command)
    verdicts = []
    for candidate in candidates(tx, ids):
        found = judge(tx, candidate, way, actor.id)
        mine = (candidate.instance.id, candidate.instance.subject, candidate.instance.fence)
        if isinstance(found, Judged):
            verdicts.append(Verdict(*mine, (), _resting(tx, candidate.instance), found.moved.step.waits))
        else:
            verdicts.append(Verdict(*mine, found, ()))
    return Plan(way.source, way.target, command.mapping, tuple(verdicts), left_out)


def _resting(tx: Tx, instance: Instance) -> tuple[str, ...]:
    """The elements an instance waits at, now."""
    assert instance.state is not None
    return tuple(wait.element for wait in Run.load(load_bundle(tx, instance.pins), instance.state).look().waits)


def _check_mapping(way: Route) -> None:
    from_elements, to_elements = (parse_diagram(one.content).elements for one in (way.source, way.target))
    errors = [
        FieldError(f"mapping.{old}", f"{name} is no element of version {one.version}")
        for old, new in way.mapping.items()
        for name, elements, one in ((old, from_elements, way.source), (new, to_elements, way.target))
        if name not in elements
    ]
    if errors:
        raise InvalidInput("The mapping names elements that are not there", errors=errors)


def _selected(tx: Tx, merchant_id: str, way: Route, command: Command) -> tuple[list[str], int]:
    mine = [Instance.merchant_id == merchant_id]
    if command.instances:
        known = tx.session.scalars(select(Instance.id).where(*mine, Instance.id.in_(command.instances))).all()
        unknown = sorted(set(command.instances) - set(known))
        if unknown:
            raise InvalidInput(
                "Some instances do not exist", errors=[FieldError("instances", f"There is no {one}") for one in unknown]
            )
        mine.append(Instance.id.in_(command.instances))
    else:
        mine += [Instance.pins["processes"][way.source.key].astext == way.source.id, Instance.ended_at.is_(None)]
    if command.waiting_at:
        waits = exists().where(WaitRow.instance_id == Instance.id, WaitRow.element.in_(command.waiting_at))
        mine.append(or_(waits, _CALLING.bindparams(elements=list(command.waiting_at))))
    query = select(Instance.id).where(*mine).order_by(Instance.created_at, Instance.id).limit(INSTANCE_LIMIT)
    ids = list(tx.session.scalars(query))
    total = tx.session.scalar(select(func.count()).select_from(Instance).where(*mine)) or 0
    return ids, total - len(ids)


def candidates(tx: Tx, ids: Sequence[str]) -> list[Candidate]:
    """These instances, in this order, as they stand now."""
    instances = {
        one.id: one
        for one in tx.session.scalars(
            select(Instance).where(Instance.id.in_(ids)).execution_options(populate_existing=True)
        )
    }
    since: dict[str, dict[str, datetime]] = {}
    waits = select(WaitRow.instance_id, WaitRow.node, WaitRow.created_at)
    for row in tx.session.execute(waits.where(WaitRow.instance_id.in_(ids), WaitRow.kind == WaitKind.TIMER)):
        since.setdefault(row.instance_id, {})[row.node] = row.created_at
    claimed: dict[str, dict[str, str]] = {}
    tasks = select(Task.instance_id, Task.node, Task.form_id).where(Task.instance_id.in_(ids))
    for task in tx.session.execute(tasks.where(Task.status == "claimed", Task.claim_until > tx.now())):
        claimed.setdefault(task.instance_id, {})[task.node] = task.form_id
    arrived = set(tx.session.scalars(select(InboxItem.instance_id).where(InboxItem.instance_id.in_(ids))))
    incidents = select(Incident.instance_id).where(Incident.kind == PARKED, Incident.status == "open")
    parked = set(tx.session.scalars(incidents.where(Incident.instance_id.in_(ids))))
    former: dict[str, list[Json]] = {}
    moves = select(Move.instance_id, Move.before["pins"]).where(Move.instance_id.in_(ids), Move.before.is_not(None))
    for instance_id, pins in tx.session.execute(moves):
        former.setdefault(instance_id, []).append(pins)
    return [
        Candidate(
            instances[one],
            since.get(one, {}),
            claimed.get(one, {}),
            arrived=one in arrived,
            parked=one in parked,
            former=former.get(one, ()),
        )
        for one in ids
    ]


@dataclass(frozen=True, slots=True)
class Judged:
    """An instance that may be moved: how it would be, and what it would be pinned to."""

    moved: Moved
    pins: Json


def judge(tx: Tx, candidate: Candidate, way: Route, actor_id: str) -> Judged | tuple[Refusal, ...]:
    """Everything that decides about one instance, in the order in which a person would want to know it."""
    instance, key = candidate.instance, way.source.key
    standing = unsettled(candidate)
    if standing is not None:
        return (standing,)
    if instance.pins["processes"].get(key) != way.source.id:
        return (Refusal("other_version", "", f"It does not run on version {way.source.version} of {key}"),)
    assert instance.state is not None
    facts = {"from": way.source.version, "to": way.target.version}
    try:
        pins = moved_pins(way.standing, instance.pins, way.target)
        former = [load_bundle(tx, one) for one in candidate.former]
        bundle = load_bundle(tx, pins)
        course = Course(key, bundle, way.mapping, way.money, former, facts)
        found = move(load_bundle(tx, instance.pins), instance.state, course, candidate.since, tx.now(), actor_id)
    except AppError as error:  # something is not published, or its state cannot be read: that is about this one alone
        return (Refusal(error.code, "", error.detail),)
    if not isinstance(found, Moved):
        return found
    needs = about_money(name for diagram in bundle.diagrams.values() for name in diagram.operations)
    if needs and not is_money(instance.subject):
        sentence = f"The new version calls {needs[0]}, and this instance is about no payment, refund or dispute"
        return (Refusal("needs_subject", "", sentence),)
    refusals = form_differences(tx, candidate, found.step, found.nodes, pins)
    return tuple(refusals) or Judged(found, pins)


def unsettled(candidate: Candidate) -> Refusal | None:
    """Why an instance cannot be touched now, whatever the versions are."""
    instance = candidate.instance
    if instance.ended_at is not None:
        return Refusal("ended", "", f"It is {instance.status}")
    if instance.lease_until is not None:
        return Refusal("busy", "", "A worker advances it now; try again in a moment")
    if instance.state is None:
        return Refusal("about_to_move", "", "It has not begun yet; try again in a moment")
    if candidate.arrived:
        return Refusal("arrived", "", "Something has arrived that it has not taken in yet; try again in a moment")
    if candidate.parked:
        return Refusal("incident_cannot_move", "", "It failed again and again and is parked; repair it first")
    return None


def form_differences(
    tx: Tx, candidate: Candidate, step: Step, nodes: Mapping[str, str], pins: Json
) -> Iterable[Refusal]:
    """A person who works on a task must be able to send what the form on the screen offers."""
    former = {new: old for old, new in nodes.items()}
    found = []
    for request in step.tasks:
        before, after = candidate.claimed.get(former[request.node]), pins["forms"][request.form]
        if before is None or before == after:
            continue
        lost = load_form(tx, before).lost_to(load_form(tx, after))
        if lost:
            sentence = f"Somebody has its task {request.name!r} open, and the new form lacks {', '.join(lost)}"
            found.append(Refusal("form_differs", request.element, f"{sentence}; wait until it is released"))
    return found
