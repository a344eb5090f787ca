"""Every expression of a diagram is compiled before it is stored; text without a leading `=` is a literal.

`places` lists where a diagram may hold one, and in which places only an expression will do.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.engine.expressions import formula
from app.engine.lint.finding import Finding, error
from app.engine.lint.model import Model, Node
from app.engine.lint.reading import zeebe_extensions
from app.engine.timing import ANY_TIME
from app.engine.xml import child, text_of
from app.feel import Expression, FeelError, Limits, compile_expression

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}(\.[A-Za-z_][A-Za-z0-9_]{0,99}){0,9}")
_PEOPLE = (
    ("assignmentDefinition", "candidateGroups"),
    ("taskSchedule", "dueDate"),
    ("priorityDefinition", "priority"),
)
#: What is tried at the gate is small; a file holds many of them.
_LITTLE = Limits(steps=1_000)
#: What these give depends on when it is asked.
_CLOCK = re.compile(r"\b(now|today)\s*\(")
_CONSTANTS = frozenset({"None", "True", "False"})
_PYTHON = re.compile(r"__\w+__|\b(import|lambda|def|exec|eval|None|True|False|elif|return\s+\w+\()\b|==|!==|&&|\|\|")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands. `required` refuses literals there."""

    element: str
    what: str
    text: str
    required: bool
    line: int | None


def feel(text: str) -> Expression | None:
    """The compiled expression of `text`, None when it is a literal or does not compile."""
    try:
        return compile_expression(text[1:]) if text.startswith("=") else None
    except FeelError:
        return None


def repeatable(source: str, target: str) -> bool:
    """Whether a mapping may be done twice with the same outcome: it does not read what it writes."""
    expression = feel(source)
    if expression is None:
        return not source.startswith("=")
    return target.partition(".")[0] not in expression.names | expression.possible


def settled(text: str, what: str) -> str | None:
    """What a text says whatever the variables are: a literal itself, or what an expression that reads none gives.

    None where only a run can tell, or where the expression itself is wrong. Raises EvaluationFailed when it gives no
    text; the sentence calls it `what`.
    """
    expression = feel(text)
    if expression is None:
        return None if text.startswith("=") else text
    if expression.names or expression.possible or expression.uncallable(frozenset()) or _CLOCK.search(text):
        return None
    try:
        expression.evaluate({}, now=ANY_TIME, limits=_LITTLE)
    except FeelError:
        return None
    return formula(text).text_value({}, ANY_TIME, what)


def compiled(model: Model) -> Iterator[Finding]:
    """`invalid_expression`, `expression_required`, `unknown_function`, `invalid_variable_name`."""
    for place in places(model):
        yield from _checked(place)
    for node in model.nodes():
        for what, name, pattern in _targets(node):
            if not pattern.fullmatch(name):
                message = f"{what} of {node.label} is {name!r}, which is no variable name"
                remedy = "Use letters, digits and underscores, beginning with a letter; a.b sets b inside a."
                yield error("invalid_variable_name", node.id, message, remedy, node.line)
            elif not _can_be_read(name):
                message = f"{what} of {node.label} is {name!r}, which no expression could read: the word has a meaning"
                remedy = f"Choose another name, such as {name.partition('.')[0]}_value."
                yield error("invalid_variable_name", node.id, message, remedy, node.line)


def places(model: Model) -> Iterator[Place]:
    for scope in model.scopes():
        for flow in scope.flows:
            if flow.condition is not None:
                yield Place(flow.id, "the condition", flow.condition, True, flow.line)
        for node in scope.nodes.values():
            yield from _node_places(node)
    for declared in model.declarations.values():
        if declared.kind == "message":
            yield Place(declared.id, "the message's name", declared.name, False, declared.line)
        if declared.correlation:
            yield Place(declared.id, "the correlation key", declared.correlation, True, declared.line)


def _node_places(node: Node) -> Iterator[Place]:
    def place(what: str, text: str, *, required: bool = False) -> Place:
        return Place(node.id, what, text.strip(), required, node.line)

    for kind in ("input", "output"):
        for mapping in node.extensions.get(kind, ()):
            source, what = mapping.get("source", ""), f"the {kind} mapping to {mapping.get('target', '')!r}"
            yield place(what, source, required=kind == "output" and not source.strip())
    if node.tag == "scriptTask" and "script" in node.extensions:
        yield place("the script", node.extension("script").get("expression", ""), required=True)
    if "retries" in node.extension("taskDefinition"):
        yield place("the retries", node.extension("taskDefinition")["retries"])
    yield from _people_places(node)
    for event in node.events:
        for tag, text in event.times:
            yield place(f"the {tag}", text)
    yield from _loop_places(node)


def _people_places(node: Node) -> Iterator[Place]:
    for extension, attribute in _PEOPLE:
        if attribute in node.extension(extension):
            yield Place(node.id, f"the {attribute}", node.extension(extension)[attribute].strip(), False, node.line)
    for header in node.extensions.get("header", ()):
        if header.get("key") == "excluded":
            yield Place(node.id, "the header 'excluded'", header.get("value", "").strip(), True, node.line)


def _loop_places(node: Node) -> Iterator[Place]:
    if node.loop is None:
        return
    loop = zeebe_extensions(node.loop).get("loopCharacteristics", ({},))[0]
    for attribute in ("inputCollection", "outputElement"):
        if attribute in loop:
            yield Place(node.id, f"the multi-instance {attribute}", loop[attribute], True, node.line)
    condition = child(node.loop, "completionCondition")
    if condition is not None:
        yield Place(node.id, "the completion condition", text_of(condition), True, node.line)


def _checked(place: Place) -> Iterator[Finding]:
    if not place.text.startswith("="):
        if place.required:
            message = f"{place.what} is {_short(place.text)}, not an expression"
            yield error("expression_required", place.element, message, _remedy(place.text), place.line)
        return
    try:
        expression = compile_expression(place.text[1:])
    except FeelError as wrong:
        where = f"line {wrong.line}, column {wrong.column}"
        message = f"{place.what} {_short(place.text)} cannot be understood ({where}): {wrong.sentence}"
        yield error("invalid_expression", place.element, message, _remedy(place.text), place.line)
        return
    # Variables hold data, so none of them can be called.
    for unknown in expression.uncallable(frozenset()):
        where = f"line {unknown.line}, column {unknown.column}"
        message = f"{place.what} {_short(place.text)} calls a function that FEEL does not have ({where})"
        yield error("unknown_function", place.element, message, f"{unknown.sentence} {_remedy(place.text)}", place.line)
    foreign = _foreign(expression)
    if foreign:
        message = f"{place.what} {_short(place.text)} looks like program code: {foreign[0]} is no variable"
        yield error("invalid_expression", place.element, message, _remedy(place.text), place.line)


def _foreign(expression: Expression) -> list[str]:
    return sorted(name for name in expression.names if name in _CONSTANTS or name.startswith("__"))


def _can_be_read(path: str) -> bool:
    """Whether FEEL takes it for a name: `null` and `if` are none."""
    expression = feel(f"={path}")
    return expression is not None and path in expression.names | expression.paths and not _foreign(expression)


def _targets(node: Node) -> Iterator[tuple[str, str, re.Pattern[str]]]:
    for mapping in node.extensions.get("input", ()):
        yield "The target of an input mapping", mapping.get("target", ""), _PATH
    for mapping in node.extensions.get("output", ()):
        yield "The target of an output mapping", mapping.get("target", ""), _PATH
    for extension in ("script", "calledDecision"):
        if extension in node.extensions:
            yield "The result variable", node.extension(extension).get("resultVariable", ""), _NAME
    if node.loop is not None:
        loop = zeebe_extensions(node.loop).get("loopCharacteristics", ({},))[0]
        for attribute in ("inputElement", "outputCollection"):
            if attribute in loop:
                yield f"The multi-instance {attribute}", loop[attribute], _NAME


def _remedy(text: str) -> str:
    if _PYTHON.search(text):
        return 'Write FEEL, not program code: =status = "paid" and amount > 100, with true, false and null.'
    if not text.startswith("="):
        return "Begin it with an equals sign, such as =amount > 100."
    return 'Correct the expression; it is FEEL, such as =amount > 100 and currency = "EUR".'


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
