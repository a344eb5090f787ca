"""What a decision found, told for the journal: small enough to be kept for ever, and read by who reviews a payment."""

from typing import Any, Final

import orjson

from app.decisions import Evaluation
from app.feel import to_json

#: Bytes of one explanation, and how far decisions that require each other are told inside each other.
_MAX_EXPLAINED: Final = 20_000
_MAX_NESTED: Final = 20
_NOTE_BYTES: Final = 200
_SHORTENED: Final = "What it read and what came out is too long to be kept."
_LEFT_OUT: Final = "Further decisions it required are not kept."


def explained(made: Evaluation) -> dict[str, Any]:
    """A decision for the journal: what it read, which rules held, what came out, and the decisions it asked, each once.

    `note` says where something is left out, for values may be large. FeelError for values beyond JSON.
    """
    return _told(made, {made.decision}, [_MAX_EXPLAINED - _NOTE_BYTES], 1)


def _told(made: Evaluation, told: set[str], left: list[int], depth: int) -> dict[str, Any]:
    """`left` is how many bytes may still be written: a list of one number, the same for the whole walk."""
    rules = [{"index": r.index, "rule": r.rule, "annotation": r.annotation} for r in made.matched]
    found = {"decision": made.decision, "inputs": to_json(dict(made.inputs)), "matched": rules}
    found["output"] = to_json(made.output)
    size = len(orjson.dumps(found))
    if size > left[0]:
        found = {"decision": made.decision[:_NOTE_BYTES], "note": _SHORTENED}
        size = len(orjson.dumps(found))
    left[0] -= size
    inner = []
    for required in made.required:
        if required.decision in told:
            continue
        if left[0] < 2 * _NOTE_BYTES or depth == _MAX_NESTED:
            found["note"] = _LEFT_OUT
            left[0] -= _NOTE_BYTES
            break
        told.add(required.decision)
        inner.append(_told(required, told, left, depth + 1))
    if inner:
        found["required"] = inner
    return found
