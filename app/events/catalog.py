"""Every type of event there is, each with a sentence for the integrator and the schema of its data.

A status that is reached gives the event its name, so `payment.succeeded` and the payment's status cannot disagree.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventType:
    """`schema` names the object in `data` as the API's document describes it."""

    name: str
    sentence: str
    schema: str


_PAYMENT = {
    "created": "A payment was accepted and its flow started.",
    "updated": "A payment's amounts or the reason of its status changed while its status stayed.",
    "requires_payment_method": "A payment needs a payment method before it can go on.",
    "requires_confirmation": "A payment waits to be confirmed.",
    "requires_action": "The customer must do something; `next_action` says what.",
    "requires_review": "A payment waits for a person's decision.",
    "processing": "A payment is being worked on; with the reason `outcome_unknown` we are finding out what happened.",
    "requires_capture": "A payment is authorized and can be captured.",
    "partially_captured": "Part of the authorized amount was captured and more may follow.",
    "succeeded": "A payment was captured.",
    "canceled": "A payment was canceled; nothing was charged.",
    "failed": "A payment failed; nothing was charged.",
    "expired": "An authorization ended before it was captured.",
    "contradiction": "A gateway said something else about an outcome that was already booked; people look at it.",
}
_REFUND = {
    "created": "A refund was asked for and its amount reserved.",
    "updated": "The reason of a refund's status changed while its status stayed.",
    "requires_approval": "A refund waits for a second person.",
    "pending": "A refund is on its way.",
    "succeeded": "A refund was carried out.",
    "failed": "A refund failed, possibly after it had succeeded; the money is still with the merchant.",
    "canceled": "A refund was refused or withdrawn before anything was sent.",
}
_DISPUTE = {
    "created": "A gateway told of a dispute.",
    "updated": "A dispute's stage, amount, evidence or deadline changed while its status stayed.",
    "needs_response": "A dispute waits for evidence; `due_by` is the gateway's deadline.",
    "under_review": "Evidence was handed in and the decision is awaited.",
    "won": "A dispute was decided for the merchant.",
    "lost": "A dispute was decided against the merchant.",
    "accepted": "The merchant accepted a dispute.",
    "expired": "The deadline of a dispute passed without an answer.",
    "canceled": "The customer or the bank withdrew a dispute.",
    "prevented": "A dispute was settled before it became a chargeback.",
}
_ENDPOINT = {"disabled": "A webhook endpoint answered 410 and gets no more events."}


def _of(kind: str, sentences: dict[str, str], schema: str) -> list[EventType]:
    return [EventType(f"{kind}.{name}", sentence, schema) for name, sentence in sentences.items()]


EVENT_TYPES: dict[str, EventType] = {
    event.name: event
    for event in (
        *_of("payment", _PAYMENT, "PaymentView"),
        *_of("refund", _REFUND, "RefundView"),
        *_of("dispute", _DISPUTE, "DisputeView"),
        *_of("webhook_endpoint", _ENDPOINT, "WebhookEndpointView"),
    )
}
