"""Element templates for the modeler, written from the operations: each becomes a ready task with typed fields.

The format is bpmn.io's JSON for zeebe bindings. The text depends on nothing but the operations, so a file that differs
from what would be written is stale.
"""

import enum
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic.fields import FieldInfo

from app.kit.database import Json
from app.operations import Operation, Registry, registry

#: The name by which modelers know the format; nothing fetches it.
SCHEMA = "https://unpkg.com/@camunda/zeebe-element-templates-json-schema/resources/schema.json"
_GROUPS = [
    {"id": "parameters", "label": "Parameters"},
    {"id": "result", "label": "Result"},
    {"id": "failures", "label": "Technical failures"},
]
_KEEP_ALL = "Variable for this part of the result. With none filled in, every part becomes a variable of its own name."
_SUFFIX = ".json"


def template(operation: Operation) -> Json:
    """The element template of one operation."""
    return {
        "$schema": SCHEMA,
        "name": operation.title,
        "id": operation.name,
        "description": _description(operation),
        "category": {"id": operation.group, "name": _words(operation.group)},
        "keywords": sorted({operation.name, *operation.name.replace("_", ".").split(".")}),
        "appliesTo": ["bpmn:Task", "bpmn:ServiceTask"],
        "elementType": {"value": "bpmn:ServiceTask"},
        "groups": _GROUPS,
        "properties": [
            {
                "type": "Hidden",
                "value": operation.name,
                "binding": {"type": "zeebe:taskDefinition", "property": "type"},
            },
            *(_parameter(name, field) for name, field in operation.params.model_fields.items()),
            *(_result(name, field) for name, field in operation.result.model_fields.items()),
            {
                "id": "retries",
                "label": "Retries",
                "description": "How often a technical failure is tried again before it becomes an incident",
                "type": "String",
                "group": "failures",
                "value": "3",
                "binding": {"type": "zeebe:taskDefinition", "property": "retries"},
                "constraints": {
                    "notEmpty": True,
                    "pattern": {"value": "^([0-9]|10)$", "message": "A number from 0 to 10"},
                },
            },
        ],
    }


def write(folder: Path, operations: Registry = registry) -> list[str]:
    """Make `folder` hold exactly the templates of the operations; the names of the files that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = stale(folder, operations)
    wanted = _files(operations)
    for name in changed:
        if name in wanted:
            (folder / name).write_bytes(wanted[name])
        else:
            (folder / name).unlink()
    return changed


def stale(folder: Path, operations: Registry = registry) -> list[str]:
    """The files of `folder` that are missing, differ, or belong to no operation any more."""
    wanted = _files(operations)
    found = {path.name: path.read_bytes() for path in sorted(folder.glob(f"*{_SUFFIX}"))}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def _files(operations: Registry) -> Mapping[str, bytes]:
    return {
        f"{operation.name}{_SUFFIX}": orjson.dumps(
            template(operation), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
        for operation in operations
    }


def _description(operation: Operation) -> str:
    first = " ".join(operation.description.split())
    errors = ", ".join(f"{code} ({meaning})" for code, meaning in operation.errors.items())
    return f"{first} Errors to catch: {errors}." if errors else first


def _parameter(name: str, field: FieldInfo) -> Json:
    shown: Json = {
        "id": f"input_{name}",
        "label": field.title or _words(name),
        "group": "parameters",
        "binding": {"type": "zeebe:input", "name": name},
        **_input(field.annotation),
    }
    if field.description:
        shown["description"] = field.description
    if field.is_required():
        shown["constraints"] = {"notEmpty": True}
    default = _default(field)
    if not field.is_required() and (default is None or shown["type"] != "Dropdown"):
        shown["optional"] = True
    if default is not None and shown["type"] == "Dropdown":
        shown["value"] = default
    elif default is not None:
        hint = f"Left empty: {default}"
        shown["description"] = f"{shown['description']}. {hint}" if "description" in shown else hint
    return shown


def _input(annotation: Any) -> Json:
    """Type, choices and whether an expression may or must stand there."""
    plain = _without_none(annotation)
    choices = _choices(plain)
    if choices:
        return {"type": "Dropdown", "choices": [{"name": _words(choice), "value": choice} for choice in choices]}
    if plain is bool or plain is int:
        return {"type": "String", "feel": "required" if plain is bool else "optional"}
    if plain is str:
        return {"type": "String", "feel": "optional"}
    return {"type": "Text", "feel": "required"}


def _result(name: str, field: FieldInfo) -> Json:
    label = field.title or _words(name)
    return {
        "id": f"output_{name}",
        "label": label,
        "description": f"{field.description}. {_KEEP_ALL}" if field.description else _KEEP_ALL,
        "type": "String",
        "group": "result",
        "optional": True,
        "binding": {"type": "zeebe:output", "source": f"={name}"},
    }


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    options = [option for option in typing.get_args(annotation) if option is not type(None)]
    return options[0] if len(options) == 1 else annotation


def _choices(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is Literal:
        return [str(value) for value in typing.get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(member.value) for member in annotation]
    return []


def _default(field: FieldInfo) -> str | None:
    """A fixed default as a diagram would write it; None when there is none or it is empty."""
    value = field.get_default()
    if field.is_required() or field.default_factory is not None or value in (None, "", [], {}, ()):
        return None
    if isinstance(value, enum.Enum):
        return str(value.value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(name: str) -> str:
    """`customer_is_new` as people write it."""
    return name.replace("_", " ").replace(".", " ").capitalize()
