"""Multi-instance: one token, the body, stands for the activity and its border; one more for each item of a collection.

Instances see their item as a local variable. With an output collection only that list leaves the activity, in the order
of the items, null where an instance was cut short.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.engine.driver import Token, assign
from app.engine.elements import Loop
from app.engine.expressions import EvaluationFailed, shown
from app.engine.step import JournalKind

if TYPE_CHECKING:
    from app.engine.specs import Node

#: More than these at once are refused: an instance's state is one row.
ITEM_LIMIT = 1000


def loop_of(token: Token) -> Loop:
    loop = token.element.loop
    assert loop is not None
    return loop


def is_body(token: Token) -> bool:
    return token.element.loop is not None and "body" not in token.internal_data


def open_body(spec: "Node", body: Token) -> bool | None:
    """Start the first or all instances; True where there is nothing to do. Raises EvaluationFailed."""
    loop = loop_of(body)
    items = loop.collection.evaluate(body.context(), body.instance.now)
    if not isinstance(items, list):
        raise EvaluationFailed(f"The input collection {loop.collection.text!r} gives {shown(items)}; a list is needed")
    if len(items) > ITEM_LIMIT:
        raise EvaluationFailed(f"The input collection has {len(items)} items; at most {ITEM_LIMIT} are possible")
    body.internal_data.update(total=len(items), done=0, out=[None] * len(items) if loop.output_collection else [])
    if not items:
        _deliver(body)
        return True
    if loop.sequential:
        body.internal_data["items"] = items
        _spawn(spec, body, 0, items[0])
    else:
        for index, item in enumerate(items):
            _spawn(spec, body, index, item)
    return None


def _spawn(spec: "Node", body: Token, index: int, item: Any) -> None:
    token = body.scope.spawn(spec, body.scope.task_tree)
    token.internal_data.update(body=body.node, index=index)
    token.data = {"loopCounter": index + 1}
    if loop_of(body).item:
        token.data[loop_of(body).item] = item
    spec._update(token)  # noqa: SLF001 - the library's own way


def collect(spec: "Node", token: Token, result: Mapping[str, Any]) -> bool:
    """Take one instance's result; False where it goes to the process as of any activity. Raises EvaluationFailed."""
    loop = loop_of(token)
    if not loop.output_collection:
        return False
    local = dict(token.data)
    if spec.element.outputs:
        for target, value in spec.mapped(token, result):
            assign(local, target, value, local)
    else:
        local.update(result)
    token.data = local
    if loop.output is not None:
        value = loop.output.evaluate(token.context(), token.instance.now)
        token.scope.tasks[token.internal_data["body"]].internal_data["out"][token.internal_data["index"]] = value
    return True


def check_completion(token: Token) -> None:
    """Decide whether this instance ends the whole activity. Raises EvaluationFailed."""
    condition = loop_of(token).completion
    if condition is None:
        return
    body = token.scope.tasks[token.internal_data["body"]]
    total, done = body.internal_data["total"], body.internal_data["done"] + 1
    counters = {
        "numberOfInstances": total,
        "numberOfCompletedInstances": done,
        "numberOfActiveInstances": len(instances(body)) - 1,
    }
    if condition.holds(token.context(counters), token.instance.now):
        token.internal_data["last"] = True


def instance_done(spec: "Node", token: Token) -> None:
    """Go on after one instance: the next item, or the way out."""
    token.note(JournalKind.LEFT)
    body = token.scope.tasks[token.internal_data["body"]]
    info = body.internal_data
    info["done"] += 1
    if token.internal_data.get("last") or info["done"] == info["total"]:
        cancel_instances(body)
        _deliver(body)
        body.complete()
    elif loop_of(body).sequential:
        _spawn(spec, body, info["done"], info["items"][info["done"]])


def instances(body: Token) -> list[Token]:
    return [token for token in body.scope.live() if token.internal_data.get("body") == body.node]


def cancel_instances(body: Token) -> None:
    for token in instances(body):
        token.cancel()


def _deliver(body: Token) -> None:
    loop = loop_of(body)
    if loop.output_collection:
        body.scope.assign(tuple(loop.output_collection.split(".")), list(body.internal_data["out"]))
