"""The gate itself: reads every file of a deployment, then asks every rule. Pure: files and what is known go in,
findings come out, and nothing a file contains makes it raise.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from app.engine.dialect import DiagramError, parse_diagram
from app.engine.lint.finding import Finding, Severity, error
from app.engine.lint.kinds import kind_of
from app.engine.lint.known import Known, ProcessFacts, Upload
from app.engine.lint.model import Model
from app.engine.lint.reading import is_bpmn, read_model
from app.engine.lint.reviews import lingering
from app.engine.lint.rules import FIRST, OF_THE_DIAGRAM, OF_THE_WORLD
from app.engine.lint.structure import MAX_NODES
from app.engine.lint.tables import read_decisions, read_form_file
from app.engine.xml import UnreadableXml, lines, read
from app.kit.database import Json

MAX_FILES = 50


@dataclass(frozen=True, slots=True)
class Examined:
    """One file, understood: what it defines (`kind`, `key`, `name`), what it uses, and what is wrong with it."""

    upload: Upload
    kind: str = ""
    key: str = ""
    name: str = ""
    uses: Json = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    model: Model | None = None

    @property
    def refused(self) -> bool:
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.WARNING]


def lint(files: Sequence[Upload], known: Known) -> list[Finding]:
    """Everything that is wrong with deploying `files` together; empty when there is nothing to say."""
    return [finding for item in examine(files, known) for finding in item.findings]


def examine(files: Sequence[Upload], known: Known) -> list[Examined]:
    """Each file with its findings. The files see each other and whatever `known` holds."""
    if len(files) > MAX_FILES:
        finding = error(
            "too_many_files", files[0].name, f"More than {MAX_FILES} files", "Deploy them in several steps."
        )
        return [Examined(files[0], findings=(finding,))]
    understood = [_understand(upload) for upload in files]
    world = _world(understood, known)
    clashes = _clashes(understood, known)
    return [_judge(item, world, clashes.get(index, [])) for index, item in enumerate(understood)]


def beside(files: Sequence[Upload], known: Known) -> Known:
    """What may be referred to beside `files`: what they define, and what is known."""
    return _world([_understand(upload) for upload in files], known)


def _understand(upload: Upload) -> Examined:
    kind = kind_of(upload)
    if kind == "bpmn":
        return _bpmn(upload)
    if kind == "dmn":
        key, name, decisions, findings = read_decisions(upload.content)
        return Examined(upload, kind, key, name, {"defines": decisions}, tuple(findings))
    if kind == "form":
        key, name, findings = read_form_file(upload.content)
        return Examined(upload, kind, key, name, {}, tuple(findings))
    message = f"Neither the name {upload.name!r} nor its content says what the file holds"
    remedy = "Send a BPMN diagram (.bpmn), a DMN model (.dmn) or a form (.form.json), exported from its editor."
    return Examined(upload, findings=(error("unknown_file_kind", upload.name, message, remedy),))


def _bpmn(upload: Upload) -> Examined:
    try:
        root = read(upload.content)
    except UnreadableXml as unreadable:
        finding = error("unreadable_file", upload.name, unreadable.detail, unreadable.remedy, unreadable.line)
        return Examined(upload, findings=(finding,))
    if not is_bpmn(root):
        message = "The file is XML, but no BPMN 2.0 diagram"
        finding = error("unreadable_file", upload.name, message, "Export it from the modeler as BPMN 2.0.")
        return Examined(upload, findings=(finding,))
    model = read_model(upload.name, root)
    process = model.process
    if process is None:
        return Examined(upload, model=model)
    uses: Json = {
        "processes": process.calls(),
        "decisions": process.decisions(),
        "forms": process.forms(),
        "operations": process.operations(),
        "lingering": lingering(process),
    }
    return Examined(upload, "bpmn", process.id, process.name or process.id, uses, model=model)


def _world(items: Sequence[Examined], known: Known) -> Known:
    processes = {item.key: ProcessFacts.of(item.uses) for item in items if item.kind == "bpmn"}
    decisions = {decision: item.key for item in items if item.kind == "dmn" for decision in item.uses["defines"]}
    return known.plus(processes, decisions, [item.key for item in items if item.kind == "form"])


def _clashes(items: Sequence[Examined], known: Known) -> dict[int, list[Finding]]:
    """`duplicate_key`: two files, or a file and a published model, that define the same thing."""
    found: dict[int, list[Finding]] = {}
    keys = Counter((item.kind, item.key) for item in items if item.key)
    replaced = {item.key for item in items if item.kind == "dmn"}
    owners = {decision: model for decision, model in known.decisions.items() if model not in replaced}
    for index, item in enumerate(items):
        if item.key and keys[item.kind, item.key] > 1:
            message = f"Several files define {item.key!r}"
            remedy = "Keep one of them, or give the other an id of its own."
            found.setdefault(index, []).append(error("duplicate_key", item.key, message, remedy))
        for decision in item.uses.get("defines", ()):
            owner = owners.setdefault(decision, item.key)
            if owner != item.key:
                message = f"The decision {decision!r} is already defined by the model {owner!r}"
                found.setdefault(index, []).append(
                    error("duplicate_key", decision, message, "Give the decision an id of its own.")
                )
    return found


def _judge(item: Examined, world: Known, clashes: Sequence[Finding]) -> Examined:
    findings = [*item.findings, *clashes]
    if item.model is not None:
        findings += _distinct(_rules(item.model, world))
        if all(finding.severity is Severity.WARNING for finding in findings):
            findings += _engine(item)
    name, drawn = item.upload.name, lines(item.model.root) if item.model else {}
    placed = (
        replace(one, file=name, element=one.element or item.key or name, line=one.line or drawn.get(one.element))
        for one in findings
    )
    return replace(item, findings=tuple(placed))


def _rules(model: Model, world: Known) -> Iterator[Finding]:
    for rule in FIRST:
        yield from rule(model)
    if sum(1 for _ in model.nodes()) > MAX_NODES:
        return
    for rule in OF_THE_DIAGRAM:
        yield from rule(model)
    for rule_of_world in OF_THE_WORLD:
        yield from rule_of_world(model, world)


def _engine(item: Examined) -> list[Finding]:
    """`engine_refused`: what every rule let pass must also be read by the engine itself."""
    try:
        parse_diagram(item.upload.content)
    except DiagramError as refused:
        remedy = "Draw the named place with the elements of the palette."
        return [error("engine_refused", item.key, refused.detail, remedy)]
    return []


def _distinct(findings: Iterator[Finding]) -> list[Finding]:
    """Without repetitions, and without what the schema says of an element that a rule explains better."""
    unique = list(dict.fromkeys(findings))
    refused = [finding for finding in unique if finding.severity is Severity.ERROR]
    explained = {finding.element for finding in refused if finding.code != "invalid_schema"}
    return [finding for finding in unique if finding.code != "invalid_schema" or finding.element not in explained]
