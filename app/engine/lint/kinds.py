"""What kind of file one is: by the end of its name, else by what it holds."""

import orjson

from app.engine.forms import MAX_BYTES
from app.engine.lint.known import Upload
from app.engine.lint.reading import is_bpmn
from app.engine.xml import UnreadableXml, local_name, namespace, read

_ENDINGS = {".bpmn": "bpmn", ".dmn": "dmn", ".form.json": "form"}
_DMN = "omg.org/spec/DMN/"
#: What every form has, and no other JSON of these editors.
_FORM = frozenset({"id", "title", "decisions"})


def kind_of(upload: Upload) -> str:
    """`bpmn`, `dmn` or `form`; empty when neither the name nor the content tells."""
    named = next((kind for ending, kind in _ENDINGS.items() if upload.name.endswith(ending)), "")
    return named or _of_xml(upload.content) or _of_json(upload.content)


def _of_xml(content: bytes) -> str:
    try:
        root = read(content)
    except UnreadableXml:
        return ""
    if is_bpmn(root):
        return "bpmn"
    return "dmn" if local_name(root) == "definitions" and _DMN in namespace(root) else ""


def _of_json(content: bytes) -> str:
    try:
        value = orjson.loads(content) if len(content) <= MAX_BYTES else None
    except orjson.JSONDecodeError:
        return ""
    return "form" if isinstance(value, dict) and value.keys() >= _FORM else ""
