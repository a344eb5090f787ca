"""A merchant with everything the pages can show, written straight into the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.access import passwords
from app.access.models import Merchant, User
from app.disputes.models import Dispute
from app.engine.models import Definition, Incident, Instance, JournalRow, Task, WaitRow
from app.events.models import Delivery, WebhookEndpoint
from app.events import audit
from app.access.actor import Actor
from app.events.outbox import emit
from app.kit.database import Base, Database, Tx
from app.kit.ids import _encode, new_id
from app.ledger.models import Account, Entry, Posting
from app.payments.models import Attempt, Payment
from app.refunds.models import Refund

DIAGRAMS = Path(__file__).parent / "diagrams"
PASSWORD = "open the sluice gate"
_HASH = passwords.hash_password(PASSWORD)

RULES = [
    {"rule": "velocity", "sentence": "4 payments with this card within one hour", "value": 4, "points": 35},
    {"rule": "country_mismatch", "sentence": "Card from Brazil, address in Germany", "value": "BR ≠ DE", "points": 25},
    {"rule": "new_customer", "sentence": "First payment of this customer", "value": True, "points": 14},
]
PEOPLE = {
    "reviewer": ("Dana Okafor", ["reviewer"]),
    "reviewer2": ("Li Wei", ["reviewer"]),
    "analyst": ("Marta Silva", ["analyst"]),
    "analyst2": ("Jonas Berg", ["analyst"]),
    "operator": ("Ines Kraft", ["operator"]),
    "admin": ("Tom Adeyemi", ["admin", "operator", "analyst", "reviewer"]),
}


@dataclass
class Seeded:
    """Ids by the names the tests use."""

    merchant: str
    users: dict[str, str] = field(default_factory=dict)
    payments: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


class Seeder:
    def __init__(self, tx: Tx, now: datetime, merchant: str) -> None:
        self.tx, self.now = tx, now
        self.made = Seeded(merchant)

    def add(self, row: Base) -> None:
        self.tx.session.add(row)
        self.tx.session.flush()

    def people(self) -> None:
        settings = {"review_limit": {"EUR": 100000}, "refund_approval_limit": {"EUR": 50000}, "gateways": []}
        self.add(Merchant(id=self.made.merchant, name="Weir & Sons", settings=settings, created_at=self.now))
        for word, (name, roles) in PEOPLE.items():
            user = User(
                id=new_id("usr"),
                merchant_id=self.made.merchant,
                email=f"{word}@{self.made.merchant.replace('_', '-')}.example",
                name=name,
                roles=roles,
                password_hash=_HASH,
                language="en",
                created_at=self.now,
            )
            self.add(user)
            self.made.users[word] = user.id

    def definitions(self) -> None:
        drawn = (DIAGRAMS / "card-payment.bpmn").read_bytes()
        self._definition(
            "flow1", "bpmn", "card-payment", 1, "retired", drawn.replace(b"Card payment", b"Card payment 1")
        )
        self._definition("flow2", "bpmn", "card-payment", 2, "published", drawn)
        self._definition("flow3", "bpmn", "card-payment", 3, "draft", drawn.replace(b"Second approval", b"Second look"))
        self._definition("form", "form", "review", 1, "published", (DIAGRAMS / "review.form.json").read_bytes())

    def _definition(self, word: str, kind: str, key: str, version: int, status: str, content: bytes) -> None:
        published = status != "draft"
        row = Definition(
            id=new_id("def"),
            merchant_id=self.made.merchant,
            kind=kind,
            key=key,
            version=version,
            name="Card payment" if kind == "bpmn" else "Review a flagged payment",
            status=status,
            content=content,
            content_hash=f"{word}-{self.made.merchant}",
            file_name=f"{key}.{kind}",
            uses={"processes": [], "decisions": ["payment_risk"], "forms": ["review"], "operations": []},
            warnings={"findings": []},
            created_by=self.made.users["analyst"],
            created_at=self.now - timedelta(days=20 - version * 5),
            published_by=self.made.users["analyst2"] if published else None,
            published_at=self.now - timedelta(days=19 - version * 5) if published else None,
        )
        self.add(row)
        self.made.definitions[word] = row.id

    def payment(self, word: str, age: timedelta, **values: Any) -> Payment:
        at = self.now - age
        row = Payment(
            **{
                "id": f"pay_{_encode(int(at.timestamp() * 1000), 10)}{_encode(len(self.made.payments), 16)}",
                "merchant_id": self.made.merchant,
                "status": "succeeded",
                "amount": 12900,
                "currency": "EUR",
                "process": "card-payment",
                "payment_method": "pm_card_visa",
                "method_fingerprint": "fp_visa_1",
                "capture_method": "automatic",
                "reference": f"order-{1000 + len(self.made.payments)}",
                "customer": {
                    "id": "cus_amira",
                    "name": "Amira Haddad",
                    "email": "amira@example.org",
                    "country": "DE",
                    "ip": "203.0.113.7",
                },
                "metadata_": {"cart": "K-7781"},
                "return_url": "https://shop.example/thanks",
                "gateway": "sandbox_a",
                "gateway_reference": f"ch_{word}",
                "created_by": "system",
                "created_at": at,
                "updated_at": at,
                **values,
            }
        )
        self.add(row)
        self.made.payments[word] = row.id
        return row

    def instance(self, subject: str, status: str, path: Sequence[str], at: datetime, rests: bool = True) -> Instance:
        """An instance that entered `path` element by element and, when it `rests`, is still at the last one."""
        row = Instance(
            id=new_id("ins"),
            merchant_id=self.made.merchant,
            definition_id=self.made.definitions["flow2"],
            process="card-payment",
            version=2,
            subject=subject,
            status=status,
            pins={
                "process": "card-payment",
                "processes": {"card-payment": self.made.definitions["flow2"]},
                "decisions": {},
                "forms": {"review": self.made.definitions["form"]},
            },
            variables={},
            created_by="system",
            created_at=at,
            updated_at=at,
            ended_at=None if rests else at + timedelta(seconds=len(path)),
        )
        self.add(row)
        self._journal(row, path, at, rests)
        return row

    def _journal(self, instance: Instance, path: Sequence[str], at: datetime, rests: bool) -> None:
        lines: list[tuple[str, str, str]] = [("started", "", "")]
        for position, element in enumerate(path):
            if element.startswith("f"):
                lines.append(("taken", element, ""))
                continue
            lines.append(("entered", element, f"{element}#1"))
            if not (rests and position == len(path) - 1):
                lines.append(("left", element, f"{element}#1"))
        if not rests:
            lines.append(("ended", "", ""))
        for seq, (kind, element, node) in enumerate(lines, 1):
            self.tx.session.add(
                JournalRow(
                    instance_id=instance.id,
                    seq=seq,
                    at=at + timedelta(milliseconds=120 * seq),
                    kind=kind,
                    element=element,
                    node=node,
                    process="",
                    scope="",
                    actor="system",
                    facts={},
                )
            )
        instance.journal_seq = len(lines)
        self.tx.session.flush()

    def task(self, word: str, payment: Payment, **values: Any) -> Task:
        path = ["Start", "f1", "Validate", "f2", "Assess", "f3", "Flagged", "f5", "Review"]
        if values.get("element") == "Second":
            path += ["f6", "Approved", "f7", "Second"]
        done = values.get("status") == "completed"
        instance = self.instance(payment.id, "completed" if done else "waiting", path, payment.created_at, not done)
        payment.instance_id = instance.id
        element = str(values.get("element", "Review"))
        row = Task(
            **{
                "id": new_id("tsk"),
                "merchant_id": self.made.merchant,
                "instance_id": instance.id,
                "process": "card-payment",
                "element": element,
                "node": f"{element}#1",
                "name": "Review payment" if element == "Review" else "Second approval",
                "subject": payment.id,
                "status": "open",
                "candidate_groups": ["reviewer"],
                "excluded": [],
                "form_id": self.made.definitions["form"],
                "facts": {"amount": payment.amount, "currency": payment.currency},
                "priority": 50,
                "due_at": payment.created_at + timedelta(hours=4),
                "created_at": payment.created_at + timedelta(seconds=2),
                **values,
            }
        )
        self.add(row)
        if not done:
            wait = {"merchant_id": self.made.merchant, "message": "", "correlation": "", "created_at": self.now}
            self.add(
                WaitRow(instance_id=instance.id, node=row.node, element=element, kind="task", due_at=row.due_at, **wait)
            )
        self.made.tasks[word] = row.id
        return row

    def attempt(self, payment: Payment, operation: str, outcome: str | None, at: datetime, **values: Any) -> Attempt:
        row = Attempt(
            **{
                "id": new_id("att"),
                "merchant_id": self.made.merchant,
                "payment_id": payment.id,
                "instance_id": payment.instance_id or "",
                "activation": f"{operation}#{new_id('act')}",
                "operation": operation,
                "gateway": payment.gateway or "sandbox_a",
                "amount": payment.amount,
                "currency": payment.currency,
                "state": "finished" if outcome else "begun",
                "outcome": outcome,
                "gateway_reference": payment.gateway_reference if outcome == "approved" else "",
                "begun_at": at,
                "finished_at": at + timedelta(seconds=1) if outcome else None,
                "created_at": at,
                **values,
            }
        )
        self.add(row)
        return row

    def posting(self, payment: Payment, attempt: Attempt, kind: str, sides: Mapping[str, int]) -> None:
        posting = Posting(
            id=new_id("pst"),
            merchant_id=self.made.merchant,
            kind=kind,
            source_type="attempt",
            source_id=attempt.id,
            subject=payment.id,
            created_at=attempt.created_at,
        )
        self.add(posting)
        for name, amount in sides.items():
            account = self._account(name, payment.currency)
            self.add(
                Entry(
                    posting_id=posting.id, account_id=account, amount=amount, currency=payment.currency, layer="posted"
                )
            )

    def _account(self, name: str, currency: str) -> str:
        key = f"{name}:{currency}"
        if key not in self.made.others:
            row = Account(
                id=new_id("acc"),
                merchant_id=self.made.merchant,
                name=name,
                currency=currency,
                kind="asset",
                created_at=self.now,
            )
            self.add(row)
            self.made.others[key] = row.id
        return self.made.others[key]


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
                "risk": {"score": 45, "outcome": "review", "rules": RULES[1:]},
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
    s.task("done", s.payment("reviewed", minutes(40), amount=45000, amount_captured=45000, risk=risk), **done, **first)


def _payments(s: Seeder) -> None:
    hours, days = (lambda n: timedelta(hours=n)), (lambda n: timedelta(days=n))
    whole = [
        "Start",
        "f1",
        "Validate",
        "f2",
        "Assess",
        "f3",
        "Flagged",
        "f4",
        "Authorize",
        "f10",
        "Capture",
        "f11",
        "Done",
    ]
    bought = s.payment("succeeded", hours(5), amount_captured=12900, amount_refunded=2900)
    bought.instance_id = s.instance(bought.id, "completed", whole, bought.created_at, rests=False).id
    authorized = s.attempt(
        bought,
        "authorize",
        "declined",
        bought.created_at,
        decline_code="insufficient_funds",
        gateway_code="51",
        gateway="sandbox_b",
    )
    authorized = s.attempt(bought, "authorize", "approved", bought.created_at + timedelta(seconds=1))
    captured = s.attempt(bought, "capture", "approved", bought.created_at + timedelta(seconds=2))
    s.posting(bought, authorized, "authorized", {"psp:sandbox_a:authorized": 12900, "customer:authorized": -12900})
    s.posting(bought, captured, "captured", {"psp:sandbox_a:clearing": 12900, "merchant:payable": -12900})
    refund = {
        "merchant_id": s.made.merchant,
        "payment_id": bought.id,
        "currency": "EUR",
        "created_at": s.now - hours(1),
        "updated_at": s.now,
    }
    s.add(
        Refund(
            id=new_id("ref"),
            amount=2900,
            status="succeeded",
            reason="requested_by_customer",
            requested_by=s.made.users["operator"],
            **refund,
        )
    )
    for kind in ("payment.created", "payment.succeeded", "refund.succeeded"):
        s.made.others[kind] = emit(s.tx, s.made.merchant, kind, bought.id, {"id": bought.id}, "system").id
    s.payment(
        "held",
        hours(7),
        status="requires_capture",
        amount=50000,
        amount_capturable=50000,
        capture_method="manual",
        authorization_expires_at=s.now + days(6),
    )
    s.payment(
        "action",
        hours(1),
        status="requires_action",
        next_action={"type": "redirect", "url": "https://bank.example/3ds"},
        payment_method="pm_card_3ds",
    )
    s.payment("failed", days(1), status="failed", status_reason="declined", reference="", customer={})
    s.payment("dinar", days(2), currency="KWD", amount=45250, amount_captured=45250)
    s.payment("canceled", days(3), status="canceled", status_reason="requested_by_customer")
    fought = s.payment(
        "disputed",
        days(20),
        amount=34900,
        amount_captured=34900,
        amount_disputed=34900,
        payment_method="pm_card_dispute",
    )
    dispute = Dispute(
        id=new_id("dis"),
        merchant_id=s.made.merchant,
        payment_id=fought.id,
        gateway="sandbox_a",
        gateway_reference="dp_1",
        stage="chargeback",
        status="needs_response",
        amount=34900,
        fee=1500,
        withdrawn=36400,
        currency="EUR",
        reason="product_not_received",
        due_by=s.now + days(3),
        evidence={"tracking_number": "DHL 4471", "delivered_on": "2026-11-02"},
        created_at=s.now - days(2),
        updated_at=s.now - days(2),
    )
    s.add(dispute)
    s.made.others["dispute"] = dispute.id
    for number in range(60):
        s.payment(
            f"old{number}",
            days(30) + hours(number),
            amount=1990 + 310 * number,
            amount_captured=1990 + 310 * number,
            customer={
                "id": f"cus_{number % 7}",
                "name": f"Customer {number % 7}",
                "email": f"c{number % 7}@example.org",
            },
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
