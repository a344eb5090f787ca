"""Files as other tools write them: a verdict that names what has to change, never a traceback.

`sluice lint tests/engine/foreign` prints the findings with their remedies.
"""

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.commands.flows import lint_files
from app.engine.dialect import DiagramError, parse_diagram
from tests.engine.lint.draw import findings

FOLDER = Path(__file__).parents[1] / "foreign"
#: Which tool writes files like this one.
TOOLS = {
    "activiti": "Activiti",
    "adonis": "ADONIS",
    "bizagi": "Bizagi Modeler",
    "bonita": "Bonita Studio",
    "bpmn-io": "bpmn.io",
    "camunda-7": "Camunda Modeler for Camunda 7",
    "camunda-8": "Camunda Modeler for Camunda 8",
    "flowable": "Flowable",
    "jbpm": "jBPM",
    "miwg-a": "BPMN MIWG, reference A",
    "signavio": "Signavio",
    "spiffworkflow": "SpiffWorkflow",
    "visual-paradigm": "Visual Paradigm",
}
VERDICTS: dict[str, set[str]] = {
    "activiti": {
        "expression_required",
        "flow_without_condition",
        "gateway_without_default",
        "missing_form",
        "missing_operation",
        "not_drawn",
        "task_for_nobody",
        "unsupported_attribute",
        "unsupported_extension",
    },
    "adonis": {"no_start_event", "not_drawn", "not_executable", "unsupported_element", "unsupported_extension"},
    "bonita": {
        "missing_form",
        "not_drawn",
        "not_executable",
        "python_script",
        "task_for_nobody",
        "unsupported_element",
    },
    "bizagi": {
        "implicit_split",
        "missing_decision",
        "not_drawn",
        "not_executable",
        "unsupported_element",
        "unsupported_extension",
    },
    "bpmn-io": {
        "flow_without_condition",
        "gateway_without_default",
        "missing_name",
        "not_executable",
        "unsupported_element",
    },
    "camunda-7": {
        "missing_form",
        "missing_operation",
        "task_for_nobody",
        "unsupported_attribute",
        "unsupported_extension",
    },
    "camunda-8": set(),
    "flowable": {
        "expression_required",
        "gateway_without_default",
        "missing_form",
        "missing_name",
        "missing_operation",
        "task_for_nobody",
        "unsupported_attribute",
    },
    "jbpm": {"python_script", "unsupported_attribute", "unsupported_element", "unsupported_extension"},
    "miwg-a": {
        "flow_without_condition",
        "gateway_without_default",
        "no_start_event",
        "not_executable",
        "unsupported_element",
    },
    "signavio": {"not_executable", "unsupported_element", "unsupported_extension"},
    "spiffworkflow": {
        "missing_name",
        "missing_operation",
        "python_script",
        "unsupported_element",
        "unsupported_extension",
    },
    "visual-paradigm": {
        "message_missing",
        "no_path_to_end",
        "no_start_event",
        "not_drawn",
        "not_executable",
        "several_processes",
        "unsupported_element",
    },
}


def test_every_file_has_a_verdict() -> None:
    assert {path.stem for path in FOLDER.glob("*.bpmn")} == set(VERDICTS)
    assert set(VERDICTS) == set(TOOLS)


@pytest.mark.parametrize("name", VERDICTS)
def test_a_file_of_another_tool_is_told_what_has_to_change(name: str) -> None:
    content = (FOLDER / f"{name}.bpmn").read_bytes()
    found = findings(content)
    assert {finding.code for finding in found} == VERDICTS[name]
    identities = {finding.element for finding in found if f'id="{finding.element}"'.encode() in content}
    # An import has no id, so it is called by its kind.
    assert {finding.element for finding in found} - identities <= {"flow.bpmn", "import"}
    assert all(finding.message and finding.remedy for finding in found)


@pytest.mark.parametrize("name", VERDICTS)
def test_the_engine_refuses_what_the_gate_refuses_or_reads_it(name: str) -> None:
    content = (FOLDER / f"{name}.bpmn").read_bytes()
    try:
        diagram = parse_diagram(content)
    except DiagramError as refused:
        assert refused.detail  # noqa: PT017 - some of these files are also readable
    else:
        assert diagram.elements


def test_a_task_without_a_kind_is_refused_as_that_and_not_as_a_gap() -> None:
    found = findings((FOLDER / "bpmn-io.bpmn").read_bytes())
    assert not {finding.code for finding in found} & {"dangling_reference", "unreachable", "no_path_to_end"}


def test_the_command_prints_the_findings_of_all_of_them() -> None:
    printed = CliRunner().invoke(lint_files, [str(FOLDER)])
    assert printed.exit_code == 1
    assert printed.exception is None or isinstance(printed.exception, SystemExit)
    assert printed.output.count("ERROR") > 50
    assert "Use a user task with a form." in printed.output
