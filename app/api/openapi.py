"""The OpenAPI 3.1 document, made from the declared routes and the catalog of events; nothing in it is written twice."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.idempotency import InProgress, KeyInvalid, KeyRequired, KeyReused
from app.api.problems import BodyTooLarge, RateLimited, UnsupportedMediaType
from app.api.route import Resource, Route, Upload
from app.api.shapes import EventView, Problem
from app.errors import AppError, Forbidden, InvalidInput, NotFound, Unauthenticated
from app.events.catalog import EVENT_TYPES, EventType
from app.kit.strict_json import MalformedJson

Schema = dict[str, Any]

_REF = "#/components/schemas/{model}"

DESCRIPTION = """Payments, refunds and disputes whose flows are BPMN diagrams.

Amounts are integers in minor units of an ISO 4217 currency. Times are RFC 3339 in UTC. Lists are read page by page
with `limit` and `after`. Every POST takes an `Idempotency-Key`: the same key and body give the same answer, for at
least seven days. Failures are problems as in RFC 9457; decide by their `code`.
"""


def document(resources: Sequence[Resource], base_url: str) -> Schema:
    routes = [route for resource in resources for route in resource.routes]
    paths: dict[str, Schema] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sluice", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": base_url}],
        "security": [{"bearer": []}],
        "tags": [{"name": resource.tag, "description": resource.description} for resource in resources],
        "paths": dict(paths),
        "webhooks": {event.name: _webhook(event, routes) for event in EVENT_TYPES.values()},
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (`sk_…`) or a personal token (`pt_…`).",
                }
            },
        },
    }


def errors_of(route: Route) -> list[type[AppError]]:
    """Everything the route may refuse with: what it declares and what the framework adds."""
    found: list[type[AppError]] = [Unauthenticated, Forbidden, RateLimited, InvalidInput]
    if route.parts:
        found.append(NotFound)
    if route.body is not None:
        found += [MalformedJson, UnsupportedMediaType, BodyTooLarge]
    if route.method == "POST":
        found += [KeyInvalid, KeyReused, InProgress]
    if route.needs_key:
        found.append(KeyRequired)
    return list(dict.fromkeys([*found, *route.errors]))


def _operation(route: Route) -> Schema:
    operation: Schema = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "description": _description(route),
        "parameters": _parameters(route),
        "responses": {**_successes(route), **_failures(errors_of(route))},
    }
    if route.body is not None:
        operation["requestBody"] = _request_body(route.body, route.example)
    return operation


def _description(route: Route) -> str:
    roles = " or ".join(f"`{role}`" for role in route.roles)
    return " ".join(part for part in (route.description, f"Needs the role {roles}." if roles else "") if part)


def _parameters(route: Route) -> list[Schema]:
    found: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.parts
    ]
    if route.query is not None:
        schema = route.query.model_json_schema(ref_template=_REF)
        required = schema.get("required", [])
        for name, field in schema.get("properties", {}).items():
            described = {"description": field["description"]} if "description" in field else {}
            content = {key: value for key, value in field.items() if key not in ("title", "description")}
            found.append({"name": name, "in": "query", "required": name in required, **described, "schema": content})
    if isinstance(route.body, Upload):
        text = "The file's name, when the body is the file"
        found.append({"name": "name", "in": "query", "description": text, "schema": {"type": "string"}})
    if route.method == "POST":
        found.append(
            _header(
                "Idempotency-Key",
                "The same key and body give the same answer, marked `Idempotent-Replayed: true`.",
                {"type": "string", "minLength": 1, "maxLength": 255},
                required=route.needs_key,
            )
        )
    if route.waits:
        text = "`wait=N` answers when the flow first rests, or after N seconds (at most 30)."
        found.append(_header("Prefer", text, {"type": "string", "examples": ["wait=5"]}))
    return found


def _header(name: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


def _request_body(body: type[BaseModel] | Upload, example: Schema | None) -> Schema:
    if isinstance(body, Upload):
        binary = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
        form = {"schema": {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}}
        content = {**dict.fromkeys(body.media_types, binary), "multipart/form-data": form}
        return {"required": True, "description": body.description, "content": content}
    required = any(field.is_required() for field in body.model_fields.values())
    shown = {"example": example} if example is not None else {}
    return {"required": required, "content": {"application/json": {"schema": _ref(body), **shown}}}


def _successes(route: Route) -> Schema:
    return {str(status): _success(route) for status in sorted((route.status, *route.also))}


def _success(route: Route) -> Schema:
    described = {"description": route.summary}
    if route.media_type != "application/json":
        return {**described, "content": {route.media_type: {"schema": {"type": "string"}}}}
    if route.response is None:
        return described
    schema = _list_of(route.response) if route.listed else _ref(route.response)
    return {**described, "content": {"application/json": {"schema": schema}}}


def _failures(errors: Iterable[type[AppError]]) -> Schema:
    by_status: dict[int, list[type[AppError]]] = defaultdict(list)
    for error in errors:
        by_status[error.status].append(error)
    return {
        str(status): {
            "description": "\n".join(f"- `{error.code}`: {error.title}" for error in kinds),
            "content": {"application/problem+json": {"schema": _ref(Problem)}},
        }
        for status, kinds in sorted(by_status.items())
    }


def _webhook(event: EventType, routes: Sequence[Route]) -> Schema:
    known = {route.response.__name__ for route in routes if route.response is not None}
    data = {"$ref": _REF.format(model=event.schema)} if event.schema in known else {"type": "object"}
    schema = {"allOf": [_ref(EventView), {"properties": {"type": {"const": event.name}, "data": data}}]}
    return {
        "post": {
            "tags": ["Events"],
            "summary": event.sentence,
            "security": [],
            "parameters": [
                _header(name, text, {"type": "string"}, required=True)
                for name, text in (
                    ("webhook-id", "The event's id, the same on every try: drop what you have seen"),
                    ("webhook-timestamp", "Seconds since 1970 when this try was signed"),
                    ("webhook-signature", "`v1,` and base64 HMAC-SHA256 of `id.timestamp.body`, one per secret"),
                )
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {"2XX": {"description": "Received"}, "410": {"description": "Send no more, ever"}},
        }
    }


def _schemas(routes: Sequence[Route]) -> Schema:
    models: dict[str, type[BaseModel]] = {Problem.__name__: Problem, EventView.__name__: EventView}
    for route in routes:
        for model in (route.body, route.query, route.response):
            if isinstance(model, type):
                assert models.setdefault(model.__name__, model) is model, f"two schemas are named {model.__name__}"
    queries = {route.query.__name__ for route in routes if route.query is not None}
    _, definitions = models_json_schema([(model, "validation") for model in models.values()], ref_template=_REF)
    # Queries are shown as parameters; what they refer to is needed here all the same.
    return {name: schema for name, schema in sorted(definitions["$defs"].items()) if name not in queries}


def _ref(model: type[BaseModel]) -> Schema:
    return {"$ref": _REF.format(model=model.__name__)}


def _list_of(model: type[BaseModel]) -> Schema:
    return {
        "type": "object",
        "required": ["object", "data", "has_more", "next"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": _ref(model)},
            "has_more": {"type": "boolean"},
            "next": {"type": ["string", "null"], "description": "Give this as `after` for the following page"},
        },
    }
