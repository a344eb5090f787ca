"""The chore that turns events into deliveries and sends them."""

from collections.abc import Sequence

from app.events.outbox import CHANNEL
from app.events.webhooks import DeliveryAnswer, DeliveryJob, Webhooks
from app.kit.database import Tx
from app.kit.trace import following, span


class Deliveries:
    name = "deliveries"
    channels: Sequence[str] = (CHANNEL,)

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def take(self, tx: Tx, limit: int) -> Sequence[DeliveryJob]:
        self._webhooks.drain(tx)
        return self._webhooks.claim_due(tx, limit)

    def do(self, job: DeliveryJob) -> DeliveryAnswer:
        with following(job.trace, delivery=job.id), span("delivery", delivery=job.id, event=job.event_id):
            return self._webhooks.send(job)

    def book(self, tx: Tx, job: DeliveryJob, answer: DeliveryAnswer) -> None:
        self._webhooks.book(tx, job, answer)
