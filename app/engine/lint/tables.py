"""Decision models and forms at the gate: what their own readers find wrong, told as findings."""

from collections.abc import Mapping

from app import decisions
from app.decisions import DmnError, parse_decisions
from app.engine.forms import read_form
from app.engine.lint.finding import Finding, error, warning
from app.engine.xml import UnreadableXml, lines, read


def read_decisions(content: bytes) -> tuple[str, str, list[str], list[Finding]]:
    """Key, name and decision ids of a DMN file, or what is wrong with it."""
    try:
        drawn = lines(read(content))
        model = parse_decisions(content)
    except UnreadableXml as unreadable:
        finding = error("unreadable_file", "definitions", unreadable.detail, unreadable.remedy, unreadable.line)
        return "", "", [], [finding]
    except DmnError as invalid:
        return "", "", [], [_told(one, drawn) for one in invalid.findings]
    if not model.id:
        finding = error("missing_id", "definitions", "The decision model has no id", "Give its definitions an id.")
        return "", "", [], [finding]
    strange = [_told(one, drawn) for one in model.strange]
    return model.id, model.name or model.id, sorted(model.decisions), strange


def _told(one: decisions.Finding, drawn: Mapping[str, int | None]) -> Finding:
    tell = error if one.certain else warning
    return tell(f"decision_{one.code}", one.element, one.message.rstrip("."), one.remedy, drawn.get(one.element))


def read_form_file(content: bytes) -> tuple[str, str, list[Finding]]:
    """Key and title of a form file, or what is wrong with it."""
    form, problems = read_form(content)
    if form is None:
        remedy = "Correct the named place; a form has id, title, fields, decisions and reasons."
        return "", "", [error("invalid_form", place, message, remedy) for place, message in problems]
    return form.id, form.title, []
