"""Names of a diagram's elements, for lists that tell its path in words."""

from functools import lru_cache
from typing import cast

from lxml import etree

from app.engine.models import Definition

_MODEL = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"


@lru_cache(maxsize=256)
def _names(content: bytes) -> dict[str, str]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    root = etree.fromstring(content, parser)
    return {
        cast(str, element.get("id")): element.get("name") or ""
        for element in root.iter()
        if isinstance(element.tag, str) and element.tag.startswith(_MODEL) and element.get("id")
    }


def element_names(definition: Definition) -> dict[str, str]:
    """Element id -> its name in the diagram; elements without a name are left out."""
    return {key: name for key, name in _names(definition.content).items() if name}
