"""A value in a diagram: FEEL when it starts with `=`, else the text itself.

This is the only way an expression of a diagram is ever evaluated: SpiffWorkflow's own evaluators, which run Python, are
closed in `closed.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from app.feel import Expression, FeelError, compile_expression, to_json

_SHOWN = 80


def copied(value: Any) -> Any:
    """A JSON value that shares nothing with the instance: what leaves it may be changed by whoever gets it."""
    return orjson.loads(orjson.dumps(value)) if isinstance(value, dict | list) else value


def shown(value: Any) -> str:
    """As much of a value as a sentence about it needs."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class EvaluationFailed(Exception):
    """An expression has no usable value; the sentence names it and says what was expected."""


@dataclass(frozen=True, slots=True)
class Formula:
    """`text` as drawn; `expression` is None for a literal."""

    text: str
    expression: Expression | None = None

    def evaluate(self, variables: Mapping[str, Any], now: datetime) -> Any:
        """A fresh JSON value: temporal values as ISO text. Raises EvaluationFailed only beyond FEEL's limits."""
        if self.expression is None:
            return self.text
        try:
            return to_json(self.expression.evaluate(variables, now=now))
        except FeelError as error:
            raise EvaluationFailed(error.detail) from None

    def holds(self, variables: Mapping[str, Any], now: datetime) -> bool:
        """A condition: only true is true; null and every other type are not."""
        return self.evaluate(variables, now) is True

    def text_value(self, variables: Mapping[str, Any], now: datetime, what: str) -> str:
        """A non-empty text; whole numbers are written out. Raises EvaluationFailed for anything else."""
        value = self.evaluate(variables, now)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise EvaluationFailed(f"{what} {self.text!r} gives {shown(value)}; a text is needed")

    def texts(self, variables: Mapping[str, Any], now: datetime, what: str) -> tuple[str, ...]:
        """A list of texts; a literal or a text is split at its commas, null is empty."""
        value = self.evaluate(variables, now)
        if value is None:
            return ()
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise EvaluationFailed(f"{what} {self.text!r} gives {shown(value)}; a list of texts is needed")


def formula(text: str) -> Formula:
    """Compiles what stands in a diagram. Raises FeelError."""
    stripped = text.strip()
    if stripped.startswith("="):
        return Formula(stripped, compile_expression(stripped[1:]))
    return Formula(stripped)
