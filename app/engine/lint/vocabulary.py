"""The dialect as data: every element, attribute and zeebe extension that the engine gives a meaning to.

Whatever is not written here is refused. A value of None allows any text; otherwise only the listed ones, which are
those that mean what the engine does anyway.
"""

from collections.abc import Mapping

from app.engine.lint.model import FLOW_NODES
from app.engine.xml import XSI, ZEEBE

Values = frozenset[str] | None
Allowed = Mapping[str, Values]

_FALSE: Values = frozenset({"false"})
_ONE: Values = frozenset({"1"})
# "1" and "0" are booleans to the schema but not to every reader, so they are not written
_BOOLEAN: Values = frozenset({"true", "false"})

_ACTIVITY: Allowed = {"isForCompensation": _FALSE, "startQuantity": _ONE, "completionQuantity": _ONE}
_TASK_KIND: Allowed = {"implementation": frozenset({"##unspecified", "##WebService"})}
#: What a flow uses is pinned, which is what this binding says.
_PINNED: Allowed = {"bindingType": frozenset({"deployment"})}
_GATEWAY: Allowed = {"gatewayDirection": None}

#: Every BPMN element by its local name, with the attributes it may carry beside `id` and `name`.
ELEMENTS: Mapping[str, Allowed] = {
    "definitions": {"targetNamespace": None, "exporter": None, "exporterVersion": None, "expressionLanguage": None}
    | {"typeLanguage": None},
    "process": {"isExecutable": _BOOLEAN, "processType": None, "isClosed": _FALSE},
    "documentation": {"textFormat": None},
    "extensionElements": {},
    "message": {"itemRef": frozenset()},
    "error": {"errorCode": None},
    "escalation": {"escalationCode": None},
    # drawing and annotation: no meaning for the engine, by the standard
    "collaboration": {"isClosed": _BOOLEAN},
    "participant": {"processRef": None},
    "messageFlow": {"sourceRef": None, "targetRef": None},
    "textAnnotation": {"textFormat": None},
    "text": {},
    "association": {"sourceRef": None, "targetRef": None, "associationDirection": None},
    "group": {"categoryValueRef": None},
    "category": {},
    "categoryValue": {"value": None},
    "laneSet": {},
    "lane": {},
    "flowNodeRef": {},
    # flow
    "sequenceFlow": {"sourceRef": None, "targetRef": None, "isImmediate": _BOOLEAN},
    "conditionExpression": {"language": frozenset({"feel"})},
    "incoming": {},
    "outgoing": {},
    # activities
    "serviceTask": {**_ACTIVITY, **_TASK_KIND},
    "sendTask": {**_ACTIVITY, **_TASK_KIND},
    "receiveTask": {**_ACTIVITY, **_TASK_KIND, "messageRef": None, "instantiate": _FALSE},
    "userTask": {**_ACTIVITY, **_TASK_KIND},
    "businessRuleTask": {**_ACTIVITY, **_TASK_KIND},
    "scriptTask": _ACTIVITY,
    "callActivity": _ACTIVITY,
    "subProcess": {**_ACTIVITY, "triggeredByEvent": _FALSE},
    "multiInstanceLoopCharacteristics": {"isSequential": _BOOLEAN, "behavior": frozenset({"All"})},
    "completionCondition": {"language": frozenset({"feel"})},
    # gateways
    "exclusiveGateway": {**_GATEWAY, "default": None},
    "inclusiveGateway": {**_GATEWAY, "default": None},
    "parallelGateway": _GATEWAY,
    "eventBasedGateway": {**_GATEWAY, "instantiate": _FALSE, "eventGatewayType": frozenset({"Exclusive"})},
    # events
    "startEvent": {"isInterrupting": _BOOLEAN, "parallelMultiple": _FALSE},
    "endEvent": {},
    "intermediateCatchEvent": {"parallelMultiple": _FALSE},
    "intermediateThrowEvent": {},
    "boundaryEvent": {"attachedToRef": None, "cancelActivity": _BOOLEAN, "parallelMultiple": _FALSE},
    "timerEventDefinition": {},
    "timeDate": {"language": frozenset({"feel"})},
    "timeDuration": {"language": frozenset({"feel"})},
    "timeCycle": {"language": frozenset({"feel"})},
    "messageEventDefinition": {"messageRef": None},
    "errorEventDefinition": {"errorRef": None},
    "escalationEventDefinition": {"escalationRef": None},
    "terminateEventDefinition": {},
}

#: Which event definitions an event may carry; the empty text stands for none at all.
EVENTS: Mapping[str, frozenset[str]] = {
    "startEvent": frozenset({"", "message", "timer"}),
    "endEvent": frozenset({"", "error", "terminate", "message", "escalation"}),
    "intermediateCatchEvent": frozenset({"message", "timer"}),
    "intermediateThrowEvent": frozenset({"message", "escalation"}),
    "boundaryEvent": frozenset({"error", "timer", "message", "escalation"}),
}

EVENT_REMEDIES: Mapping[str, str] = {
    "startEvent": "Use a plain, message or timer start event; inside a sub-process only a plain one.",
    "endEvent": "Use a plain, error, terminate, message or escalation end event.",
    "intermediateCatchEvent": "Wait for a message or a timer.",
    "intermediateThrowEvent": "Throw a message or an escalation, or leave the event out.",
    "boundaryEvent": "Attach an error, timer, message or escalation event.",
}

_MAPPED: Mapping[str, Allowed] = {
    "ioMapping": {},
    "input": {"source": None, "target": None},
    "output": {"source": None, "target": None},
}
_OUTPUTS: Mapping[str, Allowed] = {"ioMapping": {}, "output": {"source": None, "target": None}}
_INPUTS: Mapping[str, Allowed] = {"ioMapping": {}, "input": {"source": None, "target": None}}
_CALLED: Mapping[str, Allowed] = {"taskDefinition": {"type": None, "retries": None}, **_MAPPED}
_PROPERTIES: Mapping[str, Allowed] = {"properties": {}, "property": {"name": None, "value": None}}

_MEANING: Mapping[str, Mapping[str, Allowed]] = {
    "process": {**_PROPERTIES, "versionTag": {"value": None}},
    "message": {"subscription": {"correlationKey": None}},
    "serviceTask": _CALLED,
    "sendTask": _CALLED,
    "receiveTask": _OUTPUTS,
    "userTask": {
        **_MAPPED,
        "userTask": {},
        "assignmentDefinition": {"candidateGroups": None},
        "formDefinition": {"formId": None, **_PINNED},
        "taskSchedule": {"dueDate": None},
        "priorityDefinition": {"priority": None},
        "taskHeaders": {},
        "header": {"key": None, "value": None},
    },
    "businessRuleTask": {**_MAPPED, "calledDecision": {"decisionId": None, "resultVariable": None, **_PINNED}},
    "scriptTask": {**_MAPPED, "script": {"expression": None, "resultVariable": None}},
    "callActivity": {
        **_MAPPED,
        "calledElement": {
            "processId": None,
            "propagateAllChildVariables": _BOOLEAN,
            "propagateAllParentVariables": _BOOLEAN,
            **_PINNED,
        },
    },
    "subProcess": _MAPPED,
    "intermediateCatchEvent": _OUTPUTS,
    "intermediateThrowEvent": _INPUTS,
    "endEvent": _INPUTS,
    "boundaryEvent": _OUTPUTS,
    "multiInstanceLoopCharacteristics": {
        "loopCharacteristics": {
            "inputCollection": None,
            "inputElement": None,
            "outputCollection": None,
            "outputElement": None,
        }
    },
}

#: The zeebe elements that each BPMN element may carry, with their attributes. `modelerTemplate*` is allowed anywhere.
#: Properties may stand at every node: they are notes, and nothing reads them.
EXTENSIONS: Mapping[str, Mapping[str, Allowed]] = {
    **_MEANING,
    **{tag: {**_MEANING.get(tag, {}), **_PROPERTIES} for tag in sorted(FLOW_NODES)},
}

#: Attributes of other namespaces, by namespace: the modeler writes them, and they carry no behaviour.
FOREIGN_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    XSI: frozenset({"type", "schemaLocation"}),
    ZEEBE: frozenset({"modelerTemplate", "modelerTemplateVersion", "modelerTemplateIcon"}),
    "http://camunda.org/schema/modeler/1.0": frozenset({"executionPlatform", "executionPlatformVersion"}),
}
