"""SpiffWorkflow's workflow, task and script engine, with what they do badly replaced.

A token is a SpiffWorkflow task; its states, `run`, `complete` and `cancel` move it. Different from the library: a token
that is done leaves the tree at once (the tree is the root and what is alive, so it never grows), nothing is predicted,
ready tokens are found by a flat scan, ids are `element#n`, and no Python expression can be reached.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from SpiffWorkflow.bpmn import BpmnWorkflow
from SpiffWorkflow.bpmn.util.subworkflow import BpmnSubWorkflow
from SpiffWorkflow.task import Task
from SpiffWorkflow.util.task import TaskState

from app.engine.closed import ClosedScriptEngine
from app.engine.elements import Assignment, Element
from app.engine.explaining import written
from app.engine.step import Item, JournalEntry, JournalKind, Thrown
from app.engine.timing import ANY_TIME
from app.feel import to_feel, to_json

if TYPE_CHECKING:
    from app.engine.bundle import Bundle
    from app.engine.dialect import Diagram

#: How many tokens may move in one scope within one step of an instance before it is taken for a loop without end. Those
#: of a multi-instance are not counted, for their number is limited, and each has a scope of its own if it holds one.
STEP_LIMIT = 2000
#: The same for all scopes together: loops inside loops, or a thousand items with forty elements each.
TOTAL_LIMIT = 20 * STEP_LIMIT
#: How deep processes may call and sub-processes may nest.
DEPTH_LIMIT = 20
_LIVE = TaskState.DEFINITE_MASK
#: It holds nothing, so one serves every instance.
_CLOSED = ClosedScriptEngine()
#: What comes right after variables were written.
_WRITES = frozenset({JournalKind.LEFT, JournalKind.REPAIRED})
_UNTOLD = object()
_NO_END = f"{STEP_LIMIT} elements ran in one step; check the loop this one is part of"
_TOO_MANY = f"{TOTAL_LIMIT} elements ran in one step; wait in between, or do it for fewer items at once"
_DEAD_END = "No branch that is still alive can reach this gateway; a retry goes on with those that arrived"


class Halt(Exception):
    """A token cannot go on by itself: it becomes an incident. `kind` is one of IncidentReport's."""

    def __init__(self, kind: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.details: dict[str, Any] = to_json(to_feel(dict(details or {})))


class Token(Task):
    """One activation of one element. `data` are its local variables, `internal_data` what it waits for."""

    def __init__(self, scope: "Scope", spec: Any, parent: Any, number: int) -> None:
        super().__init__(scope, spec, parent, state=TaskState.FUTURE, id=f"{scope.prefix}{spec.name}#{number}")
        self.number = number

    @property
    def scope(self) -> "Scope":
        scope: Scope = self.workflow
        return scope

    @property
    def instance(self) -> "Instance":
        return self.scope.instance

    @property
    def element(self) -> Element:
        element: Element = self.task_spec.element
        return element

    @property
    def node(self) -> str:
        node: str = self.id
        return node

    @property
    def incident(self) -> list[Any] | None:
        found: list[Any] | None = self.internal_data.get("incident")
        return found

    @property
    def gone(self) -> bool:
        return self.scope.tasks.get(self.id) is not self

    def _set_state(self, value: int) -> None:
        self._state = value

    def context(self, result: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What an expression at this token sees: the scope's variables, over them its own, over them the result."""
        return {**self.scope.visible(), **self.data, **(result or {})}

    def hold(self, halt: Halt) -> None:
        """Make it an incident, which stays until a retry."""
        self.internal_data["incident"] = [halt.kind, halt.message, halt.details]
        self._set_state(TaskState.STARTED)
        self.note(JournalKind.INCIDENT, kind=halt.kind, message=halt.message)

    def note(self, kind: JournalKind, /, *, actor: str = "", **facts: Any) -> None:
        self.workflow.note(kind, self.task_spec.element.id, self.id, actor=actor, **facts)


class Scope:
    """What a process and a sub-process have in common: variables, counters and live tokens.

    `data` holds what was written here. A sub-process also sees what its parent sees; a called process does not.
    `told` is `data` as the journal knows it. `place` is how the journal names the process and the call activity that
    runs it; both are empty at the top.
    """

    tasks: dict[str, Token]
    data: dict[str, Any]
    told: dict[str, Any]
    spec: Any
    task_tree: Any
    instance: "Instance"
    diagram: "Diagram"
    host: Token | None
    called: bool
    place: tuple[str, str]
    prefix: str
    counts: dict[str, int]
    depth: int
    completed: bool

    def open(self) -> None:
        """Place the first token, at the root."""
        self.plant()
        self.task_tree._set_state(TaskState.READY)  # noqa: SLF001 - the library's own way to force a state

    def plant(self) -> None:
        """Set the root of the tree, under which every live token hangs."""
        self.task_tree = Token(self, self.spec.start, None, 0)
        self.task_tree._set_state(TaskState.COMPLETED)  # noqa: SLF001 - the library's own way to force a state

    def visible(self) -> dict[str, Any]:
        if self.called or self.host is None:
            return self.data
        return {**self.host.context(), **self.data}

    def assign(self, target: tuple[str, ...], value: Any) -> None:
        """Set a variable, or an entry inside a context. Values are replaced, never changed in place."""
        assign(self.data, target, value, self.visible())

    def spawn(self, spec: Any, parent: Token) -> Token:
        """A new token at an element, numbered within its process."""
        number = self.counts.get(spec.name, 0) + 1
        self.counts[spec.name] = number
        return Token(self, spec, parent, number)

    def live(self) -> list[Token]:
        """Every token that is not done, in the order in which they came."""
        root = self.task_tree
        return [token for token in self.tasks.values() if token._state & _LIVE and token is not root]  # noqa: SLF001 - asked all the time

    def note(self, kind: JournalKind, element: str, node: str = "", /, *, actor: str = "", **facts: Any) -> None:
        if kind in _WRITES:
            facts |= self._changes()
        process, scope = self.place
        # By position: a hundred of them for each payment.
        self.instance.journal.append(JournalEntry(kind, element, node, process, scope, actor, facts))

    def _changes(self) -> dict[str, Any]:
        """What was written since the journal was told; the same value again is no change."""
        known = self.told.get
        changed = {
            name: value
            for name, value in self.data.items()
            if (before := known(name, _UNTOLD)) is not value and _differs(before, value)
        }
        if not changed:
            return {}
        self.told.update(changed)
        return written(changed)

    def remove(self, token: Token) -> None:
        """Take a token out of the tree; what it left behind hangs at the root."""
        root = self.task_tree
        root._children = [child for child in root._children if child != token.id]  # noqa: SLF001 - the tree is the library's, there is no public way
        for child in token._children:  # noqa: SLF001 - the tree is the library's, there is no public way
            self.tasks[child].parent = root
            root._children.append(child)  # noqa: SLF001 - the tree is the library's, there is no public way
        self.tasks.pop(token.id, None)

    def _task_completed_notify(self, task: Token) -> None:
        """The library walks the whole tree here; we drop what is done."""
        if task is not self.task_tree:
            self.remove(task)

    def cancel_live(self, *, but: Token | None = None) -> None:
        for token in self.live():
            if token is not but and not token.gone:
                token.cancel()

    def is_completed(self) -> bool:
        """The library counts what its iterator finds, which stops at depth 1000."""
        return self.completed


def _differs(known: object, value: object) -> bool:
    return type(known) is not type(value) or known != value


def assign(data: dict[str, Any], target: tuple[str, ...], value: Any, seen: Mapping[str, Any]) -> None:
    """Set `target` in `data`; a context on the way is copied from what is seen, and made where there is none."""
    data[target[0]] = value if len(target) == 1 else _placed(seen.get(target[0]), target[1:], value)


def _placed(old: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    inside = old if isinstance(old, dict) else {}
    return {**inside, path[0]: _placed(inside.get(path[0]), path[1:], value)}


class SubScope(Scope, BpmnSubWorkflow):
    """An embedded sub-process or a called process, run by its host token."""

    def __init__(self, instance: "Instance", host: Token, diagram: "Diagram", spec: Any) -> None:
        self.instance = instance
        self.diagram = diagram
        self.host = host
        self.called = host.element.kind == "callActivity"
        self.place = (diagram.process, host.node) if self.called else host.scope.place
        self.prefix = f"{host.node}/" if self.called else host.scope.prefix
        self.counts = {} if self.called else host.scope.counts
        self.told = {}
        super().__init__(spec, parent_task_id=host.id, top_workflow=instance, deserializing=True)

    def _calculate_depth(self) -> int:
        assert self.host is not None
        return self.host.scope.depth + 1


class Instance(Scope, BpmnWorkflow):
    """A running process with everything inside it."""

    def __init__(self, bundle: "Bundle") -> None:
        self.bundle = bundle
        self.instance = self
        self.diagram = bundle.diagrams[bundle.process]
        self.host = None
        self.called = True
        self.place = ("", "")
        self.prefix = ""
        self.counts = {}
        self.told = {}
        self.journal: list[JournalEntry] = []
        self.thrown: list[Thrown] = []
        self.stale: list[Item] = []
        self.now = ANY_TIME
        self.begin_step()
        self.outcome = ""
        super().__init__(self.diagram.spec, script_engine=_CLOSED, deserializing=True)

    def subscope(self, token: Token) -> SubScope | None:
        found: SubScope | None = self.subprocesses.get(token.id)
        return found

    def enter_scope(self, host: Token, diagram: "Diagram", spec: Any) -> SubScope:
        """The scope run by `host`, empty."""
        scope = SubScope(self, host, diagram, spec)
        if scope.depth > DEPTH_LIMIT:
            raise Halt("step_limit", f"Processes call each other more than {DEPTH_LIMIT} deep; remove the circle")
        self.subprocesses[host.id] = scope
        return scope

    def scopes(self) -> list[Scope]:
        """The process and every scope inside it, parents first, in the order of their tokens."""
        return self._within(self) if self.subprocesses else [self]

    def _within(self, scope: Scope) -> list[Scope]:
        found = [scope]
        for node in scope.tasks:
            inner = self.subprocesses.get(node)
            if inner is not None:
                found += self._within(inner)
        return found

    def tokens(self) -> Iterator[Token]:
        for scope in self.scopes():
            yield from scope.live()

    def find(self, node: str) -> Token | None:
        for scope in self.scopes():
            token = scope.tasks.get(node)
            if token is not None and token is not scope.task_tree:
                return token
        return None

    def run(self, *, timers: bool) -> None:
        """Move tokens until nothing can. A loop without end becomes an incident at the token that would go next."""
        while True:
            token = self._ready(self)
            if token is None:
                if self.completed:
                    return
                if self._settle() or (timers and self._fire_next()):
                    continue
                self._find_dead_ends()
                return
            if token is not token.scope.task_tree and not self._count(token):
                return
            token.run()

    def _ready(self, scope: Scope) -> Token | None:
        """The first that is ready in the scope, then in those inside it; plain, for it is asked before every move."""
        for token in scope.tasks.values():
            if token._state == TaskState.READY:  # noqa: SLF001 - a flat scan; the library's stops at depth 1000
                return token
        if self.subprocesses:
            for node in scope.tasks:
                inner = self.subprocesses.get(node)
                if inner is not None and (found := self._ready(inner)) is not None:
                    return found
        return None

    def _settle(self) -> bool:
        """With nothing ready: close scopes with nothing left, pass joins that need not wait any longer."""
        for scope in reversed(self.scopes()):
            if scope.completed:
                continue
            live = scope.live()
            if not live:
                self._close(scope)
                return True
            if any(token.task_spec.settle(token, live) for token in live if token.incident is None):
                return True
        return False

    def _find_dead_ends(self) -> None:
        for scope in self.scopes():
            waiting = [token for token in scope.tasks.values() if token._state == TaskState.WAITING]  # noqa: SLF001 - a flat scan
            live = scope.live() if waiting else []
            for token in waiting:
                if token is not scope.task_tree and token.task_spec.stuck(token, live):
                    token.hold(Halt("deadlock", _DEAD_END))

    def _fire_next(self) -> bool:
        due = [token for token in self.tokens() if token.incident is None and "due" in token.internal_data]
        due = [token for token in due if datetime.fromisoformat(token.internal_data["due"]) <= self.now]
        if not due:
            return False
        first = min(due, key=lambda token: datetime.fromisoformat(token.internal_data["due"]))
        if not self._count(first):
            return False
        first.task_spec.fire(first)
        return True

    def begin_step(self) -> None:
        """Nothing has moved yet."""
        self.steps = 0
        self.moves: dict[str, int] = {}

    def _count(self, token: Token) -> bool:
        """Count a move; one too many makes an incident of the token instead."""
        scope = token.scope.host.node if token.scope.host is not None else ""
        if "body" not in token.internal_data:
            self.moves[scope] = self.moves.get(scope, 0) + 1
        self.steps += 1
        if self.steps > TOTAL_LIMIT or self.moves.get(scope, 0) > STEP_LIMIT:
            token.hold(Halt("step_limit", _TOO_MANY if self.steps > TOTAL_LIMIT else _NO_END))
            return False
        return True

    def _close(self, scope: Scope) -> None:
        scope.completed = True
        if scope.host is None:
            self.end("completed")
            return
        scope.host.task_spec.inner_done(scope.host, scope)

    def end(self, outcome: str, *, actor: str = "", **facts: Any) -> None:
        self.completed = True
        self.outcome = outcome
        self.note(JournalKind.ENDED, self.diagram.process, actor=actor, outcome=outcome, **facts)

    def evaluate_all(self, mappings: tuple[Assignment, ...], context: dict[str, Any]) -> dict[str, Any]:
        """What input mappings make: fresh local variables."""
        local: dict[str, Any] = {}
        seen = dict(context)
        for mapping in mappings:
            value = mapping.source.evaluate(seen, self.now)
            assign(local, mapping.target, value, local)
            assign(seen, mapping.target, value, seen)
        return local
