"""What an operator may do to a payment: capture, cancel, refund. Each is one form and one transaction."""

from collections.abc import Callable

from flask import Blueprint, request
from pydantic import ValidationError
from werkzeug.wrappers import Response

from app.access.actor import Role
from app.console import identity
from app.console.amounts import parse_amount
from app.console.context import transaction
from app.console.web import back_to, refused
from app.errors import AppError, InvalidInput
from app.kit.database import Tx
from app.payments import service as payments
from app.payments.commands import CancelPayment
from app.payments.models import Payment
from app.payments.queries import find_payment
from app.refunds import service as refunds
from app.refunds.commands import CreateRefund

pages = Blueprint("actions", __name__, url_prefix="/payments/<payment_id>")


@pages.post("/capture")
def capture(payment_id: str) -> Response:
    def act(tx: Tx, payment: Payment) -> None:
        amount = parse_amount(request.form.get("amount", ""), payment.currency)
        payments.request_capture(tx, identity.actor(), payment_id, amount, final="final" in request.form)

    return _act(payment_id, act, "act.capture_asked")


@pages.post("/refund")
def refund(payment_id: str) -> Response:
    def act(tx: Tx, payment: Payment) -> None:
        amount = parse_amount(request.form.get("amount", ""), payment.currency)
        command = {"payment": payment_id, "amount": amount, "reason": request.form.get("reason")}
        refunds.create_refund(tx, identity.actor(), CreateRefund.model_validate(command))

    return _act(payment_id, act, "act.refund_asked")


@pages.post("/cancel")
def cancel(payment_id: str) -> Response:
    def act(tx: Tx, _: Payment) -> None:
        command = CancelPayment.model_validate({"reason": request.form.get("reason")})
        payments.request_cancel(tx, identity.actor(), payment_id, command.reason)

    return _act(payment_id, act, "act.cancel_asked")


def _act(payment_id: str, act: Callable[[Tx, Payment], None], said: str) -> Response:
    """The flow does the work, so the page says that it was asked; what stands in the way is said on the page too."""
    target = f"/payments/{payment_id}"
    actor = identity.actor()
    actor.require(Role.OPERATOR)
    try:
        with transaction() as tx:
            act(tx, find_payment(tx, actor.merchant_id, payment_id))
    except ValidationError:
        return refused(target, InvalidInput("Choose one of the reasons on offer"))
    except AppError as refusal:
        return refused(target, refusal)
    return back_to(target, said)
