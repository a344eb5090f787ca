"""What systems and people may do to a payment: create, confirm, ask for a capture, ask to cancel; and what diagrams do
to its state. Everything here is one transaction of the caller's and calls nobody.
"""

from datetime import timedelta

from app.access.actor import Actor, Role
from app.engine import inbox
from app.engine.pins import entries
from app.errors import Conflict, FieldError, InvalidInput
from app.events import audit
from app.events.outbox import emit
from app.kit.database import Json, Tx
from app.kit.ids import derived_id, new_id
from app.payments import held
from app.payments.attempts import unresolved
from app.payments.capturing import drop_requested, final_capture_under_way, held_status, reserve
from app.payments.commands import USUAL_PROCESS, CreatePayment
from app.payments.models import Attempt, Payment
from app.payments.queries import lock_payment, payment_view
from app.payments.reviewing import check_reviewed
from app.payments.states import GRAPH, IllegalTransition, PaymentStatus, is_terminal, move
from app.payments.voiding import release

#: How long a request waits for the flow to come to where it is heard: at least this, and while the money is held.
REQUEST_LASTS = timedelta(days=7)
#: Where a payment under review may go although nobody has approved it.
_WITHOUT_REVIEW = frozenset({PaymentStatus.CANCELED, PaymentStatus.FAILED, PaymentStatus.EXPIRED})
RELEASE_PROCESS = "release-authorization"
#: Operations that tell how a payment stands: a flow that does no more than call these takes no payment anywhere.
_ONLY_ASK = frozenset({"payment.lookup", "payment.facts"})


class CaptureExceedsAuthorized(Conflict):
    code = "capture_exceeds_authorized"
    title = "More was asked for than is left of the authorization"


class NotCapturable(Conflict):
    code = "not_capturable"
    title = "The payment takes no request to capture now"


class OutcomeOpen(Conflict):
    code = "outcome_open"
    title = "The payment cannot end while it is not known where its money is"


class MoneyHeld(Conflict):
    code = "money_held"
    title = "The payment cannot end like this while a gateway holds money for it"


class NotForPayments(InvalidInput):
    code = "process_not_for_payments"
    title = "No payment can be started with this process"


def create_payment(tx: Tx, actor: Actor, command: CreatePayment) -> Payment:
    """The payment, the instance of its flow and the event, all in this transaction."""
    actor.require(Role.INTEGRATOR, Role.OPERATOR, Role.ADMIN)
    _check_process(tx, actor.merchant_id, command.process)
    now, payment_id = tx.now(), new_id("pay")
    instance_id = _start(tx, actor, payment_id, command) if command.confirm else None
    payment = tx.insert(
        Payment,
        id=payment_id,
        instance_id=instance_id,
        merchant_id=actor.merchant_id,
        status=_first_status(command),
        amount=command.amount,
        currency=command.currency,
        payment_method=command.payment_method,
        method_fingerprint=fingerprint(actor.merchant_id, command.payment_method),
        capture_method=command.capture_method,
        reference=command.reference,
        customer={name: value for name, value in command.customer.model_dump().items() if value},
        metadata_=command.metadata,
        return_url=command.return_url,
        process=command.process,
        created_by=actor.id,
        created_at=now,
        updated_at=now,
    )
    held.made(tx, payment)
    if actor.is_person:
        # A system's payments are told by their events; the audit chain would make them wait for each other.
        audit.record(tx, actor, "payment.created", payment.id, {"amount": payment.amount, "currency": payment.currency})
    _tell(tx, payment, "payment.created", actor)
    return payment


def _check_process(tx: Tx, merchant_id: str, process: str) -> None:
    """NotForPayments for what is a part of another diagram, is about a refund or a dispute, or moves no payment."""
    if process == USUAL_PROCESS:
        return
    doing = {name: set(reached) - _ONLY_ASK for name, reached in entries(tx, merchant_id).items()}
    groups = {name: {one.partition(".")[0] for one in reached} for name, reached in doing.items()}
    fit = {name for name, used in groups.items() if "payment" in used and used.isdisjoint(("refund", "dispute"))}
    if process not in fit:
        message = f"must be one of {', '.join(sorted(fit | {USUAL_PROCESS}))}"
        raise NotForPayments(
            f"{process!r} is not a published flow that a payment starts with; process {message}",
            errors=[FieldError("process", message)],
        )


def _first_status(command: CreatePayment) -> PaymentStatus:
    if command.confirm:
        return PaymentStatus.PROCESSING
    return PaymentStatus.REQUIRES_CONFIRMATION if command.payment_method else PaymentStatus.REQUIRES_PAYMENT_METHOD


def fingerprint(merchant_id: str, payment_method: str) -> str:
    """The same payment method of the same merchant, recognisable without showing which."""
    return derived_id("fp", merchant_id, payment_method) if payment_method else ""


def confirm(tx: Tx, actor: Actor, payment_id: str, payment_method: str = "") -> Payment:
    """Start the flow of a payment that was created without it."""
    actor.require(Role.INTEGRATOR, Role.OPERATOR, Role.ADMIN)
    payment = lock_payment(tx, actor.merchant_id, payment_id)
    GRAPH.check(payment.status, PaymentStatus.PROCESSING)
    if payment.instance_id is not None:
        raise IllegalTransition(f"The payment is {payment.status}; it was confirmed before")
    if payment_method:
        payment.payment_method = payment_method
        payment.method_fingerprint = fingerprint(actor.merchant_id, payment_method)
    if not payment.payment_method:
        message = "is needed to confirm the payment"
        raise InvalidInput(f"payment_method {message}", errors=[FieldError("payment_method", message, "missing")])
    payment.instance_id = _start(tx, actor, payment.id, payment)
    move(tx, payment, PaymentStatus.PROCESSING, "", actor)
    return payment


def request_capture(
    tx: Tx, actor: Actor, payment_id: str, amount: int | None = None, *, final: bool | None = None
) -> Attempt:
    """Reserve the amount and tell the flow, which captures when it comes to it; the attempt to watch."""
    actor.require(Role.INTEGRATOR, Role.OPERATOR)
    payment = lock_payment(tx, actor.merchant_id, payment_id)
    _check_takes_captures(tx, payment)
    wanted = payment.amount_capturable if amount is None else amount
    final = wanted == payment.amount_capturable if final is None else final
    if final_capture_under_way(tx, payment.id):
        raise CaptureExceedsAuthorized("A final capture is already under way; it releases whatever it leaves")
    if not 0 < wanted <= payment.amount_capturable or payment.instance_id is None:
        left = f"{payment.amount_capturable} {payment.currency}"
        raise CaptureExceedsAuthorized(
            f"{wanted} cannot be captured; {left} is capturable and the payment is {payment.status}",
            extra={"amount_capturable": payment.amount_capturable, "status": payment.status},
        )
    attempt = Attempt(
        id=new_id("att"),
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        instance_id=payment.instance_id,
        activation="",
        operation="capture",
        gateway=payment.gateway,
        charge=payment.gateway_reference,
        amount=wanted,
        currency=payment.currency,
        final=final,
        state="created",
        created_at=tx.now(),
    )
    held.add(tx, attempt)
    reserve(tx, payment, wanted)
    variables: Json = {"attempt": attempt.id, "amount": wanted, "final": final}
    _message(tx, payment, "capture.requested", variables, attempt.id, actor)
    audit.record(tx, actor, "payment.capture_requested", payment.id, {**variables, "currency": payment.currency})
    _tell(tx, payment, "payment.updated", actor)
    return attempt


def _check_takes_captures(tx: Tx, payment: Payment) -> None:
    """NotCapturable while nobody would hear the request, or something else decides about the amount."""
    if payment.capture_method == "automatic":
        raise NotCapturable("The payment is captured by itself as soon as it may be")
    if unresolved(tx, payment, ("void",)) is not None:
        raise NotCapturable("What was authorized is being given back")
    if payment.cancel_reason:
        raise NotCapturable("Somebody has asked to cancel the payment")
    if inbox.has_ended(tx, payment.instance_id):
        raise NotCapturable("The payment's flow has ended and cannot capture; cancel the payment to give the rest back")


def request_cancel(tx: Tx, actor: Actor, payment_id: str, reason: str) -> Payment:
    """Ask the flow to cancel; a payment whose flow was never started is canceled at once.

    From now on the flow begins no authorization and no capture by itself, whether or not it waits for the message.
    """
    actor.require(Role.INTEGRATOR, Role.OPERATOR)
    payment = lock_payment(tx, actor.merchant_id, payment_id)
    if is_terminal(payment.status):
        raise IllegalTransition(f"The payment is {payment.status}; that is final", extra={"status": payment.status})
    payment.cancel_reason = reason
    if payment.instance_id is None:
        move(tx, payment, PaymentStatus.CANCELED, reason, actor)
    elif inbox.has_ended(tx, payment.instance_id):
        _cancel_without_flow(tx, actor, payment)
    else:
        _message(tx, payment, "cancel.requested", {"reason": reason}, new_id("msg"), actor)
    audit.record(tx, actor, "payment.cancel_requested", payment.id, {"reason": reason})
    return payment


def _cancel_without_flow(tx: Tx, actor: Actor, payment: Payment) -> None:
    """The flow left the payment half-way: what is held is given back by another flow, and nothing held is the end."""
    if (payment.amount_capturable or payment.amount_capturing) and not _hold_ran_out(tx, payment):
        variables: Json = {"payment": payment.id}
        payment.instance_id = inbox.start_instance(tx, actor, RELEASE_PROCESS, payment.id, variables).id
        tx.session.flush()
        return
    end_as_asked(tx, payment, actor)


def end_as_asked(tx: Tx, payment: Payment, actor: Actor) -> None:
    """What a request to cancel comes to once no flow can carry it out; refused as `transition` refuses it."""
    end = PaymentStatus.SUCCEEDED if payment.amount_captured else PaymentStatus.CANCELED
    transition(tx, payment, end, payment.cancel_reason, actor)


def transition(tx: Tx, payment: Payment, to: str, reason: str, actor: Actor) -> None:
    """Take the edge a diagram names, unless the money says otherwise; the caller holds the payment's lock.

    A payment cannot end while an outcome is open or money is held, and cannot succeed without money.
    """
    if payment.status == to:
        return
    GRAPH.check(payment.status, to)
    if is_terminal(to):
        _check_nothing_open(tx, payment, to)
    if to in (PaymentStatus.CANCELED, PaymentStatus.FAILED, PaymentStatus.EXPIRED) and payment.amount_captured:
        raise MoneyHeld(f"{payment.amount_captured} {payment.currency} was captured; refund it instead")
    if is_terminal(to) and _hold_ran_out(tx, payment):
        drop_requested(tx, payment, "The authorization ran out before this capture was begun")
        release(tx, payment, "payment", payment.id)
    amount = payment.amount_capturable + payment.amount_capturing
    if is_terminal(to) and amount:
        raise MoneyHeld(f"{amount} {payment.currency} is held at {payment.gateway}; capture or void it first")
    if to == PaymentStatus.SUCCEEDED and not payment.amount_captured:
        raise MoneyHeld("A payment without a capture cannot succeed")
    if to in (PaymentStatus.REQUIRES_CAPTURE, PaymentStatus.PARTIALLY_CAPTURED) and (
        not payment.amount_capturable or to != held_status(payment)
    ):
        raise IllegalTransition(f"The payment cannot become {to}: what it holds says {held_status(payment)} or nothing")
    if to not in _WITHOUT_REVIEW:
        check_reviewed(tx, payment)
    if to == PaymentStatus.REQUIRES_ACTION:
        raise IllegalTransition("Only an answer of a gateway can ask the customer to act")
    move(tx, payment, to, reason, actor)


def _hold_ran_out(tx: Tx, payment: Payment) -> bool:
    return payment.authorization_expires_at is not None and payment.authorization_expires_at <= tx.now()


def _check_nothing_open(tx: Tx, payment: Payment, to: str) -> None:
    attempt = unresolved(tx, payment, ("authorize", "capture", "void"))
    if attempt is not None:
        raise OutcomeOpen(
            f"The payment cannot become {to}: the {attempt.operation} at {attempt.gateway} is "
            f"{attempt.outcome or 'under way'}; look it up or void it first",
            extra={"attempt": attempt.id, "outcome": attempt.outcome},
        )


def _start(tx: Tx, actor: Actor, payment_id: str, wanted: CreatePayment | Payment) -> str:
    """The instance of the payment's flow."""
    variables: Json = {
        "payment": payment_id,
        "amount": wanted.amount,
        "currency": wanted.currency,
        "capture_method": wanted.capture_method,
    }
    return inbox.start_instance(tx, actor, wanted.process, payment_id, variables).id


def _message(tx: Tx, payment: Payment, name: str, variables: Json, dedupe: str, actor: Actor) -> None:
    held_until = payment.authorization_expires_at or tx.now()
    lasts = max(REQUEST_LASTS, held_until - tx.now() + timedelta(days=1))
    inbox.publish_message(tx, payment.merchant_id, name, payment.id, variables, dedupe, actor.id, lasts)


def _tell(tx: Tx, payment: Payment, name: str, actor: Actor) -> None:
    emit(tx, payment.merchant_id, name, payment.id, payment_view(tx, payment), actor.id)
