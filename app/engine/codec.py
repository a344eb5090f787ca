"""The state of an instance as bytes: variables, counters and live tokens, nested as the scopes are, and nothing else.

A token is `[element, number, state, local variables, what it waits for, inner scope]`, cut after the last that is not
empty. Data pass through as plain JSON: no key in them means anything here.
"""

from typing import Any

import orjson
from SpiffWorkflow.util.task import TaskState

from app.engine.bundle import Bundle
from app.engine.driver import Instance, Scope, Token
from app.errors import AppError

VERSION = 1
_STATES = frozenset({TaskState.READY, TaskState.WAITING, TaskState.STARTED})


class UnreadableState(AppError):
    """The bytes are no state of this bundle: written by another version, or for another diagram."""

    code = "unreadable_state"
    title = "The instance's state cannot be read"
    status = 500


def dump(instance: Instance) -> bytes:
    """Equal instances give equal bytes."""
    state = _scope(instance)
    if instance.counts:
        state["c"] = instance.counts
    if instance.completed:
        state["e"] = instance.outcome
    return orjson.dumps({"v": VERSION, **state})


def _scope(scope: Scope) -> dict[str, Any]:
    found: dict[str, Any] = {"d": scope.data, "t": [_token(token) for token in scope.live()]}
    if scope.task_tree.has_state(TaskState.READY):
        found["r"] = 1
    return found


def _token(token: Token) -> list[Any]:
    inner = token.instance.subscope(token)
    found: list[Any] = [token.element.id, token.number, token.state]
    found.extend((token.data or None, token.internal_data or None, None))
    if inner is not None:
        found[5] = _scope(inner)
        if inner.called:
            found[5]["c"] = inner.counts
    while found[-1] is None:
        found.pop()
    return found


def load(bundle: Bundle, state: bytes) -> Instance:
    """Raises UnreadableState."""
    try:
        found = orjson.loads(state)
        if found["v"] != VERSION:
            raise UnreadableState(f"The state has version {found['v']}, this program reads version {VERSION}")
        instance = Instance(bundle)
        _fill(instance, found)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UnreadableState(f"The state does not fit {bundle.process}: {error!r}") from None
    if "e" in found:
        instance.completed = True
        instance.outcome = found["e"]
    return instance


def _fill(scope: Scope, state: dict[str, Any]) -> None:
    scope.data = state["d"]
    scope.counts.update(state.get("c", {}))
    scope.plant()
    # Before its first element nothing was told.
    scope.told = {} if "r" in state else dict(scope.data)
    if "r" in state:
        scope.task_tree._set_state(TaskState.READY)  # noqa: SLF001 - the library's own way to force a state
    for entry in state["t"]:
        _restore(scope, *entry)


def _restore(
    scope: Scope,
    element: str,
    number: int,
    state: int,
    data: dict[str, Any] | None = None,
    info: dict[str, Any] | None = None,
    inner: dict[str, Any] | None = None,
) -> None:
    if state not in _STATES:
        raise ValueError(f"token {element} has the state {state}")
    token = Token(scope, scope.spec.task_specs[element], scope.task_tree, number)
    token._set_state(state)  # noqa: SLF001 - the library's own way to force a state
    token.data = data or {}
    token.internal_data = info or {}
    if inner is not None:
        _fill(scope.instance.enter_scope(token, *token.task_spec.inside(token)), inner)
