"""The API as one Flask blueprint: every declared route, the pages that describe them, health, and inbound webhooks."""

import re
import time
from collections.abc import Callable, Sequence

import structlog
from flask import Blueprint, Response, g, request

from app.api import health, inbound, problems, reference
from app.api.context import ApiContext
from app.api.endpoint import Endpoint
from app.api.idempotency import Idempotency
from app.api.metrics import ApiMetrics
from app.api.problems import MethodNotAllowed
from app.api.rate import Rate
from app.api.resources import RESOURCES
from app.api.route import Resource, Route
from app.api.waiting import Seats
from app.errors import NotFound

log = structlog.get_logger()

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_api(context: ApiContext, resources: Sequence[Resource] = RESOURCES) -> Blueprint:
    """The blueprint to register at the root of the application; it limits, measures and renders errors by itself."""
    blueprint = Blueprint("api", __name__, template_folder="templates", static_folder="static", static_url_path="/docs")
    metrics = ApiMetrics(context.metrics)
    rate = Rate(context.rate_limit, context.limits_redis)
    routes = [route for resource in resources for route in resource.routes]
    idempotency = Idempotency(context.sealer)
    seats = Seats(context.waiting)
    for route in routes:
        view = Endpoint(route, context, idempotency, seats, rate).view()
        blueprint.add_url_rule(route.rule, route.name, view, methods=[route.method])
    blueprint.add_url_rule("/v1/<path:rest>", "elsewhere", _elsewhere(routes), methods=_METHODS)
    health.add(blueprint, context, metrics)
    inbound.add(blueprint, context)
    reference.add(blueprint, context, resources)
    _observe(blueprint, metrics)
    blueprint.register_error_handler(Exception, problems.render)
    return blueprint


def _elsewhere(routes: Sequence[Route]) -> Callable[[str], Response]:
    """Addresses under /v1 that are no route: 405 where another method is one, 404 otherwise, as problems."""
    known = [(re.compile(re.sub(r"{\w+}", "[^/]+", route.path)), route.method) for route in routes]

    def elsewhere(rest: str) -> Response:
        allowed = sorted({method for pattern, method in known if pattern.fullmatch(f"/v1/{rest}")})
        if not allowed:
            raise NotFound("There is nothing at this address; /openapi.json lists what there is")
        response = problems.respond(MethodNotAllowed(f"This address knows {', '.join(allowed)}"))
        response.headers["Allow"] = ", ".join(allowed)
        return response

    return elsewhere


def _observe(blueprint: Blueprint, metrics: ApiMetrics) -> None:
    @blueprint.before_request
    def begin() -> None:
        g.begun = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(trace_id=problems.trace_id())

    @blueprint.after_request
    def finish(response: Response) -> Response:
        response.headers["Request-Id"] = problems.trace_id()
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        rule = request.url_rule.rule if request.url_rule else ""
        seconds = time.perf_counter() - g.begun
        metrics.answered(request.method, rule, response.status_code, seconds)
        if request.path.startswith(("/v1/", "/webhooks/")):
            told = {"method": request.method, "route": rule, "status": response.status_code}
            log.info("request.answered", **told, milliseconds=round(seconds * 1000))
        return response
