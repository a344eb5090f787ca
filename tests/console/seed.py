"""A merchant with everything the pages can show, written straight into the tables."""

from datetime import datetime, timedelta

from app.access.actor import Actor
from app.engine.models import Incident, Task, WaitRow
from app.events import audit
from app.events.models import Delivery, WebhookEndpoint
from app.events.outbox import emit
from app.kit.database import Database, Json
from app.kit.ids import new_id
from tests.console.seeder import DIAGRAMS, PASSWORD, PEOPLE, RULES, Seeded, Seeder

__all__ = ["DIAGRAMS", "PASSWORD", "PEOPLE", "Seeded", "seed"]


def seed(database: Database, now: datetime, merchant: str = "mer_weir") -> Seeded:
    with database.begin() as tx:
        seeder = Seeder(tx, now, merchant)
        seeder.people()
        seeder.definitions()
        _reviews(seeder)
        _payments(seeder)
        _trouble(seeder)
        _records(seeder)
        return seeder.made


def _reviews(s: Seeder) -> None:
    minutes, hours, users = (lambda n: timedelta(minutes=n)), (lambda n: timedelta(hours=n)), s.made.users
    risk = {"score": 74, "outcome": "review", "rules": RULES}
    hold = {
        "status": "requires_review",
        "risk": risk,
        "gateway": "",
        "gateway_reference": "",
        "authorization_expires_at": s.now + timedelta(days=5),
    }
    s.task("open", s.payment("flagged", minutes(25), amount=124000, **hold))
    s.task(
        "yen",
        s.payment(
            "yen",
            minutes(70),
            **{
                **hold,
                "currency": "JPY",
                "amount": 480000,
                "risk": {
                    "score": 45,
                    "outcome": "review",
                    "rules": RULES[1:],
                    "compared": {"amount": 288000, "currency": "EUR"},
                },
                "customer": {"id": "cus_ken", "name": "Ken Mori", "email": "ken@example.jp", "country": "JP"},
            },
        ),
    )
    mine = {
        "status": "claimed",
        "assignee": users["reviewer"],
        "claimed_at": s.now - minutes(3),
        "claim_until": s.now + minutes(12),
    }
    s.task("mine", s.payment("mine", minutes(90), amount=8450, **hold), **mine)
    taken = {**mine, "assignee": users["reviewer2"]}
    s.task("taken", s.payment("taken", minutes(50), amount=61000, **hold), **taken)
    s.task("overdue", s.payment("overdue", hours(6), amount=23990, **hold))
    s.task("escalated", s.payment("escalated", hours(3), amount=990000, **hold), priority=90)
    _decided(s, hold)


def _decided(s: Seeder, hold: Json) -> None:
    """One that a first person has approved and a second has to, and one that is done."""
    minutes, hours, users = (lambda n: timedelta(minutes=n)), (lambda n: timedelta(hours=n)), s.made.users
    first = {"decision": "approve", "reason": "customer_confirmed", "note": "Called the customer, she knows the order."}
    second = s.payment("second", hours(2), amount=310000, **hold)
    s.task("second", second, element="Second", excluded=[users["reviewer"]])
    s.add(
        Task(
            id=new_id("tsk"),
            merchant_id=s.made.merchant,
            instance_id=second.instance_id,
            process="card-payment",
            element="Review",
            node="Review#1",
            name="Review payment",
            subject=second.id,
            status="completed",
            candidate_groups=["reviewer"],
            excluded=[],
            assignee=users["reviewer"],
            form_id=s.made.definitions["form"],
            facts={},
            priority=50,
            created_at=second.created_at,
            completed_at=second.created_at + minutes(20),
            completed_by=users["reviewer"],
            **first,
        )
    )
    done = {
        "status": "completed",
        "assignee": users["reviewer2"],
        "completed_by": users["reviewer2"],
        "completed_at": s.now - minutes(8),
        "data": {},
    }
    s.task(
        "done",
        s.payment("reviewed", minutes(40), amount=45000, amount_captured=45000, risk=hold["risk"]),
        **done,
        **first,
    )


def _payments(s: Seeder) -> None:
    """One payment for each thing the list and its detail can show."""
    hours, days = (lambda n: timedelta(hours=n)), (lambda n: timedelta(days=n))
    _bought_and_partly_refunded(s)
    s.payment(
        "held",
        hours(7),
        status="requires_capture",
        amount=50000,
        amount_capturable=50000,
        capture_method="manual",
        authorization_expires_at=s.now + days(6),
    )
    action = {"type": "redirect", "url": "https://bank.example/3ds"}
    s.payment("action", hours(1), status="requires_action", next_action=action, payment_method="pm_card_3ds")
    s.payment("failed", days(1), status="failed", status_reason="declined", reference="", customer={})
    s.payment("dinar", days(2), currency="KWD", amount=45250, amount_captured=45250)
    s.payment("canceled", days(3), status="canceled", status_reason="requested_by_customer")
    _disputed(s)
    for number in range(60):
        _long_ago(s, number)


def _bought_and_partly_refunded(s: Seeder) -> None:
    """Declined at one gateway, paid at the other, and a part given back: with attempts, postings and events."""
    flows = {"Start": "f1", "Validate": "f2", "Assess": "f3", "Flagged": "f4", "Authorize": "f10", "Capture": "f11"}
    bought = s.payment("succeeded", timedelta(hours=5), amount_captured=12900, amount_refunded=2900)
    path = [*(step for pair in flows.items() for step in pair), "Done"]
    bought.instance_id = s.instance(bought.id, "completed", path, bought.created_at, rests=False).id
    second = timedelta(seconds=1)
    refused = {"decline_code": "insufficient_funds", "gateway_code": "51", "gateway": "sandbox_b"}
    s.attempt(bought, "authorize", "declined", bought.created_at, **refused)
    authorized = s.attempt(bought, "authorize", "approved", bought.created_at + second)
    captured = s.attempt(bought, "capture", "approved", bought.created_at + 2 * second)
    s.posting(bought, authorized, "authorized", {"psp:sandbox_a:authorized": 12900, "customer:authorized": -12900})
    s.posting(bought, captured, "captured", {"psp:sandbox_a:clearing": 12900, "merchant:payable": -12900})
    s.refund(bought, 2900)
    for kind in ("payment.created", "payment.succeeded", "refund.succeeded"):
        s.made.others[kind] = emit(s.tx, s.made.merchant, kind, bought.id, {"id": bought.id}, "system")


def _disputed(s: Seeder) -> None:
    amounts = {"amount": 34900, "amount_captured": 34900, "amount_disputed": 34900}
    fought = s.payment("disputed", timedelta(days=20), payment_method="pm_card_dispute", **amounts)
    evidence = {"tracking_number": "DHL 4471", "delivered_on": "2026-11-02"}
    s.made.others["dispute"] = s.dispute(fought, fee=1500, due_by=s.now + timedelta(days=3), evidence=evidence).id


def _long_ago(s: Seeder, number: int) -> None:
    """One of many, so that lists have pages; seven customers share nine cards."""
    who = number % 7
    amount = 1990 + 310 * number
    s.payment(
        f"old{number}",
        timedelta(days=30, hours=number),
        amount=amount,
        amount_captured=amount,
        customer={"id": f"cus_{who}", "name": f"Customer {who}", "email": f"c{who}@example.org"},
        method_fingerprint=f"fp_{number % 9}",
    )


def _trouble(s: Seeder) -> None:
    lost = s.payment(
        "unknown",
        timedelta(minutes=12),
        status="processing",
        status_reason="outcome_unknown",
        amount=20500,
        payment_method="pm_card_timeout_lost",
        gateway_reference="",
    )
    path = ["Start", "f1", "Validate", "f2", "Assess", "f3", "Flagged", "f4", "Authorize"]
    lost.instance_id = s.instance(lost.id, "waiting", path, lost.created_at).id
    s.made.others["unknown"] = s.attempt(
        lost, "authorize", "unknown", lost.created_at, lookups=2, message="No answer within 5 s"
    ).id
    due = s.now + timedelta(minutes=4)
    s.add(
        WaitRow(
            instance_id=lost.instance_id,
            merchant_id=s.made.merchant,
            node="Authorize#1",
            element="Authorize",
            kind="timer",
            due_at=due,
            message="",
            correlation="",
            created_at=s.now,
        )
    )
    stuck = s.payment("stuck", timedelta(minutes=33), status="processing", amount=7700)
    instance = s.instance(stuck.id, "incident", path, stuck.created_at)
    stuck.instance_id = instance.id
    incident = Incident(
        id=new_id("inc"),
        merchant_id=s.made.merchant,
        instance_id=instance.id,
        subject=stuck.id,
        node="Authorize#1",
        element="Authorize",
        source="engine",
        kind="call_failed",
        message="payment.authorize failed three times: the gateway answered 500",
        details={},
        status="open",
        created_at=s.now - timedelta(minutes=30),
    )
    s.add(incident)
    s.made.others["incident"] = incident.id
    unknown, failing = s.made.others["unknown"], "sandbox_a could not be asked about it"
    soon = s.now + timedelta(minutes=9)
    s.webhook("retrying", status="new", key=unknown, tries=3, due_at=soon, last_error=failing)
    s.webhook("nobodys", status="unmatched", charge="ch_by_hand", tries=8)
    s.webhook("parked", status="parked", key=unknown, tries=8, last_error="KeyError; the worker's log has the rest")


def _records(s: Seeder) -> None:
    admin = Actor(s.made.users["admin"], "Tom Adeyemi", s.made.merchant, frozenset({"admin"}))
    audit.record(s.tx, admin, "session.started", admin.id, {"address": "203.0.113.9"})
    audit.record(
        s.tx, admin, "definition.published", s.made.definitions["flow2"], {"process": "card-payment", "version": 2}
    )
    endpoint = WebhookEndpoint(
        id=new_id("whe"),
        merchant_id=s.made.merchant,
        url="https://shop.example/hooks/sluice",
        description="Shop",
        event_types=[],
        secrets={"current": "x"},
        status="enabled",
        created_by=admin.id,
        created_at=s.now,
        updated_at=s.now,
    )
    s.add(endpoint)
    s.made.others["endpoint"] = endpoint.id
    common = {"merchant_id": s.made.merchant, "endpoint_id": endpoint.id, "created_at": s.now}
    s.add(
        Delivery(
            id=new_id("dlv"),
            event_id=s.made.others["payment.created"],
            status="delivered",
            tries=1,
            last_status=200,
            log={"tries": []},
            delivered_at=s.now,
            **common,
        )
    )
    s.add(
        Delivery(
            id=new_id("dlv"),
            event_id=s.made.others["payment.succeeded"],
            status="dead",
            tries=12,
            last_status=500,
            last_error="500 Internal Server Error",
            log={"tries": []},
            **common,
        )
    )
