"""The page a customer is sent to for authentication: what a bank's 3-D Secure page is elsewhere."""

from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from app.kit.money import Money
from app.sandbox.charges import complete_action
from app.sandbox.company import Company
from app.sandbox.methods import REQUIRES_ACTION
from app.sandbox.records import Charge
from app.sandbox.refusals import Malformed, NoSuchThing


def blueprint(company: Company) -> Blueprint:
    pages = Blueprint("pages", __name__, template_folder="templates")

    def page(charge: Charge) -> Any:
        return render_template(
            "action.html",
            company=company.config.name,
            charge=charge,
            amount=Money(charge.amount, charge.currency),
            waiting=charge.status == REQUIRES_ACTION,
        )

    @pages.get("/actions/<charge_id>")
    def show(charge_id: str) -> Any:
        return page(_find(company, charge_id))

    @pages.post("/actions/<charge_id>")
    def act(charge_id: str) -> Any:
        result = request.form.get("result", "")
        if result not in ("complete", "fail"):
            raise Malformed("result must be complete or fail")
        if _find(company, charge_id).status == REQUIRES_ACTION:
            with company.transaction() as desk:
                complete_action(desk, charge_id, success=result == "complete")
        charge = _find(company, charge_id)
        return redirect(charge.return_url, 303) if charge.return_url else page(charge)

    @pages.after_request
    def keep_to_itself(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
        return response

    return pages


def _find(company: Company, charge_id: str) -> Charge:
    charge = company.books.find(Charge, charge_id)
    if charge is None or not charge.action_url:
        raise NoSuchThing("There is nothing to confirm here")
    return charge
