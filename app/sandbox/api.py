"""The gateway's API: charges and what is done to them, lookup by key, disputes, the settlement file."""

import hmac
from collections.abc import Callable
from datetime import date
from typing import Any

import orjson
from flask import Blueprint, Response, request

from app.kit.money import exponent
from app.sandbox import charges, disputes
from app.sandbox.bodies import Body, CaptureBody, ChargeBody, EmptyBody, EvidenceBody, RefundBody, read_body
from app.sandbox.company import Company, Received
from app.sandbox.desk import Desk
from app.sandbox.faults import Fault
from app.sandbox.intake import Effect, Order, serve
from app.sandbox.methods import Reply
from app.sandbox.records import Charge, Dispute, Movement
from app.sandbox.refusals import BadKey, Malformed, NoSuchThing
from app.sandbox.settlement import settlement_file
from app.sandbox.transport import wish
from app.sandbox.views import charge_view, dispute_view, movement_view, status_code

_LONGEST_KEY = 255
_PAGE = 100


def answer(status: int, body: object, fault: Fault | None = None) -> Response:
    if fault is not None:
        wish(request.environ, fault.sight)
    return Response(orjson.dumps(body), status=status, content_type="application/json")


def _idempotency_key() -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not 0 < len(key) <= _LONGEST_KEY or not key.isprintable():
        raise Malformed(f"Send an Idempotency-Key header of 1 to {_LONGEST_KEY} printable characters")
    return key


def _served(company: Company, order: Order, work: Callable[[Desk, Reply], Effect]) -> Response:
    served = serve(company, order, work)
    response = answer(served.status, served.body, served.fault)
    if served.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _asked(company: Company, operation: str, key: str = "", charge: Charge | None = None) -> Fault | None:
    """Note a question; the fault it is to meet. A question has no effect, so every fault is only about the wire."""
    fault = company.faults.take(operation, charge.payment_method if charge else "")
    company.visitors.note(Received(operation, key, request.path, fault.sight.value if fault else "", replayed=False))
    return fault


def blueprint(company: Company) -> Blueprint:
    api = Blueprint("api", __name__, url_prefix="/v1")
    expected = f"Bearer {company.config.api_key}".encode()

    @api.before_request
    def authenticate() -> None:
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected):
            raise BadKey("Send the API key as 'Authorization: Bearer <key>'")

    _add_charges(api, company)
    _add_movements(api, company)
    _add_questions(api, company)
    _add_disputes(api, company)
    return api


def _add_charges(api: Blueprint, company: Company) -> None:
    @api.post("/charges")
    def create() -> Response:
        body = read_body(ChargeBody)
        exponent(body.currency)
        key = _idempotency_key()
        public_url = request.host_url.rstrip("/")

        def work(desk: Desk, reply: Reply) -> Effect:
            order = charges.ChargeOrder(
                key=key,
                reference=body.reference,
                amount=body.amount,
                currency=body.currency,
                payment_method=body.payment_method,
                return_url=body.return_url,
                auto_capture=body.capture,
            )
            charge = charges.authorize(desk, order, reply, public_url)
            return Effect(status_code(charge), charge_view(charge), charge.id, charge.id)

        return _served(company, Order("authorize", key, request.path, body.model_dump()), work)


def _add_movements(api: Blueprint, company: Company) -> None:
    def moved(charge_id: str, body: Body, order: charges.MovementOrder) -> Response:
        def work(desk: Desk, reply: Reply) -> Effect:
            movement = charges.move(desk, order, reply)
            return Effect(status_code(movement), movement_view(movement), charge_id, movement.id)

        return _served(company, Order(order.kind, order.key, request.path, body.model_dump(), charge_id), work)

    @api.post("/charges/<charge_id>/captures")
    def capture(charge_id: str) -> Response:
        body = read_body(CaptureBody)
        order = charges.MovementOrder(
            _idempotency_key(), "capture", charge_id, body.amount, body.currency, final=body.final
        )
        return moved(charge_id, body, order)

    @api.post("/charges/<charge_id>/void")
    def void(charge_id: str) -> Response:
        return moved(charge_id, read_body(EmptyBody), charges.MovementOrder(_idempotency_key(), "void", charge_id))

    @api.post("/charges/<charge_id>/refunds")
    def refund(charge_id: str) -> Response:
        body = read_body(RefundBody)
        order = charges.MovementOrder(
            _idempotency_key(), "refund", charge_id, body.amount, body.currency, reason=body.reason
        )
        return moved(charge_id, body, order)


def _current(company: Company, record_id: str) -> dict[str, Any]:
    books = company.books
    if charge := books.find(Charge, record_id):
        return charge_view(charge)
    if movement := books.find(Movement, record_id):
        return movement_view(movement)
    dispute = books.find(Dispute, record_id)
    return dispute_view(dispute) if dispute else {}


def _add_questions(api: Blueprint, company: Company) -> None:
    @api.get("/charges/<charge_id>")
    def charge(charge_id: str) -> Response:
        found = company.books.find(Charge, charge_id)
        fault = _asked(company, "lookup", charge=found)
        if found is None:
            raise NoSuchThing(f"There is no charge {charge_id!r}")
        return answer(200, charge_view(found), fault)

    @api.get("/charges")
    def every() -> Response:
        fault = _asked(company, "books")
        after = request.args.get("after", "")
        if after and company.books.find(Charge, after) is None:
            raise NoSuchThing(f"There is no charge {after!r}")
        found = company.books.charges_after(after, _PAGE + 1)
        data = [charge_view(charge) for charge in found[:_PAGE]]
        return answer(200, {"object": "list", "data": data, "has_more": len(found) > _PAGE}, fault)

    @api.get("/operations")
    def operation() -> Response:
        key = request.args.get("key", "")
        stored = company.books.answer(key)
        charge = company.books.find(Charge, stored.charge) if stored else None
        fault = _asked(company, "lookup", key, charge)
        if stored is None:
            body: dict[str, Any] = {"object": "list", "data": []}
        else:
            found = {
                "key": key,
                "operation": stored.verb,
                "charge": stored.charge,
                "result": _current(company, stored.object),
            }
            body = {"object": "list", "data": [found]}
        return answer(200, body, fault)

    @api.get("/settlements")
    def settlement() -> Response:
        text = request.args.get("date", "") or company.clock.now().date().isoformat()
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise Malformed("date must look like 2026-01-31") from None
        return Response(settlement_file(company.books, day), content_type="text/csv; charset=utf-8")


def _add_disputes(api: Blueprint, company: Company) -> None:
    def responded(verb: str, dispute_id: str, body: Body, act: Callable[[Desk], Dispute]) -> Response:
        def work(desk: Desk, reply: Reply) -> Effect:
            del reply
            dispute = act(desk)
            return Effect(200, dispute_view(dispute), dispute.charge, dispute.id)

        found = company.books.find(Dispute, dispute_id)
        charge_id = found.charge if found else ""
        return _served(company, Order(verb, _idempotency_key(), request.path, body.model_dump(), charge_id), work)

    @api.get("/disputes/<dispute_id>")
    def dispute(dispute_id: str) -> Response:
        found = company.books.find(Dispute, dispute_id)
        fault = _asked(company, "dispute")
        if found is None:
            raise NoSuchThing(f"There is no dispute {dispute_id!r}")
        return answer(200, dispute_view(found), fault)

    @api.post("/disputes/<dispute_id>/evidence")
    def evidence(dispute_id: str) -> Response:
        body = read_body(EvidenceBody)
        return responded(
            "evidence", dispute_id, body, lambda desk: disputes.submit_evidence(desk, dispute_id, body.facts)
        )

    @api.post("/disputes/<dispute_id>/accept")
    def accept(dispute_id: str) -> Response:
        return responded("accept", dispute_id, read_body(EmptyBody), lambda desk: disputes.accept(desk, dispute_id))
