"""For those who run it: alive, ready, and numbers."""

from flask import Blueprint, Response
from sqlalchemy.exc import SQLAlchemyError

from app.api.context import ApiContext
from app.api.metrics import ApiMetrics
from app.installation import open_hold


def add(blueprint: Blueprint, context: ApiContext, metrics: ApiMetrics) -> None:
    @blueprint.get("/healthz")
    def healthz() -> dict[str, object]:
        """Alive. `degraded` names what is slower than it should be; nothing is wrong or lost because of it."""
        troubles = list(context.troubles())
        return {"status": "degraded", "reasons": troubles} if troubles else {"status": "ok"}

    @blueprint.get("/readyz")
    def readyz() -> tuple[dict[str, object], int]:
        """Ready when the database answers; `degraded`, with the reason, while a restored one sends nothing.

        Redis is never needed to be right, only to be quick.
        """
        try:
            with context.database.begin() as tx:
                held = open_hold(tx)
        except SQLAlchemyError:
            return {"status": "unavailable", "database": "does not answer"}, 503
        if held is None:
            return {"status": "ok", "database": "ok", "sending": "ok"}, 200
        reasons = [f"Nothing is sent: {held.reason}. Run `sluice recover`, then `sluice release-sending`"]
        return {"status": "degraded", "database": "ok", "sending": "held", "reasons": reasons}, 200

    @blueprint.get("/metrics")
    def numbers() -> Response:
        return Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")
