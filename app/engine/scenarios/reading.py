"""Scenario files: YAML with every value's line kept, so that what is wrong can be shown where it stands.

Only what JSON knows is read: no dates, no floats (`1.5` is a text), no yes and no as booleans. Anchors and repeated
keys are refused: the first can grow without bound, the second would silently drop half of what was written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from app.engine.scenarios.model import Suite
from app.errors import AppError, FieldError

MAX_BYTES = 400_000
MAX_DEPTH = 30

#: libyaml's where it is installed: ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[str | int, ...]


class InvalidScenarios(AppError):
    """`errors` name the place: `file:line: scenario 'name': field`."""

    code = "invalid_scenarios"
    title = "The scenario file cannot be used"
    status = 422


@dataclass(frozen=True)
class Document:
    """One YAML document, read: the suite, and the line of each of its values."""

    file: str
    suite: Suite
    lines: Mapping[Place, int]

    def wrong(self, place: Place, message: str) -> FieldError:
        return _wrong(self.file, self.lines, [one.name for one in self.suite.scenarios], place, message)


def read_documents(content: bytes, file: str = "scenarios.yaml") -> list[Document]:
    """Every document of a scenario file. Raises InvalidScenarios."""
    if len(content) > MAX_BYTES:
        raise InvalidScenarios(f"{file} has more than {MAX_BYTES:,} bytes; split it")
    documents = []
    for node in _composed(content, file):
        tree = _Tree(file)
        values = tree.value(node, ())
        documents.append(Document(file, _suite(file, values, tree.lines), tree.lines))
    if not documents:
        raise InvalidScenarios(f"{file} is empty; begin with process: and scenarios:")
    return documents


def refuse(errors: Sequence[FieldError]) -> None:
    """Raises InvalidScenarios when there is something wrong."""
    if errors:
        raise InvalidScenarios("; ".join(f"{error.field}: {error.message}" for error in errors), errors=errors)


def _composed(content: bytes, file: str) -> list[yaml.Node]:
    try:
        text = content.decode("utf-8-sig")
        _refuse_growth(text, file)
        return [node for node in yaml.compose_all(text, Loader=_LOADER) if node is not None]
    except UnicodeDecodeError:
        raise InvalidScenarios(f"{file} is not UTF-8 text; save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        raise InvalidScenarios(f"{file}:{_line(error.problem_mark)}: not readable as YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise InvalidScenarios(f"{file} is not readable as YAML; remove unusual characters") from None


def _refuse_growth(text: str, file: str) -> None:
    """What could make reading unbounded, seen before anything is built: aliases and deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        where = f"{file}:{_line(event.start_mark)}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InvalidScenarios(f"{where}: anchors and aliases are not allowed; write the values out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise InvalidScenarios(f"{where}: nested deeper than {MAX_DEPTH}")


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark is not None else 1


def _suite(file: str, values: Any, lines: Mapping[Place, int]) -> Suite:
    if not isinstance(values, dict):
        raise InvalidScenarios(f"{file}:{lines.get((), 1)}: a document begins with process: and scenarios:")
    try:
        return Suite.model_validate(values)
    except ValidationError as error:
        names = _names(values)
        found = [
            _wrong(file, lines, names, tuple(item["loc"]), _sentence(item["type"], item["msg"]))
            for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]
        ]
        raise InvalidScenarios("; ".join(f"{one.field}: {one.message}" for one in found), errors=found) from None


def _sentence(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such field"
    if kind == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")


def _names(values: Mapping[str, Any]) -> list[str]:
    scenarios = values.get("scenarios")
    listed = scenarios if isinstance(scenarios, list) else []
    return [str(one.get("name", "")) if isinstance(one, dict) else "" for one in listed]


def _wrong(file: str, lines: Mapping[Place, int], names: Sequence[str], place: Place, message: str) -> FieldError:
    known = place
    while known and known not in lines:
        known = known[:-1]
    where = f"{file}:{lines.get(known, 1)}"
    rest = place
    if len(place) > 1 and place[0] == "scenarios" and isinstance(place[1], int):
        name = names[place[1]] if place[1] < len(names) else ""
        where += f": scenario {name!r}" if name else f": scenario {place[1] + 1}"
        rest = place[2:]
    path = ".".join(str(part + 1) if isinstance(part, int) else part for part in rest)
    return FieldError(f"{where}: {path}" if path else where, message)


@dataclass
class _Tree:
    """Turns YAML nodes into JSON values and keeps their lines."""

    file: str
    lines: dict[Place, int] = field(default_factory=dict)

    def value(self, node: yaml.Node, place: Place) -> Any:
        self.lines[place] = _line(node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                raise self._refused(key_node, "a key must be a plain text")
            if key in found:
                raise self._refused(key_node, f"{key!r} is there twice")
            found[key] = self.value(value_node, (*place, key))
            self.lines[(*place, key)] = _line(key_node.start_mark)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        if getattr(node, "style", None) in ("'", '"', "|", ">"):
            return text
        if text in ("", "~", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdecimal() and len(digits) <= 18 and (digits == "0" or digits[0] != "0"):
            return int(text)
        return text

    def _refused(self, node: yaml.Node, message: str) -> InvalidScenarios:
        return InvalidScenarios(f"{self.file}:{_line(node.start_mark)}: {message}")
