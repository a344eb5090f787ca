"""What scenarios are played on: diagrams, decisions, forms and the operations' declarations, from files alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.decisions import DecisionModel, parse_decisions
from app.engine.bundle import Bundle, IncompleteBundle
from app.engine.dialect import Diagram, Element, parse_diagram
from app.engine.forms import Form, read_form
from app.engine.lint import Upload
from app.errors import InvalidInput
from app.operations import Registry


@dataclass(frozen=True)
class Library:
    """Diagrams by process id, decisions by decision id, forms by form id."""

    diagrams: Mapping[str, Diagram]
    decisions: Mapping[str, DecisionModel]
    forms: Mapping[str, Form]
    operations: Registry

    def bundle(self, process: str) -> Bundle:
        """What an instance of `process` runs. IncompleteBundle when something it needs is not here."""
        names = self.reach(process)
        needed = {decision for name in names for decision in self.diagrams[name].decisions}
        return Bundle(
            process,
            {name: self.diagrams[name] for name in names},
            {name: model for name, model in self.decisions.items() if name in needed},
        )

    def reach(self, process: str) -> list[str]:
        """`process` and every process it calls, also by way of others."""
        names = [process]
        for name in names:
            if name not in self.diagrams:
                raise IncompleteBundle(f"The process {name} is not among the diagrams")
            names += [called for called in self.diagrams[name].called if called not in names]
        return names

    def named(self, process: str, name: str) -> list[tuple[str, Element]]:
        """The elements that `element` or `process/element` means in a run of `process`, each with its process.

        A name without a process means the started one's own element where it has one, else those it calls.
        """
        owner, _, element = name.rpartition("/")
        if not owner and element in self.diagrams[process].elements:
            return [(process, self.diagrams[process].elements[element])]
        owners = [owner] if owner else self.reach(process)
        known = [self.diagrams[one] for one in owners if one in self.diagrams]
        return [(one.process, one.elements[element]) for one in known if element in one.elements]

    def process_at(self, process: str, node: str) -> str:
        """Which process a node such as `authorize#1/resolve#1/look_up#2` of a run of `process` belongs to."""
        *callers, _ = node.split("/")
        for caller in callers:
            process = self.diagrams[process].elements[caller.partition("#")[0]].called
        return process


def library(files: Iterable[Upload], operations: Registry) -> Library:
    """Raises DiagramError, InvalidDecisions or InvalidInput for a file that cannot be read."""
    diagrams: dict[str, Diagram] = {}
    decisions: dict[str, DecisionModel] = {}
    forms: dict[str, Form] = {}
    for file in files:
        if file.name.endswith(".bpmn"):
            diagram = parse_diagram(file.content)
            diagrams[diagram.process] = diagram
        elif file.name.endswith(".dmn"):
            model = parse_decisions(file.content)
            decisions.update(dict.fromkeys(model.decisions, model))
        else:
            form = _form(file)
            forms[form.id] = form
    return Library(diagrams, decisions, forms, operations)


def _form(file: Upload) -> Form:
    form, problems = read_form(file.content)
    if form is None:
        raise InvalidInput(f"The form {file.name} cannot be read: {problems[0][0]}: {problems[0][1]}")
    return form
