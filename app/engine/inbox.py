"""The only way in: everything that happens to an instance from outside is first a row here.

Callers insert and wake; they never touch the instance's own row, so they never wait for whoever is advancing it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.access.actor import Actor, system
from app.engine import incidents, occasions, pins, references
from app.engine.incidents import PARKED
from app.engine.models import InboxItem, Incident, Instance, Message, WaitRow
from app.engine.reserved import is_money, is_own_message
from app.engine.step import InstanceStatus, Item, ItemKind, WaitKind
from app.errors import Conflict, Forbidden, NotFound
from app.events import audit
from app.kit.bulk import insert_rows
from app.kit.database import Json, Tx
from app.kit.ids import new_id
from app.kit.trace import mark

CHANNEL = "sluice_work"
#: Failures in a row after which an instance is shown to people instead of being tried again.
PARK_AFTER = 5

_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtextextended(:address, 0))::text")


class InstanceEnded(Conflict):
    code = "instance_ended"
    title = "The instance has already ended"


class VariablesFixed(Forbidden):
    code = "variables_fixed"
    title = "The variables of a flow about money are not changed by hand"


def start_instance(
    tx: Tx,
    actor: Actor,
    process: str,
    subject: str | None = None,
    variables: Mapping[str, Any] | None = None,
    instance_id: str | None = None,
) -> Instance:
    """Start the published version of `process`, pinned with everything it calls. It runs once a worker claims it."""
    pinned = pins.pins_for(tx, actor.merchant_id, process)
    now = tx.now()
    instance_id = instance_id or new_id("ins")
    instance = tx.insert(
        Instance,
        id=instance_id,
        merchant_id=actor.merchant_id,
        definition_id=pinned.definition_id,
        process=process,
        version=pinned.version,
        subject=subject or instance_id,
        status=InstanceStatus.RUNNING,
        pins=dict(pinned.pins),
        variables=dict(variables or {}),
        due_at=now,
        trace=mark(),
        created_by=actor.id,
        created_at=now,
        updated_at=now,
    )
    references.made(tx, instance)
    tx.notify(CHANNEL)
    return instance


def put(tx: Tx, instance_id: str, item: Item, dedupe: str) -> bool:
    """Leave `item` for the instance; False when the same `dedupe` already lies there."""
    values = {
        "instance_id": instance_id,
        "kind": item.kind,
        "node": item.node,
        "payload": dict(item.payload),
        "actor": item.actor,
        "dedupe": dedupe,
        "trace": mark(),
        "created_at": tx.now(),
    }
    inserted = bool(insert_rows(tx, InboxItem, [values], once=True))
    tx.notify(CHANNEL)
    return inserted


def publish_message(
    tx: Tx,
    merchant_id: str,
    name: str,
    correlation: str,
    variables: Json,
    dedupe: str,
    actor_id: str = "system",
    ttl: timedelta = timedelta(days=1),
) -> bool:
    """Hand a message to whoever waits for (name, correlation); when nobody does, to the process that it starts; else
    keep it until somebody waits or `ttl` has passed.

    The same `dedupe` is taken once; False says it was a repetition.
    """
    lock_subscription(tx, merchant_id, name, correlation)
    now = tx.now()
    row = insert(Message).values(
        merchant_id=merchant_id,
        name=name,
        correlation=correlation,
        dedupe=dedupe,
        variables=variables,
        actor=actor_id,
        created_at=now,
        expires_at=now + ttl,
    )
    message_id = tx.session.scalar(row.on_conflict_do_nothing().returning(Message.id))
    if message_id is None:
        return False
    kept = deliver(tx, merchant_id, name, correlation)
    if kept and kept[-1].id == message_id and not is_own_message(name):
        _start(tx, kept[-1])
    return True


def _start(tx: Tx, message: Message) -> None:
    """Start the process whose start event is this message; the correlation is what the instance is about.

    Not so when it names a payment, a refund or a dispute: what is about money is started by money alone.
    """
    occasion = occasions.by_message(tx, message.merchant_id, message.name)
    if occasion is None:
        return
    subject = None if is_money(message.correlation) else message.correlation or None
    actor = replace(system(message.merchant_id), id=message.actor)
    instance = start_instance(tx, actor, occasion.process, subject, message.variables)
    message.delivered_to, message.delivered_at = instance.id, tx.now()
    facts = {"process": occasion.process, "message": message.name, "correlation": message.correlation}
    audit.record(tx, actor, "instance.started", instance.id, facts)
    tx.session.flush()


def withdraw(tx: Tx, merchant_id: str, names: Sequence[str], correlation: str) -> None:
    """What was published under these names and nobody has heard yet is not heard any more."""
    for name in sorted(names):
        lock_subscription(tx, merchant_id, name, correlation)
    address = (Message.merchant_id == merchant_id, Message.name.in_(names), Message.correlation == correlation)
    unheard = update(Message).where(*address, Message.delivered_to.is_(None), Message.expires_at > tx.now())
    tx.execute(unheard.values(expires_at=tx.now()))


def find_message(tx: Tx, merchant_id: str, name: str, correlation: str, dedupe: str) -> Message:
    """A message that was published, whatever became of it."""
    address = (Message.merchant_id == merchant_id, Message.name == name, Message.correlation == correlation)
    return tx.session.scalars(select(Message).where(*address, Message.dedupe == dedupe)).one()


def lock_subscription(tx: Tx, merchant_id: str, name: str, correlation: str) -> None:
    """Publishers and new subscriptions of one address take turns, so that neither can miss the other."""
    tx.rows(_TAKE_TURNS, {"address": f"message:{merchant_id}:{name}:{correlation}"})


def deliver(tx: Tx, merchant_id: str, name: str, correlation: str) -> Sequence[Message]:
    """Match kept messages with open waits, oldest first; those that nobody waits for. The caller holds the
    subscription's lock.

    A wait is used up by its message: the store opens it again if the instance still waits there afterwards.
    """
    now = tx.now()
    query = (
        select(Message)
        .where(
            Message.merchant_id == merchant_id,
            Message.name == name,
            Message.correlation == correlation,
            Message.delivered_to.is_(None),
            Message.expires_at > now,
        )
        .order_by(Message.id)
    )
    messages = tx.session.scalars(query).all()
    for place, message in enumerate(messages):
        wait = _take_wait(tx, merchant_id, name, correlation)
        if wait is None:
            return messages[place:]
        payload = {"name": name, "variables": message.variables, "message": message.id}
        item = Item(ItemKind.MESSAGE, wait.node, payload, message.actor)
        put(tx, wait.instance_id, item, f"message:{message.id}:{wait.id}")
        message.delivered_to = wait.instance_id
        message.delivered_at = now
        tx.session.flush()
    return ()


def _take_wait(tx: Tx, merchant_id: str, name: str, correlation: str) -> Any | None:
    """The oldest wait of the subscription, used up. One that goes away at this moment is none."""
    oldest = (
        select(WaitRow.id)
        .where(
            WaitRow.merchant_id == merchant_id,
            WaitRow.kind == WaitKind.MESSAGE,
            WaitRow.message == name,
            WaitRow.correlation == correlation,
        )
        .order_by(WaitRow.id)
        .limit(1)
        .with_for_update()
        .scalar_subquery()
    )
    taken = delete(WaitRow).where(WaitRow.id == oldest).returning(WaitRow.id, WaitRow.instance_id, WaitRow.node)
    return tx.session.execute(taken).one_or_none()


def give_back(tx: Tx, message_ids: Sequence[int]) -> None:
    """A message whose wait was gone when it arrived was never received: it is kept for the next one who waits."""
    if not message_ids:
        return
    mine = Message.id.in_(message_ids)
    addresses = tx.session.execute(
        select(Message.merchant_id, Message.name, Message.correlation).where(mine).distinct()
    )
    places = sorted(tuple(row) for row in addresses)
    for place in places:
        lock_subscription(tx, *place)
    tx.execute(update(Message).where(mine).values(delivered_to=None, delivered_at=None))
    for place in places:
        deliver(tx, *place)


def cancel_instance(tx: Tx, actor: Actor, instance_id: str, reason: str) -> Instance:
    """Ask the engine to end an instance at once. What it has done at gateways stays done."""
    instance = find_instance(tx, actor.merchant_id, instance_id)
    if InstanceStatus(instance.status).ended:
        raise InstanceEnded(f"The instance is {instance.status}")
    if instance.failures >= PARK_AFTER:
        _unpark(tx, actor, instance_id, failures=1)
    put(tx, instance_id, Item(ItemKind.CANCEL, payload={"reason": reason}, actor=actor.id), "cancel")
    audit.record(tx, actor, "instance.canceled", instance_id, {"reason": reason})
    return instance


def retry_incident(tx: Tx, actor: Actor, incident_id: str, variables: Json | None = None, note: str = "") -> Incident:
    """Let the element go on: the runner tries it again, with `variables` corrected first.

    VariablesFixed where the instance is about a payment, a refund or a dispute: what people decided there, and who
    must decide, are variables too, and nobody may write them for somebody else. An incident of the domain has no
    element to run again; repairing it means that a person has dealt with it.
    """
    incident = tx.session.get(Incident, incident_id, with_for_update=True)
    if incident is None or incident.merchant_id != actor.merchant_id:
        raise NotFound(f"There is no incident {incident_id}")
    if incident.status != "open":
        raise Conflict(f"The incident was already resolved by {incident.resolved_by}")
    if variables and is_money(incident.subject):
        remedy = "retry without variables, move the instance to a corrected version of its flow, or cancel it"
        raise VariablesFixed(f"This flow is about {incident.subject}; {remedy}")
    if incident.source != "domain":
        item = Item(ItemKind.RETRY, incident.node, {"variables": variables or {}}, actor.id)
        put(tx, incident.instance_id, item, f"retry:{incident.id}")
    elif incident.kind == PARKED:
        _unpark(tx, actor, incident.instance_id)
    else:
        incident.status, incident.resolved_by, incident.resolved_at = "resolved", actor.id, tx.now()
    audit.record(tx, actor, "incident.repaired", incident_id, {"variables": variables or {}, "note": note})
    return incident


def _unpark(tx: Tx, actor: Actor, instance_id: str, failures: int = 0) -> None:
    """Let workers try it again; one that has failed before does not first find out about calls it may have made.

    One that has ended since, such as by a second request to cancel it, has no state left and would begin anew.
    """
    incidents.settle_parked(tx, instance_id, actor)
    instance = tx.session.get_one(Instance, instance_id, with_for_update=True, populate_existing=True)
    if InstanceStatus(instance.status).ended:
        return
    instance.status, instance.failures, instance.due_at = InstanceStatus.RUNNING, failures, tx.now()
    instance.deaths = 0
    tx.notify(CHANNEL)


def has_ended(tx: Tx, instance_id: str | None) -> bool:
    """Whether the flow ran and is over."""
    ended = select(Instance.id).where(Instance.id == instance_id, Instance.ended_at.is_not(None))
    return instance_id is not None and tx.session.scalar(ended) is not None


def find_instance(tx: Tx, merchant_id: str, instance_id: str) -> Instance:
    instance = tx.session.get(Instance, instance_id)
    if instance is None or instance.merchant_id != merchant_id:
        raise NotFound(f"There is no instance {instance_id}")
    return instance
