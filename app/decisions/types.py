"""The types of a model: FEEL's own, the model's item definitions, and how a value is brought to one."""

from collections.abc import Callable
from typing import Any

from app.decisions.model import Coercion
from app.decisions.xml import Element, child, children, text_of
from app.feel import temporal
from app.feel.scope import Run
from app.feel.syntax import Type
from app.feel.types import ANY, NAMES, conform

_MAX_DEPTH = 40
_NUMBERS = ("integer", "long", "double", "decimal")
_READERS: dict[str, Callable[[str], Any]] = {
    "date": temporal.read_date,
    "time": temporal.read_time,
    "date and time": temporal.read_moment,
    "dateTime": temporal.read_moment,
    "days and time duration": temporal.read_duration,
    "dayTimeDuration": temporal.read_duration,
    "years and months duration": temporal.read_duration,
    "yearMonthDuration": temporal.read_duration,
}


class Types:
    """Type references of one model, resolved once each."""

    def __init__(self, root: Element) -> None:
        self._definitions: dict[str, Element] = {
            str(one.get("name", "")): one for one in children(root, "itemDefinition")
        }
        self._resolved: dict[str, Type | None] = {}
        self._depth = 0

    def find(self, reference: str) -> Type | None:
        """The type of a reference; None when there is no such type, or it contains itself or too many others."""
        name = self._name(reference)
        if not name or name == "Any":
            return ANY
        if name in self._definitions:
            return self._defined(name)
        if name in _NUMBERS:
            return Type("number")
        return Type(name) if name in NAMES else None

    def _defined(self, name: str) -> Type | None:
        if name not in self._resolved:
            self._resolved[name] = None
            self._depth += 1
            self._resolved[name] = self._item(self._definitions[name]) if self._depth <= _MAX_DEPTH else None
            self._depth -= 1
        return self._resolved[name]

    def definition(self, reference: str) -> Element | None:
        """The item definition a reference names, when it names one."""
        return self._definitions.get(self._name(reference))

    def _name(self, reference: str) -> str:
        name = reference.strip()
        # A prefix says in which vocabulary the type is defined: FEEL's own or this model.
        return name if name in self._definitions else name.rpartition(":")[2]

    def _item(self, element: Element) -> Type | None:
        parts = children(element, "itemComponent")
        reference = text_of(child(element, "typeRef"))
        item: Type | None
        if parts:
            fields = [(str(part.get("name", "")), self._item(part)) for part in parts]
            known = tuple((name, field) for name, field in fields if field is not None)
            item = Type("context", fields=known) if len(known) == len(fields) else None
        else:
            item = self.find(reference)
        return Type("list", (item,)) if item and element.get("isCollection") == "true" else item


def coercion(wanted: Type) -> Coercion:
    """Bring a value to a type, else null. JSON has no dates, so a text stands for the date or duration it spells."""
    read = _READERS.get(wanted.name)

    def coerce(_run: Run, value: Any) -> Any:
        if read is not None and type(value) is str:
            value = read(value)
        return conform(value, wanted)

    return same if wanted == ANY else coerce


def same(_run: Run, value: Any) -> Any:
    return value
