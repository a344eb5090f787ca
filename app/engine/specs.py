"""SpiffWorkflow task specs that mean what the dialect says: the common node, and the gateways.

A node's life: a flow brings a token (`arrive`), the library makes it ready and runs it (`enter`), and when it
completes it takes its flows. `enter` gives True when the token is done at once, None when it rests STARTED.
"""

from collections.abc import Mapping
from typing import Any

from SpiffWorkflow.bpmn.specs.bpmn_process_spec import BpmnProcessSpec
from SpiffWorkflow.bpmn.specs.control import BpmnStartTask
from SpiffWorkflow.bpmn.specs.mixins.bpmn_spec_mixin import BpmnSpecMixin
from SpiffWorkflow.util.task import TaskState

from app.engine.driver import Halt, Scope, Token, assign
from app.engine.elements import Element, Flow
from app.engine.expressions import EvaluationFailed
from app.engine.step import JournalKind


class Origin(BpmnStartTask):
    """The root of a scope's tree; its name cannot be an element's id."""

    def __init__(self, spec: Any) -> None:
        super().__init__(spec, "#start")

    def _run_hook(self, token: Token) -> bool:
        if token.scope.host is None:
            token.scope.note(JournalKind.STARTED, token.scope.diagram.process)
        return True

    def _on_complete_hook(self, token: Token) -> None:
        for spec in self.outputs:
            token.scope.spawn(spec, token)


class ProcessSpec(BpmnProcessSpec):
    """A process without the library's own Start, End and EndJoin, whose names could be element ids."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.task_specs.clear()
        self.start = Origin(self)
        self.end = None


class Node(BpmnSpecMixin):
    """Any element. `upstream` tells for each flow into a join which elements can still send a token along it."""

    def __init__(
        self,
        wf_spec: Any,
        bpmn_id: str,
        *,
        element: Element,
        flows: Mapping[str, Flow],
        upstream: Mapping[str, frozenset[str]],
    ) -> None:
        super().__init__(wf_spec, bpmn_id, bpmn_name=element.name, lane=element.lane)
        self.element = element
        self.flows = tuple(flows[identity] for identity in element.outgoing)
        self.upstream = {identity: upstream[identity] for identity in element.incoming if identity in upstream}

    def arrive(self, origin: Token, flow: Flow) -> None:  # noqa: ARG002 - joins ask which flow
        """A token comes along `flow`."""
        origin.scope.spawn(self, origin)

    def enter(self, token: Token) -> bool | None:  # noqa: ARG002 - most elements look at it
        return True

    def begin(self, token: Token) -> bool | None:
        return self.enter(token)

    def chosen(self, token: Token) -> tuple[Flow, ...]:
        """The flows a completed token takes: all, unless a gateway chose when the token entered."""
        taken = token.internal_data.get("take")
        return self.flows if taken is None else tuple(flow for flow in self.flows if flow.id in taken)

    def settle(self, token: Token, live: list[Token]) -> bool:  # noqa: ARG002 - joins look at both
        """Called when nothing is ready: True if this token could be moved after all."""
        return False

    def finish(self, token: Token, result: Mapping[str, Any]) -> None:
        """Complete a resting token with a result; where that fails, the result is kept for the retry."""
        try:
            self.absorb(token, result)
        except EvaluationFailed as error:
            token.internal_data["result"] = dict(result)
            token.hold(Halt("expression", str(error)))
            return
        token.complete()

    def absorb(self, token: Token, result: Mapping[str, Any]) -> None:
        """Output mappings, or all of the result where none is drawn. All or nothing."""
        outputs = self.element.outputs
        if not outputs:
            token.scope.data.update(result)
            return
        for target, value in self.mapped(token, result):
            token.scope.assign(target, value)

    def mapped(self, token: Token, result: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
        """What the output mappings give; a later one sees the targets of the earlier ones."""
        context = token.context(result)
        found = []
        for mapping in self.element.outputs:
            value = mapping.source.evaluate(context, token.instance.now)
            found.append((mapping.target, value))
            assign(context, mapping.target, value, context)
        return found

    def retry(self, token: Token) -> None:
        """Repair an incident: finish with the result that is there, else enter again."""
        del token.internal_data["incident"]
        result = token.internal_data.pop("result", None)
        if result is not None:
            self.finish(token, result)
        else:
            token._set_state(TaskState.READY)  # noqa: SLF001 - without being counted as entered twice

    def _update(self, token: Token) -> None:
        """The library predicts what may come next here, too."""
        if self._update_hook(token):
            token._ready()  # noqa: SLF001 - the library's own way

    def _update_hook(self, token: Token) -> bool:  # noqa: ARG002 - the library's name and shape
        return True

    def _on_ready(self, token: Token) -> None:
        """The library looks up every flow that comes in here, to see that there is one."""
        self._on_ready_hook(token)

    def _on_ready_hook(self, token: Token) -> None:
        token.note(JournalKind.ENTERED)

    def _run_hook(self, token: Token) -> bool | None:
        try:
            return self.begin(token)
        except EvaluationFailed as error:
            token.hold(Halt("expression", str(error)))
        except Halt as halt:
            token.hold(halt)
        return None

    def _on_complete_hook(self, token: Token) -> None:
        token.note(JournalKind.LEFT)
        for flow in self.chosen(token):
            take(token, flow)

    def _on_cancel(self, token: Token) -> None:
        token.note(JournalKind.CANCELED)
        token.scope.remove(token)


def take(token: Token, flow: Flow) -> None:
    """Send a token along a flow."""
    token.scope.note(JournalKind.TAKEN, flow.id)
    token.scope.spec.task_specs[flow.target].arrive(token, flow)


class ExclusiveGateway(Node):
    """The first flow in document order whose condition is true, else the default."""

    def enter(self, token: Token) -> bool:
        token.internal_data["take"] = [self._choose(token).id]
        return True

    def _choose(self, token: Token) -> Flow:
        context = token.context()
        default = None
        for flow in self.flows:
            if flow.id == self.element.default or (flow.condition is None and len(self.flows) == 1):
                default = flow
            elif flow.condition is not None and flow.condition.holds(context, token.instance.now):
                return flow
        if default is None:
            raise Halt("expression", f"No condition at gateway {self.element.id} is true and it has no default flow")
        return default


class Join(Node):
    """A gateway with several flows in: one waiting token counts what arrived along each of them.

    More than one token on a flow waits for the next round, as BPMN says; the library would lose it.
    """

    def arrive(self, origin: Token, flow: Flow) -> None:
        if len(self.element.incoming) < 2:
            super().arrive(origin, flow)
            return
        waiting = self._waiting(origin.scope)
        if waiting is None:
            waiting = origin.scope.spawn(self, origin)
            waiting.internal_data["got"] = {}
        got = waiting.internal_data["got"]
        waiting.internal_data["got"] = {**got, flow.id: got.get(flow.id, 0) + 1}
        if waiting.has_state(TaskState.WAITING):
            self._update(waiting)

    def _waiting(self, scope: Scope) -> Token | None:
        for token in scope.live():
            if token.task_spec is self and "got" in token.internal_data:
                return token
        return None

    def _update_hook(self, token: Token) -> bool:
        if len(self.element.incoming) < 2 or self.complete(token):
            return True
        token._set_state(TaskState.WAITING)  # noqa: SLF001 - the library's own way
        return False

    def complete(self, token: Token) -> bool:
        """Whether everything that must arrive has arrived."""
        return all(token.internal_data["got"].get(flow) for flow in self.element.incoming)

    def missing(self, token: Token) -> list[str]:
        return [flow for flow in self.element.incoming if not token.internal_data["got"].get(flow)]

    def stuck(self, token: Token, live: list[Token]) -> bool:
        """Whether nothing that is alive can bring what is missing."""
        moving = [other for other in live if other is not token and not other.has_state(TaskState.WAITING)]
        return not any(other.element.id in self.upstream[flow] for flow in self.missing(token) for other in moving)

    def retry(self, token: Token) -> None:
        """After a dead end a retry goes on with the branches that arrived."""
        if token.internal_data["incident"][0] == "deadlock":
            del token.internal_data["incident"]
            token._ready()  # noqa: SLF001 - the library's own way
        else:
            super().retry(token)

    def _on_cancel(self, token: Token) -> None:
        if "got" in token.internal_data:  # it was never entered, so the journal does not speak of it
            token.scope.remove(token)
        else:
            super()._on_cancel(token)

    def _on_ready_hook(self, token: Token) -> None:
        super()._on_ready_hook(token)
        rest = {flow: count - 1 for flow, count in token.internal_data.pop("got", {}).items() if count > 1}
        if rest:
            again = token.scope.spawn(self, token.scope.task_tree)
            again.internal_data["got"] = rest
            self._update(again)


class ParallelGateway(Join):
    """Waits for one token on every flow in, then takes every flow out."""


class InclusiveGateway(Join):
    """Waits while a token may still come along a flow that has none; takes every flow whose condition is true."""

    def complete(self, token: Token) -> bool:  # noqa: ARG002 - only the look at all tokens in `settle` can tell
        return False

    def settle(self, token: Token, live: list[Token]) -> bool:
        if not token.has_state(TaskState.WAITING):
            return False
        got = token.internal_data["got"]
        filled = [self.upstream[flow] for flow in self.element.incoming if got.get(flow)]
        empty = [self.upstream[flow] for flow in self.missing(token)]
        for other in live:
            place = other.element.id
            if other is token or any(place in sources for sources in filled):
                continue
            if any(place in sources for sources in empty):
                return False
        token._ready()  # noqa: SLF001 - the library's own way
        return True

    def stuck(self, token: Token, live: list[Token]) -> bool:  # noqa: ARG002 - two of them may wait for each other
        return all(other.has_state(TaskState.WAITING) for other in live)

    def enter(self, token: Token) -> bool:
        context, now = token.context(), token.instance.now
        drawn = [flow for flow in self.flows if flow.id != self.element.default]
        taken = [flow for flow in drawn if flow.condition is None or flow.condition.holds(context, now)]
        if not taken:
            taken = [flow for flow in self.flows if flow.id == self.element.default]
        if not taken and self.flows:
            raise Halt("expression", f"No condition at gateway {self.element.id} is true and it has no default flow")
        token.internal_data["take"] = [flow.id for flow in taken]
        return True


class EventBasedGateway(Node):
    """Opens every event behind it; the first that happens takes its flow and closes the others."""

    def _on_complete_hook(self, token: Token) -> None:
        token.note(JournalKind.LEFT)
        for flow in self.flows:
            waiting = token.scope.spawn(token.scope.spec.task_specs[flow.target], token)
            waiting.internal_data["race"] = [token.node, flow.id]
