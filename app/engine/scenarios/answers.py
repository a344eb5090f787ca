"""What operations answer in a scenario: which answer is meant for a call, and that it is one the operation can give."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from app.engine.scenarios.library import Library
from app.engine.scenarios.model import Answer
from app.operations import Operation


def keys_for(library: Library, started: str, process: str, element: str, operation: str) -> list[str]:
    """The keys under which the answers for a call may stand, the most exact first."""
    mine = any(owner == process for owner, _ in library.named(started, element))
    return [f"{process}/{element}", *([element] if mine else []), operation]


def operations_of(library: Library, started: str, key: str) -> list[Operation]:
    """Whose answers stand under `key`: the operation it names, or those of the elements it names; empty if none."""
    if key in library.operations:
        return [library.operations.get(key)]
    names = {element.operation for _, element in library.named(started, key) if element.operation}
    return [library.operations.get(name) for name in sorted(names) if name in library.operations]


def result_of(operation: Operation, answer: Answer, default: Answer | None) -> tuple[dict[str, Any], list[str]]:
    """The whole result as JSON, and what is wrong with it as sentences."""
    base = default.result or {} if default is not None else {}
    try:
        result = operation.result.model_validate({**base, **(answer.result or {})})
    except ValidationError as error:
        return {}, [_sentence(operation, item["loc"], item["type"], item["msg"]) for item in error.errors()]
    return result.model_dump(mode="json"), []


def default_for(operation: Operation, keys: list[str], defaults: Mapping[str, Answer]) -> Answer | None:
    """The default under the most exact key; an operation whose result needs nothing may go without."""
    for key in keys:
        if key in defaults:
            return defaults[key]
    needed = any(field.is_required() for field in operation.result.model_fields.values())
    return None if needed else Answer(result={})


def _sentence(operation: Operation, place: tuple[int | str, ...], kind: str, message: str) -> str:
    field = ".".join(str(part) for part in place)
    known = ", ".join(operation.result.model_fields) or "no fields"
    if kind == "extra_forbidden":
        return f"{operation.name} does not answer {field!r}; it answers {known}"
    if kind == "missing":
        return f"{operation.name} always answers {field!r}; give it here or in the defaults"
    return f"{operation.name} answers {field!r}: {message}"
