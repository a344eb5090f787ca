"""The promises as questions to two witnesses: our tables, and what the gateways have in their books.

Each finding is a sentence that names the payment and says why. `always` holds at every moment, `at_rest` when nothing
is under way any more.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, text

from app.disputes.states import GRAPH as DISPUTES
from app.engine.models import Incident
from app.events import audit
from app.gateways.sandbox_books import booked
from app.kit.database import Json, Tx
from app.payments import moves
from app.payments.booking import CONTRADICTION
from app.payments.gateway_books import verify_books
from app.payments.moves import Move
from app.payments.reconcile import verify_ledger
from app.payments.states import GRAPH as PAYMENTS
from app.payments.states import Graph
from app.refunds.states import GRAPH as REFUNDS

Books = Mapping[str, Sequence[Json]]


@dataclass(frozen=True, slots=True)
class Broken:
    """`promise` is the invariant's name as the list of faults has it (I1 to I11)."""

    promise: str
    subject: str
    why: str

    def __str__(self) -> str:
        return f"{self.promise} {self.subject}: {self.why}"


def always(tx: Tx, books: Books) -> Iterator[Broken]:
    """What no moment may break, in the middle of the work too."""
    yield from _held_once(tx, books)
    yield from _charged_once(tx, books)
    yield from _moved_within_limits(books)
    yield from _entries_sum_to_zero(tx)
    yield from _paths(tx)


def at_rest(tx: Tx, books: Books, accepted: Collection[str]) -> Iterator[Broken]:
    """Everything, once nothing is under way. `accepted` are the payments a client was told about."""
    yield from always(tx, books)
    for gateway, charges in books.items():
        for difference in verify_books(tx, gateway, map(booked, charges)):
            # What people have not decided yet may differ until they do; that somebody is asked, I4 looks after.
            if not difference.may_go:
                yield Broken("I2", difference.subject, f"at {gateway} {difference}")
    for problem in verify_ledger(tx):
        yield Broken("I3", "ledger", problem)
    yield from _nothing_lost(tx, accepted)
    yield from _nothing_stuck(tx)
    yield from _no_hold_without_use(tx)
    yield from _keys_known(tx, books)
    yield from _told(tx)
    yield from _audited(tx)


_AUTHORIZED: Final = text("""
SELECT payment_id, count(*) FROM attempts
WHERE operation = 'authorize' AND (outcome = 'approved' OR outcome IN ('unknown', 'pending', 'needs_action')
                                   OR outcome IS NULL OR evidence ? 'contradictions')
GROUP BY payment_id
""")
_MOVED: Final = text("""
SELECT gateway, charge, operation, count(*) FROM attempts
WHERE operation IN ('capture', 'refund') AND (outcome IN ('approved', 'unknown', 'pending') OR outcome IS NULL
                                              OR evidence ? 'contradictions' OR evidence ->> 'before' = 'approved')
GROUP BY gateway, charge, operation
""")


_OVERLAPPING: Final = text("""
SELECT DISTINCT later.payment_id FROM attempts earlier
JOIN attempts later ON later.payment_id = earlier.payment_id AND later.begun_at > earlier.begun_at
WHERE earlier.operation = 'authorize' AND earlier.outcome = 'approved'
AND later.operation = 'authorize' AND later.outcome = 'approved'
AND NOT EXISTS (
    SELECT FROM attempts void WHERE void.payment_id = earlier.payment_id AND void.operation = 'void'
    AND void.gateway = earlier.gateway AND void.charge = earlier.gateway_reference
    AND (void.outcome = 'approved' OR void.decline_code IN ('authorization_expired', 'already_done'))
    AND void.finished_at <= later.begun_at
)
ORDER BY later.payment_id
""")


def _held_once(tx: Tx, books: Books) -> Iterator[Broken]:
    """One hold at a time. Each of two may have an attempt of its own, where a second gateway was asked too early."""
    at_once: Counter[str] = Counter()
    for charges in books.values():
        at_once.update(str(charge["reference"]) for charge in charges if charge["authorized"] > charge["voided"])
    for payment, times in at_once.items():
        if times > 1:
            yield Broken("I1", payment, f"held {times} times at once at the gateways")
    for (payment,) in tx.execute(_OVERLAPPING):
        # People may have given one back since; it was asked for all the same while the other was not.
        yield Broken("I1", payment, "was held once more before the first hold was given back")


def _charged_once(tx: Tx, books: Books) -> Iterator[Broken]:
    """No more effects at the gateways than attempts of ours that had or may have had one."""
    held: Counter[str] = Counter()
    for charges in books.values():
        held.update(str(charge["reference"]) for charge in charges if charge["authorized"])
    authorized: list[Any] = list(tx.execute(_AUTHORIZED))
    known = {row[0]: row[1] for row in authorized}
    for payment, times in held.items():
        if times > known.get(payment, 0):
            yield Broken("I1", payment, f"charged {times} times at the gateways, by {known.get(payment, 0)} attempts")
    rows: list[Any] = list(tx.execute(_MOVED))
    moved = {(row[0], row[1], row[2]): row[3] for row in rows}
    for gateway, charges in books.items():
        for charge in charges:
            for operation in ("capture", "refund"):
                done = sum(one["status"] == "succeeded" for one in charge[f"{operation}s"])
                if done > moved.get((gateway, charge["id"], operation), 0):
                    why = f"{done} times {operation}d at {gateway}, by fewer attempts"
                    yield Broken("I1", str(charge["reference"]), why)


def _moved_within_limits(books: Books) -> Iterator[Broken]:
    for gateway, charges in books.items():
        for charge in charges:
            if charge["captured"] + charge["voided"] > charge["authorized"]:
                yield Broken("I8", str(charge["reference"]), f"more was taken than held at {gateway}")
            if charge["refunded"] > charge["captured"]:
                yield Broken("I8", str(charge["reference"]), f"more was given back than taken at {gateway}")


def _entries_sum_to_zero(tx: Tx) -> Iterator[Broken]:
    query = text("""
    SELECT posting_id, currency, layer, sum(amount) FROM entries
    GROUP BY posting_id, currency, layer HAVING sum(amount) <> 0
    """)
    rows: list[Any] = list(tx.execute(query))
    for posting, currency, layer, total in rows:
        yield Broken("I3", posting, f"its {layer} entries sum to {total} {currency}")


_HISTORY: Final = text("""
SELECT object_id, sequence, data ->> 'status', data ->> 'stage', actor FROM events
WHERE object_id LIKE :prefix ORDER BY object_id, sequence
""")


def _paths(tx: Tx) -> Iterator[Broken]:
    """Told histories are gapless paths of the state graphs, and every step has an actor."""
    for prefix, graph in (("pay", PAYMENTS), ("ref", REFUNDS), ("dis", DISPUTES)):
        before: Any = None
        for row in tx.execute(_HISTORY, {"prefix": f"{prefix}\\_%"}):
            if before is None or before.object_id != row.object_id:
                before = None
            if why := _step(graph, before, row):
                yield Broken("I6", row.object_id, why)
            if not row.actor:
                yield Broken("I11", row.object_id, f"nobody is named for its change {row.sequence}")
            before = row


def _step(graph: Graph, before: Any, row: Any) -> str:
    source, target = (before[2], row[2]) if before is not None else (None, row[2])
    if row.sequence != (before.sequence + 1 if before is not None else 1):
        return f"its history lacks what came before number {row.sequence}"
    if source is None:
        return "" if target in graph.initial else f"it began as {target}"
    moved_on = before[3] != row[3]  # a later stage of a dispute starts over
    if source == target or moved_on or graph.allows(source, target) or (source, target) in graph.late:
        return ""
    return f"it went from {source} to {target}, which no edge allows"


def _nothing_lost(tx: Tx, accepted: Collection[str]) -> Iterator[Broken]:
    known = set(tx.session.scalars(text("SELECT id FROM payments")))
    for payment in accepted:
        if payment not in known:
            yield Broken("I4", payment, "a client was told about it and it does not exist")


#: What is neither at its end, nor at a wait everybody can see, nor with people as an incident.
_STUCK: Final = (
    (
        "it is leased, and nobody works on it",
        "SELECT subject FROM instances WHERE lease_owner IS NOT NULL",
    ),
    (
        "it is due, and nobody does it",
        "SELECT subject FROM instances WHERE due_at <= :now AND status <> 'incident'",
    ),
    (
        "something lies in its inbox",
        """SELECT i.subject FROM inbox JOIN instances i ON i.id = inbox.instance_id
           WHERE i.failures < 5 AND i.ended_at IS NULL""",
    ),
    (
        "it waits for nothing that can be named",
        """SELECT subject FROM instances i WHERE ended_at IS NULL AND status <> 'incident'
           AND NOT EXISTS (SELECT FROM waits w WHERE w.instance_id = i.id)
           AND NOT EXISTS (SELECT FROM tasks t WHERE t.instance_id = i.id AND t.status IN ('open', 'claimed'))""",
    ),
    (
        "it waits for the answer to a call that nobody makes",
        """SELECT i.subject FROM instances i JOIN waits w ON w.instance_id = i.id
           WHERE w.kind = 'call' AND i.status <> 'incident'""",
    ),
    (
        "it stands still, and no incident says so",
        """SELECT subject FROM instances i WHERE status = 'incident'
           AND NOT EXISTS (SELECT FROM incidents c WHERE c.instance_id = i.id AND c.status = 'open')""",
    ),
    (
        "a call of it was begun and never finished",
        """SELECT coalesce(refund_id, dispute_id, payment_id) FROM attempts a JOIN instances i ON i.id = a.instance_id
           WHERE a.state = 'begun' AND i.status <> 'incident'""",
    ),
    (
        "its outcome is open, and no flow, task or incident looks after it",
        """SELECT a.payment_id FROM attempts a WHERE outcome IN ('unknown', 'pending', 'needs_action')
           AND NOT EXISTS (SELECT FROM instances i WHERE i.id = a.instance_id AND i.ended_at IS NULL)
           AND NOT EXISTS (SELECT FROM incidents c WHERE c.subject IN (a.payment_id, a.refund_id, a.dispute_id)
                           AND c.status = 'open')""",
    ),
    (
        "its flow has ended, it has not, and no incident says so",
        """SELECT p.id FROM payments p JOIN instances i ON i.id = p.instance_id
           WHERE i.ended_at IS NOT NULL AND p.status NOT IN ('succeeded', 'canceled', 'failed', 'expired')
           AND NOT EXISTS (SELECT FROM incidents c WHERE c.subject = p.id AND c.status = 'open')""",
    ),
    (
        "its refund has neither ended nor a flow",
        """SELECT r.id FROM refunds r JOIN instances i ON i.id = r.instance_id
           WHERE i.ended_at IS NOT NULL AND r.status NOT IN ('succeeded', 'canceled', 'failed')
           AND NOT EXISTS (SELECT FROM incidents c WHERE c.subject = r.id AND c.status = 'open')""",
    ),
)


def _nothing_stuck(tx: Tx) -> Iterator[Broken]:
    for why, query in _STUCK:
        for (subject,) in tx.execute(text(query), {"now": tx.now()}):
            yield Broken("I4", subject, why)


def _no_hold_without_use(tx: Tx) -> Iterator[Broken]:
    """What people could give back they have given back."""
    contradicted = select(Incident).where(Incident.status == "open", Incident.kind == CONTRADICTION)
    incidents = tx.session.scalars(contradicted.order_by(Incident.id)).all()
    for incident, offers in zip(incidents, moves.moves_of(tx, incidents).values(), strict=True):
        for offer in offers:
            if offer.move is Move.VOID:
                yield Broken(
                    "I4", incident.subject, f"{offer.gateway} holds {offer.amount} for it that it has no use for"
                )


def _keys_known(tx: Tx, books: Books) -> Iterator[Broken]:
    """Every operation a gateway has ever heard of was written down by us under its key."""
    written = set(tx.session.scalars(text("SELECT id FROM attempts")))
    for gateway, charges in books.items():
        for charge in charges:
            done = [charge, *charge["captures"], *charge["voids"], *charge["refunds"]]
            for one in done:
                if one["key"] not in written:
                    why = f"{gateway} knows {one['id']} by {one['key']}, and no attempt of ours has this key"
                    yield Broken("I5", str(charge["reference"]), why)


def _told(tx: Tx) -> Iterator[Broken]:
    """What was told last is how it is; events became deliveries; webhooks that came in were understood."""
    queries = (
        ("it changed and nobody was told", _UNTOLD.format(table="payments")),
        ("it changed and nobody was told", _UNTOLD.format(table="refunds")),
        ("it changed and nobody was told", _UNTOLD.format(table="disputes")),
        ("this event never became a delivery", "SELECT id FROM events WHERE drained_at IS NULL"),
        (
            "a webhook about it was not applied",
            "SELECT key FROM inbound_webhooks WHERE status NOT IN ('applied', 'ignored')",
        ),
    )
    for why, query in queries:
        for (subject,) in tx.execute(text(query)):
            yield Broken("I7", subject, why)


_UNTOLD: Final = """
SELECT t.id FROM {table} t JOIN LATERAL (
    SELECT data ->> 'status' AS status FROM events e WHERE e.object_id = t.id ORDER BY sequence DESC LIMIT 1
) last ON true WHERE last.status <> t.status
"""


def _audited(tx: Tx) -> Iterator[Broken]:
    unseen = text("""
    SELECT id FROM tasks t WHERE status = 'completed'
    AND NOT EXISTS (
        SELECT FROM audit a
        WHERE a.object_id = t.id AND a.action = 'task.completed' AND a.actor = t.completed_by
    )
    """)
    for (task,) in tx.execute(unseen):
        yield Broken("I11", task, "a person decided it and the audit does not know")
    for merchant in tx.session.scalars(text("SELECT DISTINCT merchant_id FROM audit")).all():
        if (entry := audit.verify(tx, merchant)) is not None:
            yield Broken("I11", merchant, f"the seal of entry {entry} of its audit is broken")


def counted(found: Iterable[Broken]) -> dict[str, int]:
    """How many of each promise."""
    by_promise: defaultdict[str, int] = defaultdict(int)
    for broken in found:
        by_promise[broken.promise] += 1
    return dict(by_promise)
