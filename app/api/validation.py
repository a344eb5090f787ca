"""From bytes and text to the declared schemas; what is wrong is told by field, and never repeated."""

from typing import Any

from flask import Request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import FileStorage

from app.api.problems import UnsupportedMediaType
from app.api.route import File, Query, Upload
from app.errors import AppError, FieldError, InvalidInput, NotFound
from app.kit import strict_json

_LONGEST_PART = 200

# pydantic's names for what callers of an HTTP API call otherwise.
_CODES = {"missing": "required", "extra_forbidden": "unknown_field"}
_MESSAGES = {"missing": "is required", "extra_forbidden": "is not a field of this request"}


class NoFile(AppError):
    code = "file_required"
    title = "Send a file as the body, or several as multipart/form-data"
    status = 422


def read_json(request: Request, raw: bytes) -> Any:
    """The parsed body; an empty one counts as `{}`."""
    if not raw.strip():
        return {}
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as `Content-Type: application/json`")
    return strict_json.parse(raw)


def body(schema: type[BaseModel], raw: bytes) -> BaseModel:
    """`raw` was read by `read_json` before, so this sees only unambiguous JSON."""
    try:
        return schema.model_validate_json(raw if raw.strip() else b"{}")
    except ValidationError as error:
        raise _refused("The body is not valid", error) from None


def query(schema: type[Query], request: Request, *, ignored: frozenset[str] = frozenset()) -> Query:
    values: dict[str, str] = {}
    for name, given in request.args.lists():
        if name in ignored:
            continue
        if len(given) > 1 or "\x00" in given[0]:
            message = "is given more than once" if len(given) > 1 else "must not contain the character NUL"
            raise InvalidInput(f"{name[:60]!r} {message}", errors=[FieldError(name[:60], message)])
        values[name] = given[0]
    try:
        return schema.model_validate_strings(values)
    except ValidationError as error:
        raise _refused("The query is not valid", error) from None


def path_parts(parts: dict[str, str]) -> dict[str, str]:
    """Ids as they are; what can be nobody's id is not found rather than an error of the database."""
    for value in parts.values():
        if "\x00" in value or len(value) > _LONGEST_PART:
            raise NotFound
    return parts


def _read(part: FileStorage) -> File:
    """The whole file, each time it is asked for: a request may be tried again."""
    part.stream.seek(0)
    return File(part.filename or part.name or "", part.read())


def files(upload: Upload, request: Request, raw: bytes) -> list[File]:
    """The one file that is the body, or all files of a form, in their order."""
    if request.mimetype == "multipart/form-data":
        found = [_read(part) for _, part in request.files.items(multi=True)]
    elif request.mimetype in upload.media_types:
        found = [File(request.args.get("name", ""), raw)] if raw else []
    else:
        wanted = ", ".join((*upload.media_types, "multipart/form-data"))
        raise UnsupportedMediaType(f"Send one of {wanted}")
    if not found:
        raise NoFile
    return found


def _refused(sentence: str, error: ValidationError) -> InvalidInput:
    found = [
        FieldError(
            ".".join(str(part) for part in item["loc"])[:200],
            _MESSAGES.get(item["type"], item["msg"].removeprefix("Value error, ")),
            _CODES.get(item["type"], item["type"]),
        )
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    named = ", ".join(dict.fromkeys(item.field for item in found if item.field))
    return InvalidInput(f"{sentence}: {named}" if named else sentence, errors=found)
