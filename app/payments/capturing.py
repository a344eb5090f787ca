"""Capture: the amount is reserved before anybody hears of it, so captures asked for at the same time cannot exceed."""

from pydantic import Field
from sqlalchemy import or_, select

from app.gateways.port import Capability, Capture, DeclineCode, Gateway, GatewayResult, Outcome
from app.gateways.registry import Registry as Gateways
from app.kit.database import Tx
from app.kit.money import Money
from app.operations import Effect, OperationContext, OperationError, Result
from app.payments.attempts import Order, own_attempt, read, resume, start, tell, unknown, unresolved, write
from app.payments.booking import contradict
from app.payments.canceling import heed_cancel
from app.payments.models import Attempt, Payment
from app.payments.outcomes import WITHOUT_EFFECT
from app.payments.queries import lock_payment
from app.payments.reviewing import check_reviewed
from app.payments.states import PaymentStatus, is_terminal, move
from app.payments.verbs import ANSWER, Case, Verb, register


class CaptureResult(Result):
    """A capture of `amount` minor units, and where the payment stands after it."""

    attempt: str = Field(title="Attempt", description="Id of the attempt")
    amount: int = Field(title="Amount", description="Minor units captured by this attempt")
    amount_captured: int = Field(title="Captured", description="Minor units captured in all")
    amount_capturable: int = Field(title="Capturable", description="Minor units still held")


def capture(
    context: OperationContext, requested: str = "", amount: int | None = None, *, final: bool = True
) -> CaptureResult | Effect:
    """Begin a capture: the one an API call `requested`, or `amount`, by default all that is capturable.

    A request to cancel stops the latter, and not what was asked for by name.
    """
    payment = lock_payment(context.tx, context.merchant_id, context.subject)
    attempt = own_attempt(context, payment) or _requested(context, payment, requested)
    if attempt is not None and attempt.state == "created":
        _check_may_capture(context, payment)
        context.use(Gateways).get(attempt.gateway)
        attempt.state, attempt.begun_at = "begun", context.tx.now()
        attempt.instance_id, attempt.activation = context.instance_id, context.activation
        return start(context, Case(context.tx, payment, attempt))
    if attempt is not None and attempt.activation == context.activation:
        outcome = resume(context, Case(context.tx, payment, attempt))
    elif attempt is not None and attempt.outcome not in WITHOUT_EFFECT:
        outcome = _tell_other(context, payment, attempt)
    else:
        _check_may_capture(context, payment)
        if attempt is None:
            heed_cancel(payment)
        wanted = (attempt.amount, attempt.final) if attempt is not None else (amount, final)
        return _begin(context, payment, *wanted)
    assert isinstance(outcome, CaptureResult | Effect)
    return outcome


def _requested(context: OperationContext, payment: Payment, requested: str) -> Attempt | None:
    attempt = read(context.tx, requested) if requested else None
    return attempt if attempt is not None and attempt.payment_id == payment.id else None


def _tell_other(context: OperationContext, payment: Payment, attempt: Attempt) -> Result:
    """Another activation has carried out the requested capture, or is about to."""
    if attempt.state == "begun":
        raise unknown(context, attempt)
    return tell(context, Case(context.tx, payment, attempt))


def _begin(context: OperationContext, payment: Payment, amount: int | None, final: bool) -> Effect:
    wanted = payment.amount_capturable if amount is None else amount
    if not 0 < wanted <= payment.amount_capturable:
        raise OperationError(
            "CAPTURE_EXCEEDS_AUTHORIZED",
            f"{wanted} cannot be captured; {payment.amount_capturable} {payment.currency} is left of the authorization",
            {"amount": wanted, "amount_capturable": payment.amount_capturable},
        )
    gateway = context.use(Gateways).get(payment.gateway)
    if not final and Capability.MULTIPLE_CAPTURES not in gateway.capabilities:
        raise OperationError(
            "CAPTURE_DECLINED",
            f"{gateway.title} captures once; make this capture final",
            {"gateway": gateway.name, "decline_code": str(DeclineCode.NOT_PERMITTED)},
        )
    order = Order("capture", gateway.name, wanted, payment.currency, payment.gateway_reference, final)
    attempt = write(context, payment, order)
    reserve(context.tx, payment, wanted)
    return start(context, Case(context.tx, payment, attempt))


def _check_may_capture(context: OperationContext, payment: Payment) -> None:
    check_reviewed(context.tx, payment)
    open_attempt = unresolved(context.tx, payment, ("capture", "void"))
    if open_attempt is not None:
        raise unknown(context, open_attempt)


def reserve(tx: Tx, payment: Payment, amount: int) -> None:
    """Take `amount` out of what is capturable, for a capture that is asked for; the caller has checked that it fits."""
    payment.amount_capturable -= amount
    payment.amount_capturing += amount
    payment.updated_at = tx.now()


def requested_captures(tx: Tx, payment_id: str) -> list[Attempt]:
    """Captures that were asked for over the API and not begun."""
    return list(
        tx.session.scalars(
            select(Attempt).where(
                Attempt.payment_id == payment_id, Attempt.operation == "capture", Attempt.state == "created"
            )
        )
    )


def final_capture_under_way(tx: Tx, payment_id: str) -> bool:
    under_way = select(Attempt.id).where(
        Attempt.payment_id == payment_id,
        Attempt.operation == "capture",
        Attempt.final.is_(True),
        or_(Attempt.state != "finished", Attempt.outcome.in_(("pending", "unknown"))),
    )
    return tx.session.scalar(under_way.limit(1)) is not None


def drop_requested(tx: Tx, payment: Payment, why: str) -> bool:
    """Captures nobody has begun will not be: their amounts become capturable again. Whether there were any."""
    requested = requested_captures(tx, payment.id)
    for attempt in requested:
        drop_request(tx, payment, attempt, why)
    return bool(requested)


def drop_request(tx: Tx, payment: Payment, attempt: Attempt, why: str) -> None:
    """This capture, which nobody has begun, will not be."""
    attempt.state, attempt.outcome, attempt.message = "finished", "not_sent", why
    attempt.finished_at = tx.now()
    payment.amount_capturing -= attempt.amount
    payment.amount_capturable += attempt.amount
    tx.session.flush()


class CaptureVerb(Verb):
    operation = "capture"
    declined = "CAPTURE_DECLINED"

    def request(self, case: Case) -> Capture:
        attempt = case.attempt
        return Capture(attempt.id, attempt.charge, Money(attempt.amount, attempt.currency), attempt.final)

    def send(self, gateway: Gateway, request: object) -> GatewayResult:
        assert isinstance(request, Capture)
        return gateway.capture(request)

    def book(self, case: Case, result: GatewayResult) -> None:
        payment = case.payment
        match result.outcome:
            case Outcome.APPROVED:
                self._approved(case, result)
            case Outcome.PENDING:
                self._show(case, PaymentStatus.PROCESSING, "outcome_pending")
            case Outcome.UNKNOWN | Outcome.NEEDS_ACTION:
                self._show(case, PaymentStatus.PROCESSING, "outcome_unknown")
            case _:
                payment.amount_capturing -= case.attempt.amount
                payment.amount_capturable += case.attempt.amount
                if result.decline is DeclineCode.AUTHORIZATION_EXPIRED:
                    payment.authorization_expires_at = case.tx.now()
                shown = payment.status, payment.status_reason
                moved = (held_status(payment), "") if payment.status == PaymentStatus.PROCESSING else shown
                # Told also where it stays: what is capturable has changed.
                move(case.tx, payment, *moved, case.actor)

    def result(self, case: Case) -> CaptureResult:
        payment = case.payment
        return CaptureResult(
            attempt=case.attempt.id,
            amount=case.attempt.amount,
            amount_captured=payment.amount_captured,
            amount_capturable=payment.amount_capturable,
        )

    def _approved(self, case: Case, result: GatewayResult) -> None:
        payment, attempt = case.payment, case.attempt
        payment.amount_capturing -= attempt.amount
        payment.amount_captured += attempt.amount
        case.book.captured(attempt.id, case.money)
        if attempt.final and payment.amount_capturable:
            case.book.released("attempt", attempt.id, Money(payment.amount_capturable, payment.currency))
            payment.amount_capturable = 0
        if is_terminal(payment.status):
            contradict(case, result, ANSWER, f"{case.money} was captured after the payment was {payment.status}")
            return
        done = not payment.amount_capturable and not payment.amount_capturing
        move(
            case.tx,
            payment,
            PaymentStatus.SUCCEEDED if done else PaymentStatus.PARTIALLY_CAPTURED,
            "",
            case.actor,
        )

    def _show(self, case: Case, status: PaymentStatus, reason: str) -> None:
        if not is_terminal(case.payment.status) and case.payment.status != PaymentStatus.REQUIRES_REVIEW:
            move(case.tx, case.payment, status, reason, case.actor)


def held_status(payment: Payment) -> PaymentStatus:
    """Where a payment with a hold rests when nothing is under way."""
    return PaymentStatus.PARTIALLY_CAPTURED if payment.amount_captured else PaymentStatus.REQUIRES_CAPTURE


CAPTURE = CaptureVerb()
register(CAPTURE)
