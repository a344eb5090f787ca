"""One file per kind of thing the API offers; each declares its routes and calls one function per route."""

from app.api.resources import (
    definitions,
    disputes,
    events,
    exports,
    incidents,
    instances,
    ledger,
    messages,
    migrations,
    payments,
    refunds,
    tasks,
    webhook_endpoints,
)
from app.api.route import Resource

RESOURCES: tuple[Resource, ...] = (
    payments.resource,
    refunds.resource,
    disputes.resource,
    tasks.resource,
    instances.resource,
    incidents.resource,
    messages.resource,
    definitions.resource,
    migrations.resource,
    events.resource,
    webhook_endpoints.resource,
    ledger.resource,
    exports.resource,
)
