"""Webhooks about disputes: ask the gateway how the dispute stands, and book that."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.disputes.service import open_from_gateway
from app.gateways.port import EventKind, Gateway, GatewayDispute
from app.gateways.registry import Registry as Gateways
from app.kit.database import Tx, in_transaction
from app.payments.webhooks import Application, Applier, News


@dataclass(frozen=True, slots=True)
class DisputeNews:
    gateway: Gateway
    dispute: str
    asked_at: datetime

    def call(self) -> object:
        assert not in_transaction(), "a gateway is never called inside a transaction"
        return self.gateway.dispute(self.dispute)

    def finish(self, tx: Tx, answer: object) -> bool:
        if not isinstance(answer, GatewayDispute):
            return False
        return open_from_gateway(tx, self.gateway.name, answer, self.asked_at) is not None


def apply_dispute_news(tx: Tx, registry: Gateways, news: News) -> Application | None:
    return DisputeNews(registry.get(news.gateway), news.dispute, tx.now()) if news.dispute else None


APPLIERS: Final[Mapping[EventKind, Applier]] = {EventKind.DISPUTE_UPDATED: apply_dispute_news}
