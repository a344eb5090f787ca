"""The pages that explain the API: the reference made from the routes, and one page per kind of problem."""

import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

import orjson
from flask import Blueprint, Response, render_template

from app.api import openapi, problems
from app.api.context import ApiContext
from app.api.route import Resource
from app.errors import AppError, NotFound
from app.events.catalog import EVENT_TYPES

_PRETTY = orjson.OPT_INDENT_2
_METHODS = ("get", "post", "put", "patch", "delete")
#: The pages load one stylesheet and nothing else.
_POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"


def add(blueprint: Blueprint, context: ApiContext, resources: Sequence[Resource]) -> None:
    document = openapi.document(resources, context.base_url)
    content = orjson.dumps(document)

    @blueprint.get("/openapi.json")
    def openapi_document() -> Response:
        return _cached(Response(content, content_type="application/json"))

    @blueprint.get("/docs")
    def docs() -> Response:
        page = render_template(
            "api/reference.html",
            document=document,
            groups=_groups(document),
            events=list(EVENT_TYPES.values()),
            base_url=context.base_url,
        )
        return _page(page)

    @blueprint.get("/problems")
    def problem_index() -> Response:
        return _page(render_template("api/problems.html", problems=list(problems.known_problems().values())))

    @blueprint.get("/problems/<code>")
    def problem_page(code: str) -> Response:
        kind = problems.known_problems().get(code)
        if kind is None:
            raise NotFound("There is no such kind of problem; /problems lists them")
        return _page(render_template("api/problem.html", problem=kind, text=_explanation(kind)))


def _page(text: str) -> Response:
    response = _cached(Response(text, content_type="text/html; charset=utf-8"))
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _cached(response: Response) -> Response:
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


def _explanation(kind: type[AppError]) -> str:
    own = kind.__dict__.get("__doc__")
    return inspect.cleandoc(own) if own else ""


def _groups(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Operations by tag, each with what the template shows of it."""
    groups = {tag["name"]: {**tag, "operations": []} for tag in document["tags"]}
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                groups[operation["tags"][0]]["operations"].append(_operation(path, method, operation, schemas))
    return list(groups.values())


def _operation(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    success = next(iter(operation["responses"].items()))
    answer = success[1].get("content", {}).get("application/json", {}).get("schema", {})
    listed = "properties" in answer
    shape = answer["properties"]["data"]["items"] if listed else answer
    return {
        **operation,
        "id": operation["operationId"],
        "path": path,
        "method": method.upper(),
        "fields": _fields(body.get("schema", {}), schemas),
        "media_types": [kind for kind in operation.get("requestBody", {}).get("content", {}) if kind[-4:] != "json"],
        "answer": _fields(shape, schemas),
        "listed": listed,
        "success": success[0],
        "curl": _curl(path, method, operation, body.get("example")),
    }


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    target = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    required = set(target.get("required", []))
    return [
        {
            "name": name,
            "type": _type(field),
            "required": name in required,
            "text": field.get("description", ""),
        }
        for name, field in target.get("properties", {}).items()
    ]


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return " | ".join(str(value) for value in field["enum"])
    if "const" in field:
        return f'"{field["const"]}"'
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("format") or field.get("type", "any"))


def _curl(path: str, method: str, operation: dict[str, Any], example: Any) -> str:
    lines = [f"curl $SLUICE{path}", '-H "Authorization: Bearer $SLUICE_KEY"']
    if method != "get":
        lines[0] = f"curl -X {method.upper()} $SLUICE{path}"
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]):
        lines.append('-H "Idempotency-Key: order-1001"')
    if example is not None:
        lines.append('-H "Content-Type: application/json"')
        lines.append(f"-d '{orjson.dumps(example, option=_PRETTY).decode()}'")
    return " \\\n".join([lines[0], *(textwrap.indent(line, "  ") for line in lines[1:])])
