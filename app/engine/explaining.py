"""What the journal keeps of values: small enough to be kept for ever, and read by who reviews a payment.

A decision is told with what it read and found, an element with the variables it wrote.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from app.decisions import Evaluation
from app.feel import TooLarge, to_json

#: Bytes of one explanation, and how far decisions that require each other are told inside each other.
_MAX_EXPLAINED: Final = 20_000
_MAX_NESTED: Final = 20
_NOTE_BYTES: Final = 200
#: What `to_json` counts for a byte at most: an item is twenty, and two bytes when it is a digit and a comma.
_COUNTED: Final = 10
_SHORTENED: Final = "What it read and what came out is too long to be kept."
#: Bytes of one variable's value, and of all that one element wrote.
_MAX_VALUE: Final = 1_000
_MAX_WRITTEN: Final = 10_000
_LEFT_OUT: Final = "Further decisions it required are not kept."


def explained(made: Evaluation) -> dict[str, Any]:
    """A decision for the journal: what it read, which rules held, what came out, and the decisions it asked, each once.

    `note` says where something is left out, for values may be large. FeelError for those that JSON cannot hold.
    """
    return _told(made, {made.decision}, [_MAX_EXPLAINED - _NOTE_BYTES], 1)


def _told(made: Evaluation, told: set[str], left: list[int], depth: int) -> dict[str, Any]:
    """`left` is how many bytes may still be written: a list of one number, the same for the whole walk."""
    found = _whole(made, left[0]) or {"decision": made.decision[:_NOTE_BYTES], "note": _SHORTENED}
    left[0] -= len(orjson.dumps(found))
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


def _whole(made: Evaluation, most: int) -> dict[str, Any] | None:
    """A decision without those it required; None when it has more bytes than these."""
    rules = [{"index": r.index, "rule": r.rule, "annotation": r.annotation} for r in made.matched]
    try:
        inputs, output = to_json(dict(made.inputs), most * _COUNTED), to_json(made.output, most * _COUNTED)
    except TooLarge:
        return None
    found = {"decision": made.decision, "inputs": inputs, "matched": rules, "output": output}
    return found if len(orjson.dumps(found)) <= most else None


def written(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Variables for the journal: `wrote` has their values, `large` the bytes of those that are too long to be kept."""
    kept, large, left = dict[str, Any](), dict[str, int](), _MAX_WRITTEN
    for name, value in variables.items():
        text = orjson.dumps(value)
        if len(text) <= min(_MAX_VALUE, left):
            kept[name] = orjson.loads(text)
            left -= len(text)
        else:
            large[name] = len(text)
    return {"wrote": kept, **({"large": large} if large else {})}
