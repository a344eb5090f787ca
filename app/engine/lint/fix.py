"""Automatic corrections: only those after which the diagram means what it meant, or what it plainly was to mean.

A finding that can be corrected carries a `Fix`; what cannot be decided from the file alone stays with its author.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lxml import etree

from app.engine.xml import BPMN, ZEEBE, Element, child, children, namespace, read, text_of

if TYPE_CHECKING:
    from app.engine.lint.finding import Finding

Change = Callable[[Element], bool]


@dataclass(frozen=True, slots=True)
class Fix:
    """`change` corrects the tree it is given and says whether it had to; `done` tells a person what was corrected."""

    done: str
    change: Change


def corrected(content: bytes, findings: Iterable["Finding"]) -> tuple[bytes, list["Finding"]]:
    """The file with the fixes of its findings applied, and the findings that changed something.

    Comments, order and spaces between elements stay; UnreadableXml when the file cannot be read at all.
    """
    root = read(content, notes=True)
    applied = [finding for finding in findings if finding.fix is not None and finding.fix.change(root)]
    if not applied:
        return content, []
    declared = content.lstrip(b"\xef\xbb\xbf").startswith(b"<?xml")
    written: bytes = etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=declared)
    head, mark, rest = written.partition(b"?>")
    written = head.replace(b"'", b'"') + mark + rest if declared else written
    return written + (b"\n" if content.endswith(b"\n") else b""), applied


def set_attribute(identity: str, name: str, value: str) -> Fix:
    def change(root: Element) -> bool:
        found = [element for element in _drawn(root, identity) if element.get(name) != value]
        for element in found:
            element.set(name, value)
        return bool(found)

    return Fix(f'Set {name}="{value}"', change)


def set_retries(identity: str, value: str) -> Fix:
    def change(root: Element) -> bool:
        found = [task for task in _extensions(root, identity, "taskDefinition") if task.get("retries") != value]
        for task in found:
            task.set("retries", value)
        return bool(found)

    return Fix(f'Set retries="{value}"', change)


def drop_condition(flow: str) -> Fix:
    def change(root: Element) -> bool:
        found = [child(element, "conditionExpression") for element in _drawn(root, flow)]
        return _drop(condition for condition in found if condition is not None)

    return Fix("Removed the condition, which was never looked at", change)


def drop_listed(identity: str, direction: str, flow: str) -> Fix:
    def change(root: Element) -> bool:
        return _drop(
            entry for node in _drawn(root, identity) for entry in children(node, direction) if text_of(entry) == flow
        )

    return Fix(f"Removed {flow!r} from its {direction} flows", change)


def drop_repeated_mapping(identity: str, kind: str, source: str, target: str) -> Fix:
    def change(root: Element) -> bool:
        same = [m for m in _extensions(root, identity, kind) if (m.get("source"), m.get("target")) == (source, target)]
        return _drop(same[1:])

    return Fix(f"Removed the repetition of the {kind} mapping to {target!r}", change)


def drop_repeated_extension(identity: str, name: str) -> Fix:
    def change(root: Element) -> bool:
        return _drop(_extensions(root, identity, name)[1:])

    return Fix(f"Removed the repetition of zeebe:{name}", change)


def drop_empty_headers(identity: str) -> Fix:
    def change(root: Element) -> bool:
        found = _extensions(root, identity, "taskHeaders")
        return _drop(headers for headers in found if not any(header.get("value") for header in headers))

    return Fix("Removed zeebe:taskHeaders, which held nothing", change)


def write_time(identity: str, tag: str, text: str) -> Fix:
    def change(root: Element) -> bool:
        found = [time for node in _drawn(root, identity) for time in node.iter(f"{{{BPMN}}}{tag}") if time.text != text]
        for time in found:
            time.text = text
        return bool(found)

    return Fix(f"Wrote the time as {text}", change)


def _drawn(root: Element, identity: str) -> list[Element]:
    return [one for one in root.iter("*") if namespace(one) == BPMN and one.get("id") == identity]


def _extensions(root: Element, identity: str, name: str) -> list[Element]:
    """The zeebe elements of that name which belong to the element itself."""
    return [
        found
        for element in _drawn(root, identity)
        for extra in children(element, "extensionElements")
        for found in extra.iter(f"{{{ZEEBE}}}{name}")
    ]


def _drop(elements: Iterable[Element]) -> bool:
    """Take elements out together with the line they stood on."""
    dropped = False
    for element in list(elements):
        parent, before = element.getparent(), element.getprevious()
        tail = element.tail
        parent.remove(element)
        if before is not None:
            before.tail = tail if not (tail or "").strip() else (before.tail or "") + tail
        elif len(parent) == 0:
            parent.text = None if not (parent.text or "").strip() else parent.text
        dropped = True
    return dropped
