"""Diagrams for the gate in a few words: parts of a process, put into a whole file with a shape for everything."""

import re
from itertools import pairwise

from app.engine.lint import Finding, Known, ProcessFacts, Upload, lint
from app.operations import OperationContext, Params, Registry, Result

_SPACES = (
    'xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" '
    'xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC" '
    'xmlns:di="http://www.omg.org/spec/DD/20100524/DI" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_NODE = re.compile(r'<bpmn:(\w+(?:Task|Event|Gateway|Activity|subProcess|Process)) id="([^"]+)"')
_FLOW = re.compile(r'<bpmn:sequenceFlow id="([^"]+)"')


def bpmn(
    *parts: str, before: str = "", process: str = "flow", attributes: str = 'name="Flow" isExecutable="true"'
) -> bytes:
    """A whole file: `before` is declared beside the process."""
    body = "".join(parts)
    shapes = "".join(
        f'<bpmndi:BPMNShape id="{name}_di" bpmnElement="{name}">'
        '<dc:Bounds x="0" y="0" width="10" height="10"/></bpmndi:BPMNShape>'
        for _, name in _NODE.findall(body)
    )
    edges = "".join(
        f'<bpmndi:BPMNEdge id="{name}_di" bpmnElement="{name}"><di:waypoint x="0" y="0"/>'
        '<di:waypoint x="1" y="1"/></bpmndi:BPMNEdge>'
        for name in _FLOW.findall(body)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<bpmn:definitions {_SPACES} id="file" targetNamespace="sluice">\n'
        f'{before}<bpmn:process id="{process}" {attributes}>\n{body}</bpmn:process>\n'
        f'<bpmndi:BPMNDiagram id="diagram"><bpmndi:BPMNPlane id="plane" bpmnElement="{process}">'
        f"{shapes}{edges}</bpmndi:BPMNPlane></bpmndi:BPMNDiagram></bpmn:definitions>"
    ).encode()


def element(tag: str, identity: str, inner: str = "", extension: str = "", **attributes: str) -> str:
    written = "".join(f' {name}="{value}"' for name, value in ({"name": identity.title()} | attributes).items())
    held = f"<bpmn:extensionElements>{extension}</bpmn:extensionElements>" if extension else ""
    return f'<bpmn:{tag} id="{identity}"{written}>{held}{inner}</bpmn:{tag}>\n'


def start(identity: str = "start") -> str:
    return element("startEvent", identity)


def end(identity: str = "end", inner: str = "") -> str:
    return element("endEvent", identity, inner)


def flow(identity: str, source: str, target: str, condition: str | None = None) -> str:
    held = (
        ""
        if condition is None
        else f'<bpmn:conditionExpression xsi:type="bpmn:tFormalExpression">{condition}</bpmn:conditionExpression>'
    )
    return f'<bpmn:sequenceFlow id="{identity}" sourceRef="{source}" targetRef="{target}">{held}</bpmn:sequenceFlow>\n'


def path(*names: str) -> str:
    """Flows that lead from name to name, called `a-b`."""
    return "".join(flow(f"{one}-{other}", one, other) for one, other in pairwise(names))


def mapped(*inputs: tuple[str, str], outputs: tuple[tuple[str, str], ...] = ()) -> str:
    lines = [f"<zeebe:input source='{source}' target='{target}'/>" for source, target in inputs]
    lines += [f"<zeebe:output source='{source}' target='{target}'/>" for source, target in outputs]
    return f"<zeebe:ioMapping>{''.join(lines)}</zeebe:ioMapping>" if lines else ""


def service(identity: str, operation: str, *inputs: tuple[str, str], more: str = "", **attributes: str) -> str:
    called = f'<zeebe:taskDefinition type="{operation}" retries="3"/>'
    return element("serviceTask", identity, extension=called + mapped(*inputs) + more, **attributes)


def script(identity: str, expression: str = "=1", result: str = "n") -> str:
    written = f"<zeebe:script expression='{expression}' resultVariable='{result}'/>"
    return element("scriptTask", identity, extension=written)


def user(identity: str, form: str = "review", more: str = "") -> str:
    people = '<zeebe:userTask/><zeebe:assignmentDefinition candidateGroups="reviewer"/>'
    return element("userTask", identity, extension=f'{people}<zeebe:formDefinition formId="{form}"/>{more}')


def call(identity: str, process: str) -> str:
    called = f'<zeebe:calledElement processId="{process}" propagateAllChildVariables="false"/>'
    return element("callActivity", identity, extension=called)


def rule(identity: str, decision: str) -> str:
    asked = f'<zeebe:calledDecision decisionId="{decision}" resultVariable="outcome"/>'
    return element("businessRuleTask", identity, extension=asked)


def boundary(identity: str, host: str, event: str, **attributes: str) -> str:
    return element("boundaryEvent", identity, event, attachedToRef=host, **attributes)


def error_event(ref: str = "") -> str:
    return f'<bpmn:errorEventDefinition errorRef="{ref}"/>' if ref else "<bpmn:errorEventDefinition/>"


def error(identity: str, code: str) -> str:
    return f'<bpmn:error id="{identity}" name="{code}" errorCode="{code}"/>\n'


def message(identity: str = "news", key: str = "=payment") -> str:
    held = f'<bpmn:extensionElements><zeebe:subscription correlationKey="{key}"/></bpmn:extensionElements>'
    return f'<bpmn:message id="{identity}" name="{identity}">{held if key else ""}</bpmn:message>\n'


def message_event(ref: str = "news") -> str:
    return f'<bpmn:messageEventDefinition messageRef="{ref}"/>'


def timer_event(text: str = "PT5M", tag: str = "timeDuration") -> str:
    time = f'<bpmn:{tag} xsi:type="bpmn:tFormalExpression">{text}</bpmn:{tag}>'
    return f"<bpmn:timerEventDefinition>{time}</bpmn:timerEventDefinition>"


FORM = b'{"id": "review", "title": "Review", "decisions": [{"value": "approve", "label": "Approve"}]}'

TABLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="https://www.omg.org/spec/DMN/20191111/MODEL/" id="risk" name="Risk" namespace="sluice">
<decision id="risk-score" name="Risk score"><decisionTable id="table" hitPolicy="FIRST">
<input id="amount"><inputExpression id="read" typeRef="number"><text>amount</text></inputExpression></input>
<output id="score" name="score" typeRef="number"/>
<rule id="large"><inputEntry id="i1"><text>&gt; 1000</text></inputEntry>
<outputEntry id="o1"><text>90</text></outputEntry></rule>
<rule id="small"><inputEntry id="i2"><text>-</text></inputEntry>
<outputEntry id="o2"><text>10</text></outputEntry></rule>
</decisionTable></decision></definitions>"""


class Nothing(Params):
    pass


class Amount(Params):
    amount: int
    gateway: str = "auto"


class Done(Result):
    attempt: str = ""


operations = Registry()
_MONEY = {"OUTCOME_UNKNOWN": "no answer came", "HARD_DECLINE": "the card was refused"}


@operations.operation("payment.authorize", title="Authorize", errors=_MONEY, moves_money=True)
def authorize(context: OperationContext, params: Amount) -> Done:
    """Reserve the amount."""
    return Done()


@operations.operation("payment.capture", title="Capture", errors=_MONEY, moves_money=True)
def capture(context: OperationContext, params: Nothing) -> Done:
    """Take what was reserved."""
    return Done()


@operations.operation("payment.void", title="Void", errors=_MONEY, moves_money=True)
def void(context: OperationContext, params: Nothing) -> Done:
    """Give back what was reserved."""
    return Done()


@operations.operation("risk.record", title="Record")
def record(context: OperationContext, params: Amount) -> Done:
    """Write down the risk."""
    return Done()


KNOWN = Known(
    operations,
    processes={
        "child": ProcessFacts(),
        "slow-people": ProcessFacts(calls=frozenset({"slower-people"})),
        "slower-people": ProcessFacts(lingering=frozenset({"ask"})),
        "spender": ProcessFacts(operations=frozenset({"payment.capture"})),
        "back": ProcessFacts(calls=frozenset({"flow"})),
        "back-far": ProcessFacts(calls=frozenset({"back"})),
        **{f"deep{level}": ProcessFacts(calls=frozenset({f"deep{level + 1}"})) for level in range(9)},
        "deep9": ProcessFacts(),
    },
    decisions={"risk-score": "risk"},
    forms=frozenset({"review"}),
)


def findings(content: bytes, known: Known = KNOWN, name: str = "flow.bpmn") -> list[Finding]:
    return lint([Upload(name, content)], known)
