"""DMN XML in, elements out: nothing is fetched, no entity is expanded, nothing oversized is read."""

from typing import Any

from lxml import etree

from app.decisions.errors import DmnError, Finding

MAX_BYTES = 1_000_000
MAX_ELEMENTS = 20_000
NAMESPACES = {
    "http://www.omg.org/spec/DMN/20180521/MODEL/": "1.2",
    "https://www.omg.org/spec/DMN/20191111/MODEL/": "1.3",
    "https://www.omg.org/spec/DMN/20211108/MODEL/": "1.4",
    "https://www.omg.org/spec/DMN/20230324/MODEL/": "1.5",
}
EXPRESSIONS = (
    "decisionTable", "literalExpression", "context", "invocation", "functionDefinition", "list", "relation",
    "conditional", "filter", "for", "some", "every",
)  # fmt: skip
Element = Any
"""An lxml element; lxml brings no types."""


def read_xml(xml: bytes) -> Element:
    """The `definitions` element. DmnError when this is not a safe DMN 1.2 to 1.5 document."""
    if len(xml) > MAX_BYTES:
        raise _refused("too_large", f"The file has {len(xml)} bytes.", f"Keep it below {MAX_BYTES} bytes.")
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise _refused("doctype", "The file declares a document type.", "Remove the DOCTYPE.")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(xml, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _refused("not_xml", f"The file is not XML: {error}.", "Export it again from the modeler.") from None
    if root.getroottree().docinfo.doctype:
        raise _refused("doctype", "The file declares a document type.", "Remove the DOCTYPE.")
    if sum(1 for _ in root.iter()) > MAX_ELEMENTS:
        raise _refused("too_large", f"The file has more than {MAX_ELEMENTS} elements.", "Split the model.")
    if tag(root) != "definitions":
        raise _refused("not_dmn", "The file is not a DMN 1.2 to 1.5 model.", "Export it as DMN 1.2 or later.")
    return root


def _refused(code: str, message: str, remedy: str) -> DmnError:
    return DmnError([Finding(code, "definitions", message, remedy)])


def tag(element: Element) -> str:
    """The local name of a DMN element; "" for elements of other vocabularies, such as the drawing."""
    space, _, name = str(element.tag).rpartition("}")
    return name if space[1:] in NAMESPACES else ""


def child(element: Element, name: str) -> Element | None:
    return next((one for one in element if tag(one) == name), None)


def children(element: Element, name: str) -> list[Element]:
    return [one for one in element if tag(one) == name]


def text_of(element: Element | None) -> str:
    """The text in the `text` child of an expression or cell, else of the element itself."""
    if element is None:
        return ""
    inner = child(element, "text")
    return str((element if inner is None else inner).text or "").strip()


def target(element: Element) -> str:
    """The id an `href="#id"` points at."""
    return str(element.get("href", "")).rpartition("#")[2]
