"""The BPMN 2.0 schema: order, nesting and required attributes, told in the words of the element they concern."""

import re
import threading
from collections.abc import Iterator
from functools import cache

from lxml import etree
from SpiffWorkflow.bpmn.parser.BpmnParser import XSD_PATH

from app.engine.lint.finding import Finding, error
from app.engine.lint.model import Model
from app.engine.xml import Element, local_name

_NAMESPACE = re.compile(r"\{[^}]*\}")
_LOCK = threading.Lock()
_MOST = 20


def valid(model: Model) -> Iterator[Finding]:
    """`invalid_schema`, at most twenty of them: one slip often breaks the rules of many places."""
    for line, path, message in _violations(model.root):
        place = _place(model.root, path)
        sentence = _NAMESPACE.sub("", message)
        remedy = "Open and save the diagram in the modeler, which writes valid files; or correct the named place."
        yield error("invalid_schema", _owner(place), f"Not valid BPMN 2.0: {sentence}", remedy, line)


@cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(XSD_PATH))


def _violations(root: Element) -> list[tuple[int, str, str]]:
    """Line, path and sentence. A schema keeps the log of its last run, hence one run at a time."""
    with _LOCK:
        schema = _schema()
        if schema.validate(root):
            return []
        return [(entry.line, entry.path or "", entry.message) for entry in list(schema.error_log)[:_MOST]]


def _place(root: Element, path: str) -> Element:
    """The element of a path. Most files declare every prefix at their root; only the others are searched for more."""
    for spaces in (_prefixes, _all_prefixes):
        try:
            found = root.xpath(path, namespaces=spaces(root))
        except etree.XPathError:
            continue
        return found[0] if isinstance(found, list) and found and hasattr(found[0], "iterancestors") else root
    return root


def _prefixes(element: Element) -> dict[str, str]:
    return {prefix: uri for prefix, uri in element.nsmap.items() if prefix}


def _all_prefixes(root: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in root.iter("*"):
        found = _prefixes(element) | found
    return found


def _owner(place: Element) -> str:
    for candidate in (place, *place.iterancestors()):
        if candidate.get("id"):
            return str(candidate.get("id"))
    return local_name(place)
