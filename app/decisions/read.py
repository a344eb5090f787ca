"""A DMN document to a decision model: requirements resolved, cycles refused, every expression compiled."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

from app.decisions.boxed import function_of
from app.decisions.content import unread
from app.decisions.errors import DmnError, Finding
from app.decisions.logic import TOLD, Compiler
from app.decisions.model import Coercion, Decision, DecisionModel, Knowledge
from app.decisions.types import Types
from app.decisions.visible import Others, Visible
from app.decisions.xml import EXPRESSIONS, Element, child, children, read_xml, tag, target
from app.feel.lexer import MAX_NAME, endless, plain

_READ = {"inputData", "decision", "businessKnowledgeModel", "itemDefinition"}
_HARMLESS = {
    "", "description", "extensionElements", "knowledgeSource", "textAnnotation", "association", "group",
    "performanceIndicator", "organizationUnit", "elementCollection",
}  # fmt: skip
_NAMED = {
    "inputData", "decision", "businessKnowledgeModel", "variable", "formalParameter", "parameter",
    "for", "some", "every",
}  # fmt: skip
_MAX_DEPTH = 60


def parse_decisions(xml: bytes) -> DecisionModel:
    """Read DMN 1.2 to 1.5. DmnError with every finding when any element cannot be understood or run."""
    root = read_xml(xml)
    names, entries = _names(root)
    compiler = Compiler(Types(root), names, entries)
    _check_elements(root, compiler)
    compiler.findings += unread(root)
    data = {str(one.get("id", "")): one for one in children(root, "inputData")}
    called = _called(root)
    boxes = [_knowledge(one, called, compiler) for one in children(root, "businessKnowledgeModel")]
    wanted = {target(one) for one in root.iter() if tag(one) == "requiredDecision"}
    drawn = [one for one in children(root, "decision") if not _idle(one, wanted, compiler)]
    made = [_decision(one, data, called, compiler) for one in drawn]
    knowledge, decisions = {one.id: one for one in boxes}, {one.id: one for one in made}
    _check_links(decisions, knowledge, compiler)
    if not decisions:
        compiler.report("no_decision", "definitions", "The model holds no decision.", "Draw a decision.")
    if compiler.findings:
        raise DmnError(compiler.findings)
    unfound = [_unfound(name) for name in sorted(names) if endless(name)]
    strange = tuple(dict.fromkeys([*compiler.strange, *unfound[:TOLD]]))
    return DecisionModel(str(root.get("id", "")), str(root.get("name", "")), decisions, knowledge, strange)


def _names(root: Element) -> tuple[frozenset[str], frozenset[str]]:
    """All names of the model, and those of them that need not be seen to count after a dot and inside filters.

    These are the names of what contexts hold, and whatever can be nothing but a name; `gross-tax` may be a subtraction.
    """
    held = {str(one.get("name", "")) for one in root.iter() if tag(one) in ("itemComponent", "output", "column")}
    held.update(_variable(one)[0] for one in root.iter() if tag(one) == "contextEntry")
    others = {
        str(one.get("name") or one.get("iteratorVariable") or one.get("id", ""))
        for one in root.iter()
        if tag(one) in _NAMED
    }
    return frozenset(held | others), frozenset(held.union(name for name in others if plain(name)))


def _unfound(name: str) -> Finding:
    message = f"Its name has more than {MAX_NAME} words and signs: no expression finds what is called so."
    shown = name if len(name) <= 80 else f"{name[:77]}..."
    return Finding("unsupported", shown, message, "Give it a shorter name.", certain=False)


def _check_elements(root: Element, compiler: Compiler) -> None:
    seen: set[str] = set()
    for element in root:
        name, identity = tag(element), str(element.get("id", ""))
        if name not in _READ | _HARMLESS:
            _refuse(compiler, element)
        if name in ("decision", "businessKnowledgeModel") and (not identity or identity in seen):
            compiler.report(
                "duplicate_id",
                identity or str(element.get("name", name)),
                "Its id is missing or used twice.",
                "Give it an id of its own.",
            )
        seen.add(identity)
    if _deeper_than(root, _MAX_DEPTH):
        raise DmnError(
            [Finding("too_deep", "definitions", "The elements are nested too deeply.", "Simplify the model.")]
        )


def _refuse(compiler: Compiler, element: Element) -> None:
    remedy = {
        "import": "Put the imported decisions into this model.",
        "decisionService": "Call the decision itself, or draw a business knowledge model.",
    }.get(tag(element), "Remove it from the model.")
    shown = str(element.get("id") or element.get("name") or tag(element))
    compiler.report("unsupported", shown, f'"{tag(element)}" is not supported.', remedy)


def _deeper_than(root: Element, limit: int) -> bool:
    level = [root]
    for _ in range(limit):
        level = [one for parent in level for one in parent]
        if not level:
            return False
    return True


def _variable(element: Element) -> tuple[str, str]:
    """The name and the type reference under which an element is seen by others."""
    variable = child(element, "variable")
    named = element if variable is None else variable
    return str(named.get("name") or element.get("name", "")), str(named.get("typeRef", ""))


def _called(root: Element) -> dict[str, tuple[str, ...]]:
    """The names under which each decision and knowledge model is seen by what requires it, by id."""
    boxes = [*children(root, "decision"), *children(root, "businessKnowledgeModel")]
    return {str(one.get("id", "")): (_variable(one)[0] or str(one.get("id", "")), *_by_id(one)) for one in boxes}


def _by_id(element: Element) -> tuple[str, ...]:
    """The id of a decision without a variable, when it is a word: modelers that draw none mean the decision by it."""
    identity = str(element.get("id", ""))
    meant = tag(element) == "decision" and child(element, "variable") is None and identity.isidentifier()
    return (identity,) if meant else ()


def _known(ids: Iterable[str], called: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    return frozenset(name for one in ids for name in called.get(one, (one,)))


def _targets(element: Element, requirement: str, kind: str) -> tuple[str, ...]:
    found = (child(one, kind) for one in children(element, requirement))
    return tuple(target(one) for one in found if one is not None)


def _idle(element: Element, wanted: Container[str], compiler: Compiler) -> bool:
    """Whether a decision has no logic and is required by none: it is told of, and no part of what can be called."""
    identity = str(element.get("id", ""))
    if identity in wanted or any(tag(one) in EXPRESSIONS for one in element):
        return False
    remedy = "Add a decision table or a literal expression, or remove it; nothing can call it."
    compiler.strange.append(Finding("no_logic", identity, "It has no expression.", remedy, certain=False))
    return True


def _decision(
    element: Element, data: Mapping[str, Element], called: Mapping[str, tuple[str, ...]], compiler: Compiler
) -> Decision:
    identity = str(element.get("id", ""))
    variable, reference = _variable(element)
    inputs: dict[str, Coercion] = {}
    for wanted in _targets(element, "informationRequirement", "requiredInput"):
        if wanted not in data:
            compiler.report("missing", identity, f'It requires the input "{wanted}", which is not there.', "Draw it.")
            continue
        name, input_type = _variable(data[wanted])
        inputs[name] = compiler.coerce(input_type, wanted)
    required = _targets(element, "informationRequirement", "requiredDecision")
    knowledge = _targets(element, "knowledgeRequirement", "requiredKnowledge")
    seen = Visible(frozenset(inputs), Others.DOUBTFUL if inputs else Others.ANYTHING)
    with compiler.seeing(seen.plus(_known((*required, *knowledge), called))):
        logic = compiler.inside(element, identity)
    return Decision(
        identity,
        str(element.get("name", identity)),
        variable or identity,
        bool(_by_id(element)),
        logic,
        compiler.coerce(reference, identity),
        required,
        knowledge,
        inputs,
    )


def _knowledge(element: Element, called: Mapping[str, tuple[str, ...]], compiler: Compiler) -> Knowledge:
    identity = str(element.get("id", ""))
    body = child(element, "encapsulatedLogic")
    if body is None:
        compiler.report("no_logic", identity, "It has no function.", "Add parameters and an expression.")
        body = element
    required = _targets(element, "knowledgeRequirement", "requiredKnowledge")
    with compiler.seeing(Visible(_known((identity, *required), called), Others.NOTHING)):
        parameters, logic = compiler.function(body, identity)

    def bind(functions: Mapping[str, Any]) -> Any:
        return function_of(parameters, logic, functions)

    return Knowledge(identity, called[identity][0], bind, required)


def _check_links(decisions: Mapping[str, Decision], knowledge: Mapping[str, Knowledge], compiler: Compiler) -> None:
    links: dict[str, tuple[str, ...]] = {
        **{one.id: (*one.required, *one.knowledge) for one in decisions.values()},
        **{one.id: one.required for one in knowledge.values()},
    }
    for source, wanted in links.items():
        for one in wanted:
            if one not in links:
                compiler.report(
                    "missing", source, f'It requires "{one}", which is not there.', "Draw it, or the link anew."
                )
    for source in _circular(links):
        compiler.report("cycle", source, "It requires itself, directly or through others.", "Remove one of the links.")


def _circular(links: Mapping[str, tuple[str, ...]]) -> list[str]:
    """What is left when everything whose requirements are settled has been taken away; each link is followed once."""
    open_links = {source: {one for one in wanted if one in links} for source, wanted in links.items()}
    users: dict[str, list[str]] = {source: [] for source in links}
    for source, wanted in open_links.items():
        for one in wanted:
            users[one].append(source)
    settled = [source for source, wanted in open_links.items() if not wanted]
    while settled:
        done = settled.pop()
        del open_links[done]
        for source in users[done]:
            open_links[source].discard(done)
            if not open_links[source]:
                settled.append(source)
    return sorted(open_links)
