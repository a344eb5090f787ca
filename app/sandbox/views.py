"""Objects as the API shows them."""

from dataclasses import fields
from typing import Any

from app.sandbox.books import Books
from app.sandbox.methods import DECLINED, REQUIRES_ACTION
from app.sandbox.records import Charge, Dispute, Movement

_INTERNAL = {"charge", "return_url", "action_url", "auto_capture"}


def _facts(record: Charge | Movement | Dispute) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def charge_view(charge: Charge) -> dict[str, Any]:
    shown = {name: value for name, value in _facts(charge).items() if name not in _INTERNAL}
    if charge.status == REQUIRES_ACTION:
        shown["next_action"] = {"type": "redirect", "url": charge.action_url}
    return {"object": "charge", **shown}


def movement_view(movement: Movement) -> dict[str, Any]:
    return {"object": movement.kind, **_facts(movement)}


def dispute_view(dispute: Dispute) -> dict[str, Any]:
    return {"object": "dispute", **_facts(dispute)}


def every_charge(books: Books) -> list[dict[str, Any]]:
    """All charges, each with everything that was done to it."""
    with books.transaction():
        movements, quarrels = books.every(Movement), books.every(Dispute)
        shown = {charge.id: charge_view(charge) for charge in books.every(Charge)}
    for charge in shown.values():
        charge |= {"captures": [], "voids": [], "refunds": [], "disputes": []}
    for movement in movements:
        shown[movement.charge][f"{movement.kind}s"].append(movement_view(movement))
    for quarrel in quarrels:
        shown[quarrel.charge]["disputes"].append(dispute_view(quarrel))
    return list(shown.values())


def status_code(record: Charge | Movement) -> int:
    """Declined is an outcome and not an error, but a caller should not need to read the body to notice it."""
    return 402 if record.status == DECLINED else 201
