"""The back door for people and tests on this machine: read the books, move the clock, play bank and customer."""

from dataclasses import asdict
from ipaddress import ip_address

import orjson
from flask import Blueprint, Response, request

from app.sandbox import charges, disputes
from app.sandbox.api import answer
from app.sandbox.bodies import (
    AuthenticateBody,
    ClockBody,
    DecisionBody,
    DisputeBody,
    FaultBody,
    ReplayBody,
    read_body,
)
from app.sandbox.company import Company
from app.sandbox.faults import Plan
from app.sandbox.records import timestamp
from app.sandbox.refusals import NotLoopback
from app.sandbox.views import charge_view, dispute_view, every_charge, movement_view


def blueprint(company: Company) -> Blueprint:
    admin = Blueprint("admin", __name__, url_prefix="/admin")

    @admin.before_request
    def only_from_this_machine() -> None:
        if not request.remote_addr or not ip_address(request.remote_addr).is_loopback:
            raise NotLoopback("Call /admin from the machine the sandbox runs on")

    _add_reading(admin, company)
    _add_weather(admin, company)
    _add_customer_and_bank(admin, company)
    return admin


def _add_reading(admin: Blueprint, company: Company) -> None:
    @admin.get("/books")
    def books() -> Response:
        return answer(200, {"name": company.config.name, "charges": every_charge(company.books)})

    @admin.get("/requests")
    def requests() -> Response:
        return answer(200, company.visitors.report())

    @admin.get("/events")
    def events() -> Response:
        letters = company.books.letters()
        shown = [{**orjson.loads(x.body), "tries": x.tries, "delivered": x.delivered} for x in letters]
        return answer(200, {"events": shown})


def _add_weather(admin: Blueprint, company: Company) -> None:
    @admin.get("/clock")
    def clock() -> Response:
        return answer(200, {"now": timestamp(company.clock.now())})

    @admin.post("/clock")
    def advance() -> Response:
        company.advance(read_body(ClockBody).advance_seconds)
        return answer(200, {"now": timestamp(company.clock.now())})

    @admin.get("/faults")
    def faults() -> Response:
        return answer(200, {"faults": [asdict(plan) for plan in company.faults.pending()]})

    @admin.post("/faults")
    def plan_fault() -> Response:
        body = read_body(FaultBody)
        company.faults.add(Plan(body.fault, body.operation, body.method, body.count))
        return faults()

    @admin.delete("/faults")
    def clear_faults() -> Response:
        company.faults.clear()
        return faults()

    @admin.post("/webhooks/replay")
    def replay() -> Response:
        event = read_body(ReplayBody).event
        with company.transaction() as desk:
            desk.announce_again(event)
        return answer(202, {"event": event})


def _add_customer_and_bank(admin: Blueprint, company: Company) -> None:
    @admin.post("/charges/<charge_id>/authenticate")
    def authenticate(charge_id: str) -> Response:
        success = read_body(AuthenticateBody).success
        with company.transaction() as desk:
            return answer(200, charge_view(charges.complete_action(desk, charge_id, success=success)))

    @admin.post("/charges/<charge_id>/dispute")
    def dispute(charge_id: str) -> Response:
        body = read_body(DisputeBody)
        with company.transaction() as desk:
            opened = disputes.open_dispute(desk, charge_id, body.stage, body.reason, body.amount)
            return answer(201, dispute_view(opened))

    @admin.post("/disputes/<dispute_id>/decide")
    def decide(dispute_id: str) -> Response:
        status = read_body(DecisionBody).status
        with company.transaction() as desk:
            return answer(200, dispute_view(disputes.decide(desk, dispute_id, status)))

    @admin.post("/disputes/<dispute_id>/<any(chargeback, pre_arbitration, arbitration):stage>")
    def escalate(dispute_id: str, stage: str) -> Response:
        with company.transaction() as desk:
            return answer(200, dispute_view(disputes.escalate(desk, dispute_id, stage)))

    @admin.post("/refunds/<refund_id>/fail")
    def fail_refund(refund_id: str) -> Response:
        with company.transaction() as desk:
            return answer(200, movement_view(charges.settle_movement(desk, refund_id, "failed")))
