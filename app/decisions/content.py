"""What DMN elements may hold here, told before anything is compiled: what nobody reads must not seem to count."""

from collections.abc import Iterator

from app.decisions.errors import Finding
from app.decisions.xml import EXPRESSIONS, Element, tag

_ANYWHERE = {"", "description", "extensionElements"}
_TEXTS = (
    "literalExpression", "inputExpression", "inputEntry", "outputEntry", "annotationEntry", "inputValues",
    "outputValues", "defaultOutputEntry", "allowedValues", "typeConstraint",
)  # fmt: skip
_CHILDREN = ("if", "then", "else", "in", "match", "return", "satisfies")
_ITEM = "typeRef allowedValues typeConstraint itemComponent* functionItem"
#: What stands in an element, by its name; a star where it may stand several times. Other elements are not looked into.
_CONTENT = {
    "inputData": "variable",
    "decision": (
        "expression variable question allowedAnswers informationRequirement* knowledgeRequirement* "
        "authorityRequirement* supportedObjective* impactedPerformanceIndicator* decisionMaker* decisionOwner* "
        "usingProcess* usingTask*"
    ),
    "businessKnowledgeModel": "encapsulatedLogic variable knowledgeRequirement* authorityRequirement*",
    "itemDefinition": _ITEM,
    "itemComponent": _ITEM,
    "encapsulatedLogic": "formalParameter* expression",
    "functionDefinition": "formalParameter* expression",
    "informationRequirement": "requiredInput requiredDecision",
    "knowledgeRequirement": "requiredKnowledge",
    "decisionTable": "input* output* rule* annotation*",
    "input": "inputExpression inputValues",
    "output": "outputValues defaultOutputEntry",
    "rule": "inputEntry* outputEntry* annotationEntry*",
    "context": "contextEntry*",
    "contextEntry": "variable expression",
    "invocation": "literalExpression binding*",
    "binding": "parameter expression",
    "list": "expression*",
    "relation": "column* row*",
    "row": "expression*",
    "conditional": "if then else",
    "filter": "in match",
    "for": "in return",
    "some": "in satisfies",
    "every": "in satisfies",
    "variable": "",
    "text": "",
    **dict.fromkeys(_TEXTS, "text"),
    **dict.fromkeys(_CHILDREN, "expression"),
}
_ALLOWED = {name: frozenset(text.split()) for name, text in _CONTENT.items()}


def unread(root: Element) -> Iterator[Finding]:
    """`unsupported` for every DMN element that stands where it is not read, and every language that is not FEEL."""
    for element in root.iter():
        name = tag(element)
        if name in _ALLOWED:
            yield from _misplaced(element, _ALLOWED[name])
        language = str(element.get("expressionLanguage", "")) if name else ""
        if language and "feel" not in language.lower():
            yield Finding("unsupported", _shown(element), f'The expression language is "{language}".', "Use FEEL.")


def _misplaced(element: Element, allowed: frozenset[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for one in element:
        name = "expression" if tag(one) in EXPRESSIONS and tag(one) not in allowed else tag(one)
        if name in _ANYWHERE or f"{name}*" in allowed:
            continue
        if name not in allowed:
            remedy = "Write the value in FEEL." if name == "importedValues" else "Remove it; it would not be read."
            yield Finding("unsupported", _shown(element), f'"{tag(one)}" is not supported here.', remedy)
        elif name in seen:
            yield Finding("unsupported", _shown(element), f'It has more than one "{name}".', "Keep one of them.")
        seen.add(name)


def _shown(element: Element) -> str:
    """The id of an element, else of the nearest one around it."""
    while element is not None and not element.get("id"):
        element = element.getparent()
    return "definitions" if element is None else str(element.get("id"))
