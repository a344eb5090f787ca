"""What gateways tell us: taken in raw and verified, answered at once, understood later by the worker."""

from flask import Blueprint, Response, request

from app.api.context import ApiContext
from app.kit.crashpoint import Point, crashpoint

MAX_BYTES = 1024 * 1024


def add(blueprint: Blueprint, context: ApiContext) -> None:
    @blueprint.post("/webhooks/<gateway>")
    def gateway_webhook(gateway: str) -> Response:
        """No API key: the gateway's signature over the raw bytes is what counts."""
        request.max_content_length = MAX_BYTES
        body = request.get_data(cache=False)
        headers = dict(request.headers)
        context.database.run(lambda tx: context.receive_webhook(tx, gateway, headers, body))
        crashpoint(Point.REQUEST_COMMITTED)
        return Response(b'{"received":true}', content_type="application/json")
