"""Standard functions on contexts, and the two on truth and identity."""

from datetime import datetime, time
from typing import Any

from app.feel.registry import function
from app.feel.scope import Run
from app.feel.values import NUMBERS, equal, volume


@function("not", "negand: Any")
def not_(_run: Run, negand: Any) -> bool | None:
    return not negand if type(negand) is bool else None


@function("is", "value1: Any", "value2: Any")
def is_(run: Run, value1: Any, value2: Any) -> bool:
    """Same type and same value; for times also the same form of the zone."""
    if value1 is None or value2 is None:
        return value1 is value2
    if type(value1) is not type(value2) and not (type(value1) in NUMBERS and type(value2) in NUMBERS):
        return False
    if type(value1) is datetime or type(value1) is time:
        clocks = value1.replace(tzinfo=None) == value2.replace(tzinfo=None)
        return clocks and str(value1.tzinfo) == str(value2.tzinfo)
    run.charge(min(volume(value1), volume(value2)) // 8)
    return equal(value1, value2) is True


@function("get value", "m: context", "key: string")
def get_value(_run: Run, m: dict[str, Any], key: str) -> Any:
    return m.get(key)


@function("get value", "context: context", "keys: list")
def get_value_at(_run: Run, context: dict[str, Any], keys: list[Any]) -> Any:
    value: Any = context
    for key in keys:
        if type(value) is not dict or type(key) is not str:
            return None
        value = value.get(key)
    return value if keys else None


@function("get entries", "m: context")
def get_entries(_run: Run, m: dict[str, Any]) -> list[Any]:
    return [{"key": key, "value": value} for key, value in m.items()]


@function("context", "entries: list")
def context(_run: Run, entries: list[Any]) -> dict[str, Any] | None:
    built: dict[str, Any] = {}
    for entry in entries:
        key = entry.get("key") if type(entry) is dict else None
        if type(key) is not str or "value" not in entry or key in built:
            return None
        built[key] = entry["value"]
    return built


@function("context put", "context: context", "key: string", "value: Any")
def context_put(_run: Run, context: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    return {**context, key: value}


@function("context put", "context: context", "keys: list", "value: Any")
def context_put_at(run: Run, context: dict[str, Any], keys: list[Any], value: Any) -> dict[str, Any] | None:
    key = keys[0] if keys else None
    if type(key) is not str:
        return None
    if len(keys) == 1:
        return {**context, key: value}
    inner = context.get(key)
    if type(inner) is not dict:
        return None
    changed = context_put_at(run, inner, keys[1:], value)
    return None if changed is None else {**context, key: changed}


@function("context merge", "contexts: list")
def context_merge(run: Run, contexts: list[Any]) -> dict[str, Any] | None:
    merged: dict[str, Any] = {}
    for entry in contexts:
        if type(entry) is not dict:
            return None
        run.charge(len(entry) // 16)
        merged.update(entry)
    return merged
