"""What the dialect, FEEL and DMN support, each with the test that proves it: the source of `docs/conformance.md`.

`python -m tests.conformance` writes the page. A test compares it with this list, the list with the gate's vocabulary,
and every named test with the test files.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from app.engine.lint.model import FLOW_NODES
from app.engine.lint.vocabulary import EVENTS, EXTENSIONS
from app.feel.registry import BUILTINS
from tests.engine.lint import test_foreign
from tests.engine.lint.draw import findings
from tests.feel import test_functions

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "conformance.md"
TOOLS_PAGE = ROOT / "docs" / "other-tools.md"

#: A BPMN element, or `event: kind`, and the test that runs it.
ELEMENTS: Mapping[str, str] = {
    "startEvent: none": "engine/test_people.py::test_the_decision_becomes_variables_and_the_journal_names_the_person",
    "startEvent: message": "engine/test_occasions.py::test_a_message_starts_the_process_that_begins_with_it",
    "startEvent: timer": "engine/test_occasions.py::test_a_cycle_starts_it_every_round_until_none_is_left",
    "endEvent: none": "engine/test_gateways.py::test_an_exclusive_gateway_takes_the_first_true_flow_else_its_default",
    "endEvent: error": "engine/test_events.py::test_an_error_end_event_is_caught_at_its_sub_process",
    "endEvent: terminate": "engine/test_events.py::test_terminate_ends_everything_in_its_scope_and_nothing_outside",
    "endEvent: message": "engine/test_events.py::test_messages_are_thrown_with_their_key_and_their_inputs",
    "endEvent: escalation": "engine/test_events.py::test_an_escalation_may_interrupt_or_not",
    "intermediateCatchEvent: message": "engine/test_events.py::test_two_waits_for_the_same_message_are_answered_one_by_one",
    "intermediateCatchEvent: timer": "engine/test_events.py::test_a_timer_is_due_when_the_diagram_says",
    "intermediateThrowEvent: message": "engine/test_events.py::test_messages_are_thrown_with_their_key_and_their_inputs",
    "intermediateThrowEvent: escalation": "engine/test_events.py::test_an_escalation_may_interrupt_or_not",
    "boundaryEvent: error": "engine/test_service_tasks.py::test_an_error_takes_the_boundary_event_with_its_code",
    "boundaryEvent: timer": "engine/test_events.py::test_missed_rounds_of_a_cycle_are_folded_into_one",
    "boundaryEvent: message": "engine/test_events.py::test_a_non_interrupting_message_fires_every_time",
    "boundaryEvent: escalation": "engine/test_events.py::test_an_escalation_may_interrupt_or_not",
    "serviceTask": "engine/test_service_tasks.py::test_a_service_task_asks_for_its_operation_with_its_inputs",
    "sendTask": "engine/test_events.py::test_a_send_task_with_an_operation_asks_for_a_call",
    "receiveTask": "engine/test_events.py::test_a_receive_task_waits_for_its_message_and_merges_its_variables",
    "userTask": "engine/test_people.py::test_a_user_task_asks_for_people_with_everything_the_diagram_says",
    "businessRuleTask": "engine/test_rules_and_scripts.py::test_a_decision_is_made_and_the_journal_tells_why",
    "scriptTask": "engine/test_rules_and_scripts.py::test_a_script_sets_its_result",
    "callActivity": "engine/test_scopes.py::test_a_called_process_has_variables_of_its_own",
    "subProcess": "engine/test_scopes.py::test_a_sub_process_sees_its_parent_and_gives_back_what_it_wrote",
    "exclusiveGateway": "engine/test_gateways.py::test_of_two_true_conditions_the_first_in_the_file_wins_wherever_its_shape_is",
    "parallelGateway": "engine/test_gateways.py::test_a_parallel_join_waits_for_both_calls_in_whatever_order_they_answer",
    "inclusiveGateway": "engine/test_gateways.py::test_an_inclusive_gateway_takes_every_true_flow_and_joins_as_many",
    "eventBasedGateway": "engine/test_events.py::test_behind_an_event_based_gateway_the_first_event_wins_and_closes_the_other",
}
#: What elements do together or in the end, and the test that shows it.
BEHAVIOUR: Mapping[str, str] = {
    "a lane names the candidate groups": "engine/test_people.py::test_without_groups_the_lane_names_them",
    "multi-instance, parallel, results in order": "engine/test_many.py::test_parallel_instances_are_asked_for_all_at_once_and_collected_in_order",
    "multi-instance, sequential": "engine/test_many.py::test_sequential_instances_come_one_after_another",
    "multi-instance, completion condition": "engine/test_many.py::test_a_completion_condition_cuts_the_rest_short",
    "inclusive join, a branch interrupted": "engine/test_gateways.py::test_an_inclusive_join_does_not_wait_for_a_branch_that_was_interrupted",
    "event-based gateway, the timer wins": "engine/test_events.py::test_behind_an_event_based_gateway_the_timer_wins_when_it_is_due",
    "timer beside a task, not interrupting": "engine/test_events.py::test_a_non_interrupting_timer_fires_once",
    "message beside a task, interrupting": "engine/test_events.py::test_an_interrupting_message_closes_the_task",
    "missed rounds of a cycle are one": "engine/test_events.py::test_missed_rounds_of_a_cycle_are_folded_into_one",
    "escalation that nobody catches": "engine/test_events.py::test_an_escalation_that_nobody_catches_just_goes_on",
    "early message, kept": "engine/test_kept_messages.py::test_a_message_that_comes_early_is_kept_until_somebody_waits_for_it",
    "early message, run out": "engine/test_kept_messages.py::test_a_message_is_kept_no_longer_than_it_was_meant_to_be",
    "error out of a sub-process, uncaught": "engine/test_events.py::test_an_uncaught_error_in_a_sub_process_never_takes_the_normal_path",
    "error out of a called process": "engine/test_scopes.py::test_an_error_that_leaves_a_called_process_is_caught_where_it_was_called",
    "terminate ends the whole instance": "engine/test_events.py::test_terminate_at_the_top_completes_the_instance",
    "mappings of a scope of its own": "engine/test_scopes.py::test_with_an_output_mapping_only_that_leaves_a_sub_process",
    "call activity, variables passed on": "engine/test_scopes.py::test_without_inputs_a_called_process_gets_a_copy_of_all_variables",
}
#: A zeebe extension, and the test that shows what it does.
ZEEBE: Mapping[str, str] = {
    "taskDefinition": "engine/test_service_tasks.py::test_the_number_of_retries_is_read_from_the_diagram",
    "ioMapping": "engine/test_service_tasks.py::test_an_output_mapping_sets_an_entry_of_a_context_and_nothing_else",
    "userTask": "engine/test_people.py::test_a_user_task_asks_for_people_with_everything_the_diagram_says",
    "assignmentDefinition": "engine/test_people.py::test_what_a_task_asks_for_is_decided_when_it_starts",
    "formDefinition": "engine/test_people.py::test_a_user_task_asks_for_people_with_everything_the_diagram_says",
    "taskSchedule": "engine/test_people.py::test_a_due_date_may_be_a_moment",
    "priorityDefinition": "engine/test_people.py::test_a_user_task_asks_for_people_with_everything_the_diagram_says",
    "taskHeaders": "engine/test_people.py::test_a_person_who_is_excluded_cannot_complete_the_task",
    "calledDecision": "engine/test_rules_and_scripts.py::test_a_decision_is_made_and_the_journal_tells_why",
    "script": "engine/test_rules_and_scripts.py::test_a_script_sets_its_result",
    "calledElement": "engine/test_scopes.py::test_without_outputs_a_call_gives_back_everything_or_nothing",
    "subscription": "engine/test_events.py::test_a_message_without_a_correlation_value_is_an_incident",
    "loopCharacteristics": "engine/test_many.py::test_parallel_instances_are_asked_for_all_at_once_and_collected_in_order",
    "properties": "engine/lint/test_gate.py::test_properties_are_notes_at_every_node",
    "versionTag": "engine/lint/test_gate.py::test_a_sound_diagram_of_every_element_passes_in_silence",
}
#: What other engines give a meaning to, and the gate refuses with what to draw instead.
_WRONG = "engine/lint/test_gate.py::test_a_wrong_diagram_is_told_its_element_and_a_way_out"
LIMITS: Mapping[str, str] = {
    "`taskHeaders` at a task that calls an operation: use `ioMapping`": "engine/lint/test_gate.py::test_headers_of_an_operation_are_refused_with_what_to_use_instead",
    "`propagateAllParentVariables` that says other than what is done: inputs, else everything": "engine/lint/test_gate.py::test_what_a_called_process_gets_may_be_said_as_it_is",
    "`assignee` of a user task: use `candidateGroups`": _WRONG,
    "`followUpDate` of a user task: draw a timer before it": _WRONG,
}
#: Inside of others in the table.
_PARTS = frozenset({"input", "output", "header", "property"})
DMN: Mapping[str, str] = {
    "UNIQUE": "decisions/test_hit_policies.py::test_unique_with_two_rules_fails_and_names_both",
    "ANY": "decisions/test_hit_policies.py::test_any_accepts_several_rules_with_equal_outputs_only",
    "FIRST": "decisions/test_hit_policies.py::test_first_stops_at_the_first_rule_that_holds",
    "PRIORITY": "decisions/test_hit_policies.py::test_priority_follows_the_order_of_the_output_values",
    "RULE ORDER": "decisions/test_hit_policies.py::test_rule_order_lists_results_as_the_rules_stand",
    "OUTPUT ORDER": "decisions/test_hit_policies.py::test_output_order_lists_results_by_priority",
    "COLLECT, SUM, COUNT, MIN, MAX": "decisions/test_hit_policies.py::test_collect_lists_or_aggregates",
    "several outputs": "decisions/test_hit_policies.py::test_several_outputs_give_a_context",
    "allowed values": "decisions/test_hit_policies.py::test_an_input_outside_its_allowed_values_fails_and_null_does_not",
    "literal expression": "decisions/test_models.py::test_a_literal_expression_reads_variables",
    "required decision": "decisions/test_models.py::test_a_required_decision_is_seen_under_its_name_and_reported",
    "business knowledge model": "decisions/test_models.py::test_a_knowledge_model_is_called_by_name",
    "invocation": "decisions/test_models.py::test_a_knowledge_model_is_invoked_with_bindings",
    "boxed context": "decisions/test_models.py::test_a_boxed_context_builds_up_and_may_end_in_a_result",
    "boxed function": "decisions/test_models.py::test_a_boxed_function_is_called_from_a_later_entry",
    "list, relation, conditional": "decisions/test_models.py::test_boxed_lists_relations_and_conditionals",
    "for, some, every, filter": "decisions/test_models.py::test_boxed_iterators_and_filters",
    "an unknown function or name is told at deployment": "decisions/test_names.py::test_every_cell_of_a_table_is_looked_at",
    "item definitions": "decisions/test_models.py::test_item_definitions_are_types_whose_names_may_hold_spaces",
}
_STOCK = "engine/test_stock.py::test_"
_SILENCE = "engine/test_stock_silence.py::test_"
#: A trap of the library, and the test that first falls into it and then runs the same on our engine.
TRAPS: Mapping[str, str] = {
    "a loop of more than 1000 elements ends half-way, and says that it is completed": f"{_STOCK}a_loop_of_more_than_a_thousand_elements",
    "every retry through a timer makes the state grow, until recursion ends it": f"{_STOCK}hundreds_of_retries_through_a_timer_at_the_border",
    "an error that leaves a sub-process uncaught goes on along the normal way": f"{_STOCK}an_error_that_leaves_a_sub_process_uncaught",
    "what a failing operation says is lost in a NameError": f"{_STOCK}what_an_operation_says_when_it_fails",
    "a key `typename`, or a decimal, in the data makes an instance unreadable": f"{_STOCK}data_that_cannot_be_loaded_again",
    "a branch changes what another branch holds; saving changes what is shared": f"{_STOCK}a_branch_that_changes_a_list_another_branch_holds",
    "a message that comes early is lost, one that comes twice raises": f"{_STOCK}a_message_that_comes_early_and_one_that_comes_twice",
    "a border that does not interrupt hears one message": f"{_STOCK}a_second_message_for_a_border_that_does_not_interrupt",
    "a late result revives a canceled task": f"{_STOCK}a_result_that_comes_after_the_timer_has_canceled_its_task",
    "moving a box changes which of two true conditions wins": f"{_STOCK}two_true_conditions_and_a_moved_box",
    "a duration as every modeler writes it raises": f"{_STOCK}a_duration_as_the_modeler_writes_it",
    "a negative duration lies in the future": f"{_STOCK}a_negative_duration",
    "a date without an offset is another moment on another host": f"{_STOCK}a_date_without_an_offset",
    "missed rounds of a cycle all fire at once": f"{_STOCK}a_cycle_that_nobody_looked_at_for_a_while",
    "an endless cycle that is late fires once for every round that was missed": f"{_SILENCE}an_endless_cycle_that_is_late",
    "a cycle that interrupts goes on firing": f"{_SILENCE}a_cycle_that_interrupts_and_goes_on_firing",
    "running changes the diagram that all instances share": f"{_STOCK}a_spec_that_changes_while_it_runs",
    "a process that calls itself never comes back": f"{_STOCK}a_process_that_calls_itself",
    "a plain task stops the flow and waits for nothing": f"{_STOCK}a_plain_task_is_no_silent_stop",
    "migration leaves out a task behind a call that is under way": f"{_STOCK}a_task_inserted_behind_a_call_that_is_under_way",
    "a crash between the call and the save makes the call twice": f"{_STOCK}a_crash_between_the_call_and_the_save",
    "what is loaded is not what was saved": f"{_STOCK}a_round_trip_at_every_wait_changes_nothing",
    "every expression is a Python program": f"{_SILENCE}text_that_is_a_program",
    "compensation and signal events do nothing": f"{_SILENCE}an_event_that_does_nothing",
    "the process ends where a link should lead on": f"{_SILENCE}a_link_that_leads_nowhere",
    "a condition on a flow that leaves a task is not looked at": f"{_SILENCE}a_condition_on_a_flow_that_leaves_a_task",
    "a handler of errors runs in every instance, without an error": f"{_SILENCE}a_handler_of_errors_that_runs_without_one",
    "a process that is not marked as executable runs": f"{_SILENCE}a_drawing_that_was_never_meant_to_run",
    "an element that no flow reaches is never looked at": f"{_SILENCE}an_element_that_no_flow_reaches",
}
#: Files whose cases are grouped by a comment, and the test that runs them all.
FEEL: Mapping[str, str] = {
    "feel/test_constructs.py": "test_an_expression_has_its_value",
    "feel/test_functions.py": "test_a_function_has_its_result",
}


def drawn() -> set[str]:
    """Everything the gate lets pass as a node, by the names of the table."""
    events = {f"{tag}: {kind or 'none'}" for tag, kinds in EVENTS.items() for kind in kinds}
    return events | (FLOW_NODES - set(EVENTS))


def extensions() -> set[str]:
    return {name for allowed in EXTENSIONS.values() for name in allowed} - _PARTS


def families(file: str) -> Iterator[tuple[str, int]]:
    """Each group of cases in a FEEL test, with how many there are."""
    listed = (ROOT / "tests" / file).read_text().partition("\nCASES = [")[2].partition("\n]\n")[0]
    for group in re.split(r"^    # ", listed, flags=re.MULTILINE)[1:]:
        name, _, cases = group.partition("\n")
        yield name, len(re.findall(r"^    \(", cases, re.MULTILINE))


def functions() -> Iterator[tuple[str, str, int]]:
    """Every standard function, how it is called, and how many cases call it."""
    texts = [text for text, _ in test_functions.CASES]
    for name, forms in sorted(BUILTINS.items()):
        called = " or ".join(
            f"{name}({', '.join(one.name + '?' * one.optional for one in form.parameters)}{', …' * form.variadic})"
            for form in forms
        )
        yield name, called, sum(f"{name}(" in text for text in texts)


def proofs() -> list[str]:
    """Every test the page names."""
    named = [proof for table in (ELEMENTS, BEHAVIOUR, ZEEBE, LIMITS, DMN, TRAPS) for proof in table.values()]
    return named + [f"{file}::{test}" for file, test in FEEL.items()]


def page() -> str:
    """The whole of docs/conformance.md."""
    parts = [
        "# What is supported, and the test that proves it\n",
        "Written by `make conformance` from `tests/conformance.py`; a test keeps it true.\n",
        _table("BPMN", "element", ELEMENTS),
        _table("What they do", "behaviour", BEHAVIOUR, code=False),
        _table("zeebe extensions", "extension", ZEEBE),
        _table("What is refused", "limit", LIMITS, code=False),
        _table("DMN", "construct", DMN),
        "## FEEL\n\n| family | cases | test |\n|---|---|---|",
        *(
            f"| {name} | {cases} | `tests/{file}::{test}` |"
            for file, test in FEEL.items()
            for name, cases in families(file)
        ),
        "\nThe standard functions, all run by `tests/feel/test_functions.py`; a call that does not fit one is null.\n",
        "| called as | cases |\n|---|---|",
        *(f"| `{called}` | {cases} |" for _, called, cases in functions()),
        "\n## Traps of SpiffWorkflow\n",
        "Each test first falls into the trap with the library as it comes, then runs the same on our engine.\n",
        "| what the library does | test |\n|---|---|",
        *(f"| {trap} | `tests/{proof}` |" for trap, proof in TRAPS.items()),
    ]
    return "\n".join(parts) + "\n"


def tools_page() -> str:
    """The whole of docs/other-tools.md."""
    rows = [_verdict(name) for name in sorted(test_foreign.VERDICTS)]
    return "\n".join(
        [
            "# Diagrams of other tools\n",
            "What the gate says to small files as other tools write them (`tests/engine/foreign`, kept true by",
            "`tests/engine/lint/test_foreign.py`). `sluice lint` prints each finding with what to draw instead.\n",
            "| written by | verdict | findings |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _verdict(name: str) -> str:
    found = findings((test_foreign.FOLDER / f"{name}.bpmn").read_bytes(), name=f"{name}.bpmn")
    errors = sum(finding.severity == "error" for finding in found)
    told = _counted(f"`{finding.code}`" for finding in found)
    verdict = f"refused, {errors} errors" if errors else "deploys as it is"
    return f"| {test_foreign.TOOLS[name]} | {verdict} | {told or 'none'} |"


def _counted(codes: Iterable[str]) -> str:
    counts = Counter(codes)
    return ", ".join(f"{code} ({count})" if count > 1 else code for code, count in sorted(counts.items()))


def _table(title: str, what: str, rows: Mapping[str, str], *, code: bool = True) -> str:
    mark = "`" if code else ""
    lines = [f"| {mark}{name}{mark} | `tests/{proof}` |" for name, proof in rows.items()]
    return "\n".join([f"## {title}\n", f"| {what} | test |", "|---|---|", *lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page())
    TOOLS_PAGE.write_text(tools_page())
