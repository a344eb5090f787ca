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

Schema = dict[str, Any]

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


def _groups(document: Schema) -> list[Schema]:
    """Operations by tag, each with what the template shows of it."""
    groups = {tag["name"]: {**tag, "operations": []} for tag in document["tags"]}
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                groups[operation["tags"][0]]["operations"].append(_operation(path, method, operation, schemas))
    return list(groups.values())


def _operation(path: str, method: str, operation: Schema, schemas: Schema) -> Schema:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    success = next(iter(operation["responses"].items()))
    answer = success[1].get("content", {}).get("application/json", {}).get("schema", {})
    listed = "properties" in answer
    shape = answer["properties"]["data"]["items"] if listed else answer
    return {
        "description": "",
        **operation,
        "id": operation["operationId"],
        "path": path,
        "method": method.upper(),
        "inputs": [
            {"description": "", "required": False, **parameter, "type": _type(_present(parameter["schema"]), schemas)}
            for parameter in operation["parameters"]
            if parameter["in"] != "path"
        ],
        "fields": _fields(body.get("schema", {}), schemas),
        "media_types": [kind for kind in operation.get("requestBody", {}).get("content", {}) if kind[-4:] != "json"],
        "answer": _fields(shape, schemas),
        "listed": listed,
        "success": success[0],
        "curl": _curl(path, method, operation, body.get("example")),
    }


def _fields(schema: Schema, schemas: Schema, prefix: str = "") -> list[Schema]:
    """A row per field; fields of objects inside follow theirs, as `customer.email` or `attempts[].gateway`."""
    target = _target(schema, schemas)
    required = set(target.get("required", []))
    rows: list[Schema] = []
    for name, field in target.get("properties", {}).items():
        path = f"{prefix}{name}"
        rows.append(
            {
                "name": path,
                "type": _type(field, schemas),
                "required": name in required and not prefix,
                "text": field.get("description", ""),
            }
        )
        inner, mark = (field["items"], "[].") if field.get("type") == "array" and "items" in field else (field, ".")
        if not prefix:
            rows += _fields(_present(inner), schemas, path + mark)
    return rows


def _target(schema: Schema, schemas: Schema) -> Schema:
    found: Schema = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    return found


def _present(schema: Schema) -> Schema:
    """What a field is when it is not null."""
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    return options[0] if len(options) == 1 else schema


def _type(field: Schema, schemas: Schema) -> str:
    target = _target(field, schemas)
    if "anyOf" in target:
        return " or ".join(_type(option, schemas) for option in target["anyOf"])
    if "enum" in target:
        return " | ".join(str(value) for value in target["enum"])
    if "const" in target:
        return f'"{target["const"]}"'
    if target.get("type") == "array":
        return f"list of {_type(target.get('items', {}), schemas)}"
    return str(target.get("format") or target.get("type", "any"))


def _curl(path: str, method: str, operation: Schema, example: Any) -> str:
    lines = [f"curl $SLUICE{path}", '-H "Authorization: Bearer $SLUICE_KEY"']
    if method != "get":
        lines[0] = f"curl -X {method.upper()} $SLUICE{path}"
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]):
        lines.append('-H "Idempotency-Key: order-1001"')
    if example is not None:
        lines.append('-H "Content-Type: application/json"')
        lines.append(f"-d '{orjson.dumps(example, option=_PRETTY).decode()}'")
    return " \\\n".join([lines[0], *(textwrap.indent(line, "  ") for line in lines[1:])])
