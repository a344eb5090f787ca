"""Tasks as a whole: each says once what it does, user tasks say who does it and with which form."""

import re
from collections import Counter
from collections.abc import Iterator

from app.access.actor import Role
from app.engine.lint.expressions import repeatable
from app.engine.lint.finding import Finding, error, nearest, warning
from app.engine.lint.fix import drop_repeated_extension, drop_repeated_mapping
from app.engine.lint.known import Known
from app.engine.lint.model import Model, Node
from app.engine.lint.reading import zeebe_extensions

_LISTED = frozenset({"input", "output", "header", "property"})
#: What they hold is not in their attributes, so two of them are never told to be the same.
_HOLDING = frozenset({"ioMapping", "taskHeaders", "properties"})
_HEADERS = frozenset({"excluded"})
_GROUPS = frozenset(role.value for role in Role)
_PRIORITY = re.compile(r"\d{1,2}|100")


def complete(model: Model) -> Iterator[Finding]:
    """`repeated_extension`, `duplicate_output`, `missing_script`, `missing_collection`."""
    for node in model.nodes():
        for name, items in node.extensions.items():
            if len(items) > 1 and name not in _LISTED:
                message = f"{node.label} has zeebe:{name} {len(items)} times; only one can count"
                same = all(item == items[0] for item in items) and name not in _HOLDING
                fix = drop_repeated_extension(node.id, name) if same else None
                yield error("repeated_extension", node.id, message, "Keep one of them.", node.line, fix=fix)
        outputs = Counter((one.get("source", ""), one.get("target", "")) for one in node.extensions.get("output", ()))
        for (source, target), count in outputs.items():
            if count > 1:
                message = f"{node.label} writes {source} to {target!r} {count} times"
                fix = drop_repeated_mapping(node.id, "output", source, target) if repeatable(source, target) else None
                yield warning("duplicate_output", node.id, message, "Keep one of the mappings.", node.line, fix=fix)
        if node.tag == "scriptTask" and not node.script and "script" not in node.extensions:
            remedy = "Write a FEEL expression and its result variable in zeebe:script."
            yield error("missing_script", node.id, f"{node.label} has no expression", remedy, node.line)
        if node.loop is not None:
            loops = zeebe_extensions(node.loop).get("loopCharacteristics", ())
            if len(loops) != 1 or not loops[0].get("inputCollection", "").strip():
                message = f"{node.label} repeats for a collection that is not named"
                remedy = "Give its input collection, such as =items."
                yield error("missing_collection", node.id, message, remedy, node.line)


def assigned(model: Model) -> Iterator[Finding]:
    """`task_for_nobody`, `unknown_group`, `unknown_header`, `invalid_priority`."""
    for process in model.processes:
        lanes = {name: lane.name for lane in process.lanes for name in lane.nodes}
        for node in process.nodes():
            if node.tag == "userTask":
                drawn = node.extension("assignmentDefinition").get("candidateGroups", "")
                yield from _offered(node, drawn or lanes.get(node.id, ""))
                yield from _details(node)


def forms(model: Model, known: Known) -> Iterator[Finding]:
    """`missing_form`, `unknown_form`."""
    for node in model.nodes():
        if node.tag != "userTask":
            continue
        form = node.extension("formDefinition").get("formId", "")
        if not form:
            remedy = "Choose the form that holds the decisions."
            yield error("missing_form", node.id, f"{node.label} has no form to decide with", remedy, node.line)
        elif form not in known.forms:
            message = f"{node.label} uses the form {form!r}, which is neither published nor among these files"
            remedy = f"Deploy the form together with the diagram, or publish it first. {nearest(form, known.forms)}"
            yield error("unknown_form", node.id, message, remedy.strip(), node.line)


def _offered(node: Node, groups: str) -> Iterator[Finding]:
    """Groups that are computed are looked at when the task begins."""
    if groups.strip().startswith("="):
        return
    names = [name.strip() for name in groups.split(",") if name.strip()]
    strange = [name for name in names if name not in _GROUPS]
    if not names:
        message = f"{node.label} has no candidate groups and lies in no lane, so nobody could ever decide it"
        remedy = "Give it candidate groups such as reviewer, or draw it in a lane with that name."
        yield error("task_for_nobody", node.id, message, remedy, node.line)
    elif strange:
        nobody = strange == names
        message = f"{node.label} is offered to {strange[0]!r}, which is no role of the house"
        message += ", so nobody could ever decide it" if nobody else ""
        remedy = f"Name roles as candidate groups, or as the lane it is drawn in. {nearest(strange[0], _GROUPS)}"
        yield (error if nobody else warning)("unknown_group", node.id, message, remedy, node.line)


def _details(node: Node) -> Iterator[Finding]:
    for header in node.extensions.get("header", ()):
        key = header.get("key", "")
        if key not in _HEADERS:
            message = f"The task header {key!r} of {node.label} has no meaning"
            remedy = f"Remove it. {nearest(key, _HEADERS)}"
            yield error("unknown_header", node.id, message, remedy, node.line)
    priority = node.extension("priorityDefinition").get("priority", "50").strip()
    if not priority.startswith("=") and not _PRIORITY.fullmatch(priority):
        message = f"The priority {priority!r} of {node.label} is not a number from 0 to 100"
        remedy = "Write a number from 0 to 100; 50 is ordinary."
        yield error("invalid_priority", node.id, message, remedy, node.line)
