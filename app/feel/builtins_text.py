"""Standard functions on texts. Lengths and positions count Unicode characters."""

from typing import Any

from app.feel.numbers import integer
from app.feel.registry import function
from app.feel.scope import Run


@function("substring", "string: string", "start position: number", "length?: number")
def substring(_run: Run, text: str, start: Any, length: Any = None) -> str | None:
    position = integer(start)
    size = len(text) if length is None else integer(length)
    if not position or abs(position) > len(text) or size is None or size < 1:
        return None
    first = position - 1 if position > 0 else len(text) + position
    return text[first : first + size]


@function("string length", "string: string")
def string_length(_run: Run, text: str) -> int:
    return len(text)


@function("upper case", "string: string")
def upper_case(_run: Run, text: str) -> str:
    return text.upper()


@function("lower case", "string: string")
def lower_case(_run: Run, text: str) -> str:
    return text.lower()


@function("substring before", "string: string", "match: string")
def substring_before(_run: Run, text: str, match: str) -> str:
    return text.partition(match)[0] if match and match in text else ""


@function("substring after", "string: string", "match: string")
def substring_after(_run: Run, text: str, match: str) -> str:
    return text.partition(match)[2] if match else text


@function("contains", "string: string", "match: string")
def contains(_run: Run, text: str, match: str) -> bool:
    return match in text


@function("starts with", "string: string", "match: string")
def starts_with(_run: Run, text: str, match: str) -> bool:
    return text.startswith(match)


@function("ends with", "string: string", "match: string")
def ends_with(_run: Run, text: str, match: str) -> bool:
    return text.endswith(match)


@function("string join", "list: list", "delimiter?: string?")
def string_join(run: Run, items: list[Any], delimiter: str | None = None) -> str | None:
    """Joins the texts of a list; nulls are left out, anything else makes the result null."""
    texts = [item for item in items if item is not None]
    if any(type(text) is not str for text in texts):
        return None
    run.charge(sum(len(text) for text in texts) // 64)
    return (delimiter or "").join(texts)
