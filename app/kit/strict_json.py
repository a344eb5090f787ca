"""Reading JSON without mercy: what two parsers could understand differently, or PostgreSQL could not store, is refused.

Refused: duplicate keys, NaN and infinities, numbers beyond 64 bits, deep nesting, NUL and lone surrogates, and card
numbers in full. Every refusal names the field and never repeats its value.
"""

import json
import math
from collections import Counter
from typing import Any, NoReturn

from app.errors import AppError, FieldError, InvalidInput
from app.kit.pan import CardNumberRefused, contains_card_number

MAX_DEPTH = 50
_LARGEST = 2**63 - 1
# A number of fewer digits is an amount in minor units; nearly all cards have fifteen or more.
_SHORTEST_CARD_NUMBER = 10**14


class MalformedJson(AppError):
    code = "malformed_json"
    title = "The body is not JSON"
    status = 400


class RefusedJson(InvalidInput):
    code = "refused_json"
    title = "The JSON holds something that is not accepted"


def parse(raw: bytes) -> Any:
    """The value of `raw` (UTF-8); MalformedJson, RefusedJson or CardNumberRefused."""
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_real,
        )
    except UnicodeDecodeError:
        raise MalformedJson("The body must be UTF-8") from None
    except json.JSONDecodeError as error:
        raise MalformedJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        _refuse("", f"is nested deeper than {MAX_DEPTH} levels", "too_deep")
    _inspect(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        _refuse(_printable(twice), "is given twice", "duplicate_key")
    return result


def _constant(text: str) -> NoReturn:
    _refuse("", f"{text} is not a number in JSON", "not_a_number")


def _integer(text: str) -> int:
    # Twenty characters hold every 64-bit number; longer texts are not even converted.
    value = int(text) if len(text) <= 20 else _LARGEST + 1
    if not -_LARGEST <= value <= _LARGEST:
        _refuse("", "a number is too large", "number_too_large")
    return value


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse("", "a number is too large", "number_too_large")
    return value


def _inspect(root: Any) -> None:
    """Walk all values without recursion; `path` is the dotted path of a value."""
    stack: list[tuple[str, Any, int]] = [("", root, 1)]
    while stack:
        path, value, depth = stack.pop()
        if isinstance(value, str):
            _inspect_text(path, value)
        elif isinstance(value, int) and value >= _SHORTEST_CARD_NUMBER:
            _inspect_text(path, str(value))
        elif isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                _refuse(path[:200], f"is nested deeper than {MAX_DEPTH} levels", "too_deep")
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                if isinstance(key, str):
                    _inspect_text(path, key)
                stack.append((f"{path}.{key}" if path else str(key), item, depth + 1))


def _inspect_text(path: str, text: str) -> None:
    if "\x00" in text:
        _refuse(path, "must not contain the character NUL", "nul")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        _refuse(path, "must not contain half of a surrogate pair", "lone_surrogate")
    if contains_card_number(text):
        message = "looks like a card number; send a token of the gateway instead"
        raise CardNumberRefused(errors=[FieldError(path, message, "card_number")])


def _printable(key: str) -> str:
    return key.encode("ascii", "backslashreplace").decode()[:200]


def _refuse(field: str, message: str, code: str) -> NoReturn:
    raise RefusedJson(f"{field or 'The body'}: {message}", errors=[FieldError(field, message, code)])
