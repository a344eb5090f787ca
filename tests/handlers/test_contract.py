"""Every operation is declared so that an analyst can use it without reading code."""

import pytest

import handlers
from app.operations import Operation, registry

OPERATIONS = [one for one in registry if one.handler.__module__.partition(".")[0] == handlers.__name__]

#: The names diagrams rely on.
NAMES = {
    "payment.validate", "payment.facts", "payment.authorize", "payment.lookup", "payment.capture", "payment.void",
    "payment.transition", "payment.resolve", "risk.facts", "risk.record", "routing.rank",
    "refund.check", "refund.approve", "refund.send", "refund.transition",
    "dispute.gather", "dispute.submit", "dispute.accept", "dispute.refresh", "dispute.transition",
    "review.limits", "review.escalate",
}  # fmt: skip
each = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)


def test_all_operations_are_declared() -> None:
    assert {one.name for one in OPERATIONS} == NAMES


@each
def test_it_says_in_a_sentence_what_it_does_and_what_can_go_wrong(operation: Operation) -> None:
    assert operation.title
    assert operation.description.endswith(".")
    assert all(len(sentence) > 20 for sentence in operation.errors.values())


@each
def test_every_field_has_a_title_for_the_modelers_form(operation: Operation) -> None:
    fields = {**operation.params.model_fields, **operation.result.model_fields}
    assert [name for name, declared in fields.items() if not declared.title] == []


@each
def test_what_moves_money_tells_when_nobody_knows(operation: Operation) -> None:
    if operation.moves_money:
        assert {"GATEWAY_UNAVAILABLE", "OUTCOME_UNKNOWN"} <= set(operation.errors)
