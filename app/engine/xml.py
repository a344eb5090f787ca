"""Reading diagrams and tables: the only place that parses XML, so that every file passes the same narrow door.

A file is data from somebody who is not an administrator: it is bounded in bytes, elements and depth, it may not
declare a document type, and nothing outside of it is ever fetched.
"""

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from app.errors import AppError

MAX_BYTES = 1_000_000
MAX_ELEMENTS = 5_000
MAX_DEPTH = 64

BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
BPMNDI = "http://www.omg.org/spec/BPMN/20100524/DI"
ZEEBE = "http://camunda.org/schema/zeebe/1.0"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

#: An lxml element; lxml ships no types.
Element = Any

#: Asked in C; only a file that is out of bounds is walked to find the place.
_COUNTED = etree.XPath("count(//*)")
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (MAX_DEPTH + 1)})")
_DECLARED = re.compile(r"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)")


class UnreadableXml(AppError):
    """`remedy` says what to do about it; `line` is where the reader stopped, None when it never began."""

    code = "unreadable_xml"
    title = "The file cannot be read as XML"
    status = 422

    def __init__(self, sentence: str, remedy: str, line: int | None = None) -> None:
        super().__init__(sentence)
        self.remedy = remedy
        self.line = line


def read(content: bytes, *, notes: bool = False) -> Element:
    """The root element of `content`; UnreadableXml when it is too large, not XML, or declares a document type.

    With `notes` comments and instructions stay in the tree, for a file that is written again.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableXml(
            f"The file has {len(content):,} bytes, more than the {MAX_BYTES:,} allowed",
            "Move parts of the flow into processes of their own and call them.",
        )
    text = _decode(content)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UnreadableXml(
            "The file declares a document type (DOCTYPE)", "Remove the DOCTYPE; a diagram needs none.", _line(text)
        )
    root = _parse(text.encode(), notes=notes)
    _measure(root)
    return root


def local_name(element: Element) -> str:
    tag: str = element.tag
    return tag.rpartition("}")[2]


def namespace(element: Element) -> str:
    tag: str = element.tag
    return tag[1:].partition("}")[0] if tag[0] == "{" else ""


def split_name(name: str) -> tuple[str, str]:
    """Namespace and local part of a name as lxml writes it, `{namespace}local`."""
    space, _, local = name.rpartition("}")
    return space[1:], local


def lines(root: Element) -> dict[str, int | None]:
    """The line of every element that has an id."""
    return {str(one.get("id")): line_of(one) for one in root.iter("*") if one.get("id")}


def line_of(element: Element) -> int | None:
    line: int | None = element.sourceline
    return line


def children(parent: Element, tag: str, space: str = BPMN) -> Iterator[Element]:
    yield from parent.iterchildren(f"{{{space}}}{tag}")


def child(parent: Element, tag: str, space: str = BPMN) -> Element | None:
    return next(children(parent, tag, space), None)


def text_of(element: Element | None) -> str:
    """The stripped text of `element`, empty when it is missing."""
    return "" if element is None else str(element.text or "").strip()


def _decode(content: bytes) -> str:
    """The text. One encoding only, declared truthfully: readers that disagree about it would see different files."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableXml(
            f"The file is not valid UTF-8 text at byte {error.start}", "Save the file as UTF-8."
        ) from None
    declared = _DECLARED.match(text)
    if declared and declared[1].lower() != "utf-8":
        raise UnreadableXml(f"The file declares the encoding {declared[1]!r}", "Save the file as UTF-8.", 1)
    return text


def _parse(content: bytes, *, notes: bool) -> Element:
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=not notes,
        remove_pis=not notes,
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UnreadableXml(
            f"The file is not well-formed XML: {error}",
            "Open and save the file in the modeler, or correct the named place.",
            getattr(error, "lineno", None),
        ) from None
    if root is None:
        raise UnreadableXml("The file is empty", "Upload the diagram itself.")
    return root


def _measure(root: Element) -> None:
    if _COUNTED(root) <= MAX_ELEMENTS and not _TOO_DEEP(root):
        return
    depth = count = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        count += event == "start"
        if depth > MAX_DEPTH:
            raise UnreadableXml(
                f"Elements are nested more than {MAX_DEPTH} deep",
                "Move nested sub-processes into processes of their own and call them.",
                line_of(element),
            )
        if count > MAX_ELEMENTS:
            raise UnreadableXml(
                f"The file has more than {MAX_ELEMENTS:,} elements",
                "Move parts of the flow into processes of their own and call them.",
                line_of(element),
            )


def _line(text: str) -> int:
    place = min(place for mark in ("<!DOCTYPE", "<!ENTITY") if (place := text.find(mark)) >= 0)
    return text.count("\n", 0, place) + 1
