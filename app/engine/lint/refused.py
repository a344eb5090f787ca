"""What BPMN has and the engine does not: for each, a name people know and what to draw instead."""

from collections.abc import Mapping

_WHOLE = "Draw it as an executable process with tasks, gateways and events."
_VARIABLES = "Keep facts in variables: input and output mappings of the tasks that need them."
_TYPES = "Remove it; variables need no declared types."
_ASSIGN = "Name the people in the user task's assignment (candidate groups) or by a lane."
_CORRELATION = "Give the message a subscription correlation key instead."
_UNDO = "Draw the way back as an ordinary path: catch the error, then call the operation that voids or refunds."
_CONDITION = "Use an exclusive gateway where the facts are known, or wait for a message that tells of the change."
_MESSAGE = "Use a message with a correlation key instead."
_SERVICE = "Use a service task and choose its operation; its parameters are input mappings."
_PINNED = (
    "Write bindingType deployment, or leave it out: versions are pinned. An instance keeps those that are "
    "published when it starts."
)
_MONITOR = "Remove it; every step is recorded in the history anyway."

#: Local name -> (what it is, what to draw instead).
ELEMENTS: Mapping[str, tuple[str, str]] = {
    "task": ("A task without a kind", "Choose a kind: service, user, business rule, script, send or receive task."),
    "manualTask": ("A manual task", "Use a user task with a form."),
    "complexGateway": ("A complex gateway", "Use an exclusive, inclusive or parallel gateway."),
    "transaction": ("A transaction", "Use an embedded sub-process with an error boundary event. " + _UNDO),
    "adHocSubProcess": ("An ad-hoc sub-process", "Use an embedded sub-process whose order is drawn."),
    "compensateEventDefinition": ("A compensation event", _UNDO),
    "cancelEventDefinition": ("A cancel event", "Use an error end event and an error boundary event."),
    "linkEventDefinition": ("A link event", "Connect the two places with a sequence flow."),
    "signalEventDefinition": ("A signal event", _MESSAGE),
    "signal": ("A signal", _MESSAGE),
    "conditionalEventDefinition": ("A conditional event", _CONDITION),
    "standardLoopCharacteristics": (
        "A standard loop",
        "Draw the loop with an exclusive gateway, or use multi-instance.",
    ),
    "dataObject": ("A data object", _VARIABLES),
    "dataObjectReference": ("A data object", _VARIABLES),
    "dataStore": ("A data store", _VARIABLES),
    "dataStoreReference": ("A data store", _VARIABLES),
    "dataInput": ("A data input", _VARIABLES),
    "dataOutput": ("A data output", _VARIABLES),
    "dataInputAssociation": ("A data association", _VARIABLES),
    "dataOutputAssociation": ("A data association", _VARIABLES),
    "ioSpecification": ("An input/output specification", _VARIABLES),
    "ioBinding": ("An input/output binding", _VARIABLES),
    "property": ("A BPMN property", _VARIABLES),
    "itemDefinition": ("An item definition", _TYPES),
    "import": ("An import", "Put the called process in a file of its own and deploy both together."),
    "interface": ("A service interface", _SERVICE),
    "operation": ("A service operation", _SERVICE),
    "endPoint": ("An end point", _SERVICE),
    "script": (
        "A script in another language",
        "Write a FEEL expression in the script task's zeebe:script, or call an operation from a service task.",
    ),
    "rendering": ("A form rendering", "Name a form by its id in the user task's form definition."),
    "humanPerformer": ("A resource assignment", _ASSIGN),
    "performer": ("A resource assignment", _ASSIGN),
    "potentialOwner": ("A resource assignment", _ASSIGN),
    "resource": ("A resource", _ASSIGN),
    "resourceRole": ("A resource assignment", _ASSIGN),
    "partitionElement": ("A lane's partition element", _ASSIGN),
    "childLaneSet": ("A lane inside a lane", "Draw the lanes side by side."),
    "correlationKey": ("A correlation key", _CORRELATION),
    "correlationProperty": ("A correlation property", _CORRELATION),
    "correlationSubscription": ("A correlation subscription", _CORRELATION),
    "participantMultiplicity": ("A participant multiplicity", "Use a multi-instance activity."),
    "loopCardinality": (
        "A loop cardinality",
        "Use the multi-instance input collection, such as =for i in 1..3 return i.",
    ),
    "loopDataInputRef": ("A loop data reference", "Use the multi-instance input collection."),
    "loopDataOutputRef": ("A loop data reference", "Use the multi-instance output collection."),
    "inputDataItem": ("A loop data item", "Use the multi-instance input element."),
    "outputDataItem": ("A loop data item", "Use the multi-instance output element."),
    "complexBehaviorDefinition": ("A complex multi-instance behaviour", "Use a completion condition."),
    "auditing": ("An auditing element", _MONITOR),
    "monitoring": ("A monitoring element", _MONITOR),
    "choreography": ("A choreography", _WHOLE),
    "globalTask": ("A global task", "Draw the task in a process and call that."),
    "globalUserTask": ("A global task", "Draw the task in a process and call that."),
    "globalScriptTask": ("A global task", "Draw the task in a process and call that."),
    "globalBusinessRuleTask": ("A global task", "Draw the task in a process and call that."),
    "globalManualTask": ("A global task", "Draw the task in a process and call that."),
    "conversation": ("A conversation", _WHOLE),
    "callConversation": ("A conversation", _WHOLE),
    "subConversation": ("A conversation", _WHOLE),
    "globalConversation": ("A conversation", _WHOLE),
    "extension": ("A declared extension", "Remove it."),
    "relationship": ("A relationship", "Remove it."),
}

#: (element, attribute) -> what to do instead of the refused value.
ATTRIBUTES: Mapping[tuple[str, str], str] = {
    ("subProcess", "triggeredByEvent"): "An event sub-process is not supported: attach a boundary event to an embedded "
    "sub-process that holds the steps it watches over.",
    ("callActivity", "calledElement"): "Name the process in zeebe:calledElement processId.",
    ("scriptTask", "scriptFormat"): "Write a FEEL expression in zeebe:script; it is the only language.",
    ("eventBasedGateway", "instantiate"): "Start with a plain start event, then the gateway.",
    ("eventBasedGateway", "eventGatewayType"): "Only the exclusive kind: the first event wins.",
    ("receiveTask", "instantiate"): "Start with a plain start event, then the receive task.",
    ("subProcess", "default"): "Draw an exclusive gateway after it.",
    (
        "assignmentDefinition",
        "assignee",
    ): "Name candidate groups, such as reviewer: whoever of them claims the task first "
    "has it. Whom it must not be is the header 'excluded'.",
    (
        "taskSchedule",
        "followUpDate",
    ): "A task is offered as soon as the flow comes to it; to offer it later, draw a timer before it.",
    ("conditionExpression", "language"): "Write FEEL: =amount > 100.",
    **{
        (element, attribute): _PINNED
        for element in ("calledElement", "formDefinition", "calledDecision")
        for attribute in ("bindingType", "versionTag")
    },
}
#: zeebe element -> what to do instead, where it has no meaning.
EXTENSIONS: Mapping[str, str] = {
    "taskHeaders": "Give an operation its parameters as input mappings (zeebe:ioMapping): =value, or the text itself.",
    "taskDefinition": "An event calls no operation: draw a send task with it instead. To send the message to flows "
    "that wait for it, give it a subscription correlation key such as =payment; the event's input mappings are its "
    "variables.",
}
_COMPENSATED = "isForCompensation"


def attribute_remedy(element: str, attribute: str) -> str:
    if attribute == _COMPENSATED:
        return _UNDO
    if attribute == "default":
        return "Draw an exclusive gateway after it and set the default there."
    return ATTRIBUTES.get((element, attribute), "Remove the attribute.")
