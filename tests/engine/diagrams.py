"""Diagrams in a few words: each function draws one element, `draw` puts them into a BPMN file."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

HEAD = (
    '<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC" '
    'id="definitions" targetNamespace="sluice">'
)
Mapped = Mapping[str, str] | None


def draw(
    *parts: str, process: str = "p", declare: Sequence[str] = (), shapes: Mapping[str, int] | None = None
) -> bytes:
    """A file with one executable process. `shapes` gives Y coordinates; nothing may depend on them."""
    boxes = "".join(
        f'<bpmndi:BPMNShape id="shape_{name}" bpmnElement="{name}"><dc:Bounds x="0" y="{y}" width="9" height="9"/>'
        "</bpmndi:BPMNShape>"
        for name, y in (shapes or {}).items()
    )
    picture = f'<bpmndi:BPMNDiagram id="d"><bpmndi:BPMNPlane id="pl">{boxes}</bpmndi:BPMNPlane></bpmndi:BPMNDiagram>'
    body = f'<bpmn:process id="{process}" name="Process {process}" isExecutable="true">{"".join(parts)}</bpmn:process>'
    return f"{HEAD}{''.join(declare)}{body}{picture}</bpmn:definitions>".encode()


def node(kind: str, identity: str, inner: str = "", extension: str = "", **attributes: str) -> str:
    drawn = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
    extras = f"<bpmn:extensionElements>{extension}</bpmn:extensionElements>" if extension else ""
    return f'<bpmn:{kind} id="{identity}"{drawn}>{extras}{inner}</bpmn:{kind}>'


def mapping(inputs: Mapped = None, outputs: Mapped = None) -> str:
    drawn = [("input", *pair) for pair in (inputs or {}).items()]
    drawn += [("output", *pair) for pair in (outputs or {}).items()]
    lines = "".join(f"<zeebe:{kind} source={quoteattr(source)} target={quoteattr(to)}/>" for kind, to, source in drawn)
    return f"<zeebe:ioMapping>{lines}</zeebe:ioMapping>" if lines else ""


def flow(source: str, target: str, condition: str = "", name: str = "") -> str:
    inner = (
        f'<bpmn:conditionExpression xsi:type="bpmn:tFormalExpression">{escape(condition)}</bpmn:conditionExpression>'
    )
    inner = inner if condition else ""
    identity = name or f"{source}_{target}"
    return f'<bpmn:sequenceFlow id="{identity}" sourceRef="{source}" targetRef="{target}">{inner}</bpmn:sequenceFlow>'


def chain(*names: str) -> str:
    return "".join(flow(a, b) for a, b in pairwise(names))


def start(identity: str = "s") -> str:
    return node("startEvent", identity)


def end(identity: str = "e") -> str:
    return node("endEvent", identity)


def service(
    identity: str,
    operation: str = "op",
    inputs: Mapped = None,
    outputs: Mapped = None,
    inner: str = "",
    retries: str = "3",
) -> str:
    task = f"<zeebe:taskDefinition type={quoteattr(operation)} retries={quoteattr(retries)}/>"
    return node("serviceTask", identity, inner, task + mapping(inputs, outputs))


def script(identity: str, expression: str, result: str, inner: str = "", outputs: Mapped = None) -> str:
    task = f"<zeebe:script expression={quoteattr(expression)} resultVariable={quoteattr(result)}/>"
    return node("scriptTask", identity, inner, task + mapping(None, outputs))


def header(key: str, value: str) -> str:
    return f'<zeebe:taskHeaders><zeebe:header key="{key}" value={quoteattr(value)}/></zeebe:taskHeaders>'


def user(
    identity: str,
    inputs: Mapped = None,
    outputs: Mapped = None,
    excluded: str = "",
    due: str = "",
    groups: str = "reviewers",
    priority: str = "",
) -> str:
    grouped = f" candidateGroups={quoteattr(groups)}" if groups else ""
    parts = [
        "<zeebe:userTask/>",
        f"<zeebe:assignmentDefinition{grouped}/>",
        '<zeebe:formDefinition formId="review"/>',
        f"<zeebe:taskSchedule dueDate={quoteattr(due)}/>" if due else "",
        f"<zeebe:priorityDefinition priority={quoteattr(priority)}/>" if priority else "",
        header("excluded", excluded) if excluded else "",
        mapping(inputs, outputs),
    ]
    return node("userTask", identity, "", "".join(parts), name=f"Task {identity}")


def rule(identity: str, decision: str, result: str, inputs: Mapped = None) -> str:
    called = f"<zeebe:calledDecision decisionId={quoteattr(decision)} resultVariable={quoteattr(result)}/>"
    return node("businessRuleTask", identity, "", called + mapping(inputs))


def call(identity: str, process: str, inputs: Mapped = None, outputs: Mapped = None, everything: str = "false") -> str:
    called = f'<zeebe:calledElement processId="{process}" propagateAllChildVariables="{everything}"/>'
    return node("callActivity", identity, "", called + mapping(inputs, outputs))


def sub(identity: str, *parts: str, inputs: Mapped = None, outputs: Mapped = None) -> str:
    return node("subProcess", identity, "".join(parts), mapping(inputs, outputs))


def timer(kind: str, value: str) -> str:
    return f"<bpmn:timerEventDefinition><bpmn:{kind}>{escape(value)}</bpmn:{kind}></bpmn:timerEventDefinition>"


def message(name: str) -> str:
    return f'<bpmn:messageEventDefinition messageRef="m_{name}"/>'


def error(code: str = "") -> str:
    return f'<bpmn:errorEventDefinition errorRef="err_{code}"/>' if code else "<bpmn:errorEventDefinition/>"


def escalation(code: str) -> str:
    return f'<bpmn:escalationEventDefinition escalationRef="esc_{code}"/>'


def catch(identity: str, event: str, outputs: Mapped = None) -> str:
    return node("intermediateCatchEvent", identity, event, mapping(None, outputs))


def throw(identity: str, event: str, inputs: Mapped = None) -> str:
    return node("intermediateThrowEvent", identity, event, mapping(inputs))


def end_with(identity: str, event: str, inputs: Mapped = None) -> str:
    return node("endEvent", identity, event, mapping(inputs))


def boundary(identity: str, host: str, event: str, outputs: Mapped = None, interrupting: str = "true") -> str:
    return node(
        "boundaryEvent", identity, event, mapping(None, outputs), attachedToRef=host, cancelActivity=interrupting
    )


def gateway(kind: str, identity: str, default: str = "") -> str:
    return node(f"{kind}Gateway", identity, **({"default": default} if default else {}))


def many(
    collection: str, item: str = "", output: str = "", into: str = "", until: str = "", sequential: str = "false"
) -> str:
    """Multi-instance characteristics, to be given as `inner`."""
    named = {"inputCollection": collection, "inputElement": item, "outputCollection": into, "outputElement": output}
    drawn = "".join(f" {name}={quoteattr(value)}" for name, value in named.items() if value)
    condition = (
        f'<bpmn:completionCondition xsi:type="bpmn:tFormalExpression">{escape(until)}</bpmn:completionCondition>'
    )
    extension = f"<bpmn:extensionElements><zeebe:loopCharacteristics{drawn}/></bpmn:extensionElements>"
    return (
        f'<bpmn:multiInstanceLoopCharacteristics isSequential="{sequential}">{extension}{condition if until else ""}'
        "</bpmn:multiInstanceLoopCharacteristics>"
    )


def declared_message(name: str, key: str = "") -> str:
    extension = f"<zeebe:subscription correlationKey={quoteattr(key)}/>" if key else ""
    return node("message", f"m_{name}", "", extension, name=name)


def declared_error(code: str) -> str:
    return node("error", f"err_{code}", name=f"Error {code}", errorCode=code)


def declared_escalation(code: str) -> str:
    return node("escalation", f"esc_{code}", name=f"Escalation {code}", escalationCode=code)
