"""The allow-list at work: every element, attribute and extension of the file is known, or named and refused."""

from collections.abc import Iterator, Mapping

from app.engine.lint.finding import Finding, error, nearest
from app.engine.lint.fix import drop_empty_headers
from app.engine.lint.model import Model
from app.engine.lint.refused import ELEMENTS as REFUSED
from app.engine.lint.refused import EXTENSIONS as MEANINGLESS
from app.engine.lint.refused import attribute_remedy
from app.engine.lint.vocabulary import ELEMENTS, EVENT_REMEDIES, EVENTS, EXTENSIONS, FOREIGN_ATTRIBUTES, Allowed
from app.engine.xml import BPMN, BPMNDI, ZEEBE, Element, line_of, local_name, namespace, split_name

#: A sub-process starts when its parent comes to it, and for no other reason.
_INNER_START = frozenset({""})
_IDENTITY = frozenset({"id", "name"})
_TRANSPARENT = frozenset({"extensionElements", "ioMapping", "taskHeaders", "properties"})


def elements(model: Model) -> Iterator[Finding]:
    """`unsupported_element`, `unsupported_attribute`, `python_script`, `unsupported_extension`."""
    waiting = [model.root]
    while waiting:
        element = waiting.pop()
        space = namespace(element)
        if space == BPMN:
            yield from _bpmn(element)
        elif space == ZEEBE and not _meant(element):
            yield _meaningless(element)
            continue
        elif space == ZEEBE:
            yield from _attributes(element, local_name(element), _allowed(element)[local_name(element)])
        elif space == BPMNDI:
            continue  # the drawing: the schema checks it, the engine never reads it
        else:
            yield _foreign(element)
            continue
        if not (space == BPMN and local_name(element) not in ELEMENTS):
            waiting += reversed(list(element))


def events(model: Model) -> Iterator[Finding]:
    """`unsupported_event`: a definition that this kind of event may not carry, none where one is needed, or several."""
    for process in model.processes:
        for node in process.nodes():
            allowed = EVENTS.get(node.tag)
            if allowed is None:
                continue
            if node.tag == "startEvent" and process.scopes[node.scope].parent is not None:
                allowed = _INNER_START
            kinds = [event.kind for event in node.events]
            known = [kind for kind in kinds if f"{kind}EventDefinition" in ELEMENTS]
            if len(kinds) > 1:
                message = f"The event {node.label} waits for or throws several things at once"
                yield error("unsupported_event", node.id, message, "Draw one event per trigger.", node.line)
            elif not kinds and "" not in allowed:
                message = f"The event {node.label} does not say what it is about"
                yield error("unsupported_event", node.id, message, EVENT_REMEDIES[node.tag], node.line)
            elif known and known[0] not in allowed:
                message = f"The {_words(node.tag)} {node.label} cannot be of kind {known[0]}"
                yield error("unsupported_event", node.id, message, EVENT_REMEDIES[node.tag], node.line)


def _bpmn(element: Element) -> Iterator[Finding]:
    tag = local_name(element)
    if tag not in ELEMENTS:
        yield _refused(element, tag)
        return
    yield from _attributes(element, tag, ELEMENTS[tag])


def _refused(element: Element, tag: str) -> Finding:
    owner = _owner(element)
    if tag == "script":
        what, remedy = REFUSED[tag]
        return error("python_script", owner, f"{what}: the engine never runs program code", remedy, line_of(element))
    what, remedy = REFUSED.get(tag, (f"The element {tag!r}", "Draw it with the elements of the palette."))
    return error("unsupported_element", owner, f"{what} is not supported", remedy, line_of(element))


def _meant(element: Element) -> bool:
    return local_name(element) in _allowed(element)


def _allowed(element: Element) -> Mapping[str, Allowed]:
    """The zeebe elements that the BPMN element around this one may carry."""
    owner = _bpmn_parent(element)
    return EXTENSIONS.get(local_name(owner), {}) if owner is not None else {}


def _meaningless(element: Element) -> Finding:
    tag, owner = local_name(element), _bpmn_parent(element)
    place = local_name(owner) if owner is not None else "file"
    shown = [name for name in _allowed(element) if name not in _TRANSPARENT]
    message = f"zeebe:{tag} has no meaning at a {_words(place)}"
    remedy = f"Remove it. {MEANINGLESS.get(tag) or nearest(tag, shown)}".strip()
    empty = tag == "taskHeaders" and not any(header.get("value") for header in element)
    fix = drop_empty_headers(_owner(element)) if empty else None
    return error("unsupported_extension", _owner(element), message, remedy, line_of(element), fix=fix)


def _attributes(element: Element, tag: str, allowed: Allowed) -> Iterator[Finding]:
    identity = _IDENTITY if namespace(element) == BPMN else frozenset()
    for name, value in element.attrib.items():
        space, local = split_name(name)
        if space:
            known = local in FOREIGN_ATTRIBUTES.get(space, ())
        elif local in identity:
            known = True
        else:
            values = allowed.get(local, frozenset())
            known = values is None or value in values
        if not known:
            shown = value if len(value) <= 60 else f"{value[:57]}..."
            message = f"The attribute {local}={shown!r} of {tag} is not supported"
            remedy = attribute_remedy(tag, local)
            code = "python_script" if local == "scriptFormat" else "unsupported_attribute"
            yield error(code, _owner(element), message, remedy, line_of(element))


def _foreign(element: Element) -> Finding:
    name = local_name(element)
    message = f"The element {name!r} of the namespace {namespace(element) or '(none)'!r} has no meaning here"
    remedy = "Remove it; operations, forms and mappings are written with zeebe elements."
    return error("unsupported_extension", _owner(element), message, remedy, line_of(element))


def _bpmn_parent(element: Element) -> Element | None:
    for parent in element.iterancestors():
        if namespace(parent) == BPMN and local_name(parent) != "extensionElements":
            return parent
    return None


def _owner(element: Element) -> str:
    """The id that a person finds on the canvas: the nearest one drawn, not that of an inner definition."""
    for candidate in (element, *element.iterancestors()):
        is_inner = local_name(candidate).endswith(("EventDefinition", "Expression", "Characteristics"))
        if candidate.get("id") and namespace(candidate) == BPMN and not is_inner:
            return str(candidate.get("id"))
    return local_name(element)


def _words(tag: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in tag)
