"""Writes rows of a merchant straight into the tables, one method per kind of row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import insert

from app.access import passwords
from app.access.models import Merchant, User
from app.disputes.models import Dispute
from app.engine.models import Definition, Instance, JournalRow, Task, WaitRow
from app.kit.database import Base, Tx
from app.kit.ids import _encode, new_id
from app.ledger.models import Account, Entry, Posting
from app.payments.models import Attempt, InboundWebhook, Payment
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
            uses={"processes": [], "decisions": [], "forms": ["review"] if kind == "bpmn" else [], "operations": []},
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

    def refund(self, payment: Payment, amount: int, **values: Any) -> Refund:
        """An hour old and done, asked for by the operator."""
        row = Refund(
            **{
                "id": new_id("ref"),
                "merchant_id": self.made.merchant,
                "payment_id": payment.id,
                "amount": amount,
                "currency": payment.currency,
                "status": "succeeded",
                "reason": "requested_by_customer",
                "requested_by": self.made.users["operator"],
                "created_at": self.now - timedelta(hours=1),
                "updated_at": self.now,
                **values,
            }
        )
        self.add(row)
        return row

    def dispute(self, payment: Payment, fee: int, **values: Any) -> Dispute:
        """Opened two days ago over the whole amount, and in need of an answer."""
        opened = self.now - timedelta(days=2)
        row = Dispute(
            **{
                "id": new_id("dis"),
                "merchant_id": self.made.merchant,
                "payment_id": payment.id,
                "gateway": payment.gateway,
                "gateway_reference": f"dp_{self.made.merchant}",
                "stage": "chargeback",
                "status": "needs_response",
                "amount": payment.amount,
                "fee": fee,
                "withdrawn": payment.amount + fee,
                "currency": payment.currency,
                "reason": "product_not_received",
                "created_at": opened,
                "updated_at": opened,
                **values,
            }
        )
        self.add(row)
        return row

    def webhook(self, word: str, **values: Any) -> InboundWebhook:
        """A gateway's webhook that was not applied."""
        body = {"id": f"evt_{word}", "type": "charge.updated", "data": {"charge": "ch_9", "client_secret": "hush"}}
        row = InboundWebhook(
            **{
                "id": new_id("inw"),
                "gateway": "sandbox_a",
                "event_id": f"evt_{word}_{self.made.merchant}",
                "kind": "attempt_updated",
                "type": "charge.updated",
                "body": orjson.dumps(body),
                "key": "",
                "charge": "",
                "dispute": "",
                "occurred_at": self.now,
                "received_at": self.now - timedelta(hours=2),
                **values,
            }
        )
        self.add(row)
        self.made.others[f"webhook_{word}"] = row.id
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
        entries = [
            {
                "posting_id": posting.id,
                "account_id": self._account(name, payment.currency),
                "amount": amount,
                "currency": payment.currency,
                "layer": "posted",
            }
            for name, amount in sides.items()
        ]
        # All of them at once: the database looks at a posting's balance at the end of each statement.
        self.tx.execute(insert(Entry).values(entries))

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
