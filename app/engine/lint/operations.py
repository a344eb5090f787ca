"""Service tasks against the operations they call: name, parameters, literals, and the errors they throw."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import ValidationError

from app.engine.expressions import EvaluationFailed
from app.engine.lint.expressions import repeatable, settled
from app.engine.lint.finding import Finding, error, nearest, warning
from app.engine.lint.fix import Fix, drop_repeated_mapping, set_retries
from app.engine.lint.known import Known
from app.engine.lint.model import Attributes, Model, Node, Process, Scope
from app.operations import Operation

_CALLING = frozenset({"serviceTask", "sendTask"})
_RETRIES = re.compile(r"\d|10")
_CONSTANT = re.compile(r"-?\d{1,18}(\.\d{1,9})?|\"[^\"\\]*\"|true|false|null")


def called(model: Model, known: Known) -> Iterator[Finding]:
    """`missing_operation`, `unknown_operation`, `invalid_retries`, and what is wrong with the parameters."""
    for node in model.nodes():
        if node.tag not in _CALLING:
            continue
        operation = known.operation(node.operation)
        retries = node.extension("taskDefinition").get("retries", "3").strip()
        if not node.operation:
            remedy = "Choose what it does from the list of operations."
            yield error("missing_operation", node.id, f"{node.label} names no operation", remedy, node.line)
        elif operation is None:
            message = f"{node.label} calls {node.operation!r}, and there is no such operation"
            hint = nearest(node.operation, (item.name for item in known.operations))
            yield error("unknown_operation", node.id, message, hint or "No operation is installed.", node.line)
        else:
            yield from _parameters(node, operation)
        if not _is_count(retries):
            message = f"The retries {retries!r} of {node.label} are not a number from 0 to 10"
            remedy = "Write how often a technical failure is tried again, such as 3, or FEEL with = that gives it."
            fix = None if retries else set_retries(node.id, "3")
            yield error("invalid_retries", node.id, message, remedy, node.line, fix=fix)


def boundaries(model: Model, known: Known) -> Iterator[Finding]:
    """`error_never_thrown`, `error_not_caught`: what is caught and what is thrown should agree."""
    for process in model.processes:
        escaping = _escaping(model, process, known)
        for scope in process.scopes.values():
            for node in scope.nodes.values():
                if node.tag == "boundaryEvent":
                    yield from _never_thrown(model, scope, node, known, escaping)
                elif node.tag in _CALLING:
                    yield from _not_caught(model, process, node, known)


def catching(model: Model, scope: Scope, host: str) -> set[str]:
    """The error codes caught at `host`; the empty text stands for any."""
    codes = (model.error_code(event) for event in scope.on(host))
    return {code for code in codes if code is not None}


def _is_count(retries: str) -> bool:
    try:
        said = settled(retries, "The retries")
    except EvaluationFailed:
        return False
    return said is None or _RETRIES.fullmatch(said) is not None


def _parameters(node: Node, operation: Operation) -> Iterator[Finding]:
    inputs = node.extensions.get("input", ())
    fields = operation.params.model_fields
    targets = Counter(mapping.get("target", "").partition(".")[0] for mapping in inputs)
    whole = Counter(mapping.get("target", "") for mapping in inputs)
    for name in targets:
        if name not in fields:
            message = f"{node.label} gives {operation.name} the parameter {name!r}, which it does not take"
            hint = nearest(name, fields) or "It takes no parameters; remove the input mapping."
            yield error("unknown_parameter", node.id, message, hint, node.line)
    for name, count in whole.items():
        if count > 1:
            message = f"{node.label} gives the parameter {name!r} {count} times"
            fix = _kept_once(node, inputs, name)
            yield error("duplicate_parameter", node.id, message, "Keep one of the input mappings.", node.line, fix=fix)
    for name, field in fields.items():
        if field.is_required() and name not in targets:
            message = f"{node.label} does not give {operation.name} its parameter {name!r}"
            remedy = f"Add an input mapping to {name}{f': {field.description}' if field.description else ''}."
            yield error("missing_parameter", node.id, message, remedy.replace("..", "."), node.line)
    yield from _literals(node, operation, inputs)


def _kept_once(node: Node, inputs: tuple[Attributes, ...], target: str) -> Fix | None:
    sources = {mapping.get("source", "") for mapping in inputs if mapping.get("target", "") == target}
    source = sources.pop()
    safe = not sources and repeatable(source, target)
    return drop_repeated_mapping(node.id, "input", source, target) if safe else None


def _literals(node: Node, operation: Operation, inputs: tuple[Attributes, ...]) -> Iterator[Finding]:
    """`wrong_literal`: fixed values are tried on the operation's own types."""
    fixed: dict[str, Any] = {}
    for mapping in inputs:
        source, target = mapping.get("source", "").strip(), mapping.get("target", "")
        if target not in operation.params.model_fields:
            continue
        if not source.startswith("="):
            fixed[target] = source
        elif _CONSTANT.fullmatch(constant := source[1:].strip()):
            fixed[target] = _value(constant)
    try:
        operation.params.model_validate(fixed)
    except ValidationError as wrong:
        for problem in wrong.errors(include_url=False, include_context=False, include_input=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            if name in fixed:
                message = f"{node.label} gives {operation.name} {name} = {fixed[name]!r}: {problem['msg']}"
                remedy = f"Write a value that fits {name}, or an expression beginning with =."
                yield error("wrong_literal", node.id, message, remedy, node.line)


def _value(constant: str) -> Any:
    try:
        return orjson.loads(constant)
    except orjson.JSONDecodeError:
        return constant.strip('"')


def _escaping(model: Model, process: Process, known: Known) -> dict[str, set[str] | None]:
    """For every scope the error codes that can leave it; None when a called process may throw any."""
    escaping: dict[str, set[str] | None] = {}
    for scope in reversed(list(process.scopes.values())):
        codes: set[str] | None = set()
        for node in scope.nodes.values():
            own = model.error_code(node) if node.tag == "endEvent" else None
            thrown = {own} if own is not None else _thrown(node, known, escaping)
            caught = catching(model, scope, node.id)
            if "" in caught:
                continue
            codes = None if codes is None or thrown is None else codes | (thrown - caught)
        escaping[scope.id] = codes
    return escaping


def _thrown(node: Node, known: Known, escaping: dict[str, set[str] | None]) -> set[str] | None:
    if node.tag in _CALLING:
        operation = known.operation(node.operation)
        return None if operation is None else set(operation.errors)
    if node.tag == "subProcess":
        return escaping.get(node.id, set())
    return None if node.tag == "callActivity" else set()


def _never_thrown(
    model: Model, scope: Scope, event: Node, known: Known, escaping: dict[str, set[str] | None]
) -> Iterator[Finding]:
    code, host = model.error_code(event), scope.nodes.get(event.host)
    if code is None or host is None:
        return
    thrown = _thrown(host, known, escaping)
    if thrown is None or code in thrown or (not code and thrown):
        return
    what = f"the error {code}" if code else "errors"
    message = f"{event.label} catches {what}, which {host.label} never throws"
    remedy = f"It throws: {', '.join(sorted(thrown))}." if thrown else "It throws no errors; remove the event."
    yield warning("error_never_thrown", event.id, message, remedy, event.line)


def _not_caught(model: Model, process: Process, node: Node, known: Known) -> Iterator[Finding]:
    operation = known.operation(node.operation)
    if operation is None:
        return
    caught = catching(model, process.scopes[node.scope], node.id)
    for outer, host in process.enclosing(node.scope):
        caught |= catching(model, outer, host.id)
    missed = sorted(set(operation.errors) - caught)
    if missed and "" not in caught:
        message = f"Nothing in this process catches {', '.join(missed)} of {node.label}"
        remedy = "Attach an error boundary event for each; otherwise it stops there as an incident."
        yield warning("error_not_caught", node.id, message, remedy, node.line)
