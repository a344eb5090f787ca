"""What a request to cancel means for money that has not been moved yet."""

from app.operations import OperationError
from app.payments.models import Payment


def heed_cancel(payment: Payment) -> None:
    """CANCEL_REQUESTED where a flow is about to move money by itself for a payment somebody has asked to cancel.

    The request is noted under the payment's lock, which the caller holds: it comes before the money or after it. The
    kept message is heard wherever the flow waits for it next, and needs nobody once the payment has ended.
    """
    if payment.cancel_reason:
        message = "Somebody has asked to cancel the payment"
        raise OperationError("CANCEL_REQUESTED", message, {"reason": payment.cancel_reason})
