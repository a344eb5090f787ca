"""What the modeler offers is what the operations declare, and a task filled in from it passes the gate."""

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from pydantic import Field

from app.engine import templates
from app.engine.lint import Known
from app.operations import OperationContext, Params, Registry, Result
from tests.engine.lint.draw import bpmn, element, end, findings, path, start


class Speed(StrEnum):
    SLOW = "slow"
    FAST = "fast"


class Everything(Params):
    amount: int = Field(title="Amount", description="Minor units")
    to: Literal["open", "closed"]
    speed: Speed = Speed.FAST
    note: str = ""
    final: bool = False
    gateways: list[str] = Field(default_factory=list)
    reason: str | None = Field(default=None, description="Why")
    tries: int = 3
    channel: Literal["web", "post"] | None = None


class Outcome(Result):
    attempt: str = Field(title="Attempt", description="Its id")
    customer_is_new: bool


@pytest.fixture
def operations() -> Registry:
    registry = Registry()

    @registry.operation("payment.try_it", title="Try it", errors={"HARD_DECLINE": "refused"})
    def try_it(context: OperationContext, params: Everything) -> Outcome:
        """Tries
        everything."""
        return Outcome(attempt="a", customer_is_new=True)

    return registry


@pytest.fixture
def shown(operations: Registry) -> dict[str, Any]:
    return templates.template(operations.get("payment.try_it"))


def fields(shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        item["binding"].get("name") or item["binding"].get("source") or item["binding"]["property"]: item
        for item in shown["properties"]
    }


def test_the_template_says_what_the_operation_is(shown: dict[str, Any]) -> None:
    assert (shown["id"], shown["name"]) == ("payment.try_it", "Try it")
    assert shown["description"] == "Tries everything. Errors to catch: HARD_DECLINE (refused)."
    assert shown["category"] == {"id": "payment", "name": "Payment"}
    assert shown["elementType"] == {"value": "bpmn:ServiceTask"}
    assert "zeebe-element-templates-json-schema" in shown["$schema"]
    assert {item["group"] for item in shown["properties"] if "group" in item} <= {
        item["id"] for item in shown["groups"]
    }
    assert fields(shown)["type"] == {
        "type": "Hidden",
        "value": "payment.try_it",
        "binding": {"type": "zeebe:taskDefinition", "property": "type"},
    }
    assert fields(shown)["retries"]["value"] == "3"


def test_parameters_become_fields_of_their_type(shown: dict[str, Any]) -> None:
    found = fields(shown)
    assert found["amount"] == {
        "id": "input_amount",
        "label": "Amount",
        "group": "parameters",
        "binding": {"type": "zeebe:input", "name": "amount"},
        "type": "String",
        "feel": "optional",
        "description": "Minor units",
        "constraints": {"notEmpty": True},
    }
    assert found["to"]["choices"] == [{"name": "Open", "value": "open"}, {"name": "Closed", "value": "closed"}]
    assert "value" not in found["to"]
    assert (found["speed"]["type"], found["speed"]["value"]) == ("Dropdown", "fast")
    assert (found["note"]["optional"], "description" in found["note"]) == (True, False)
    assert (found["final"]["feel"], found["final"]["description"]) == ("required", "Left empty: false")
    assert (found["gateways"]["type"], found["gateways"]["feel"]) == ("Text", "required")
    assert (found["reason"]["type"], found["reason"]["description"]) == ("String", "Why")
    assert found["tries"]["description"] == "Left empty: 3"
    assert (found["channel"]["type"], found["channel"]["optional"]) == ("Dropdown", True)
    assert "optional" not in found["speed"]


def test_results_become_optional_outputs(shown: dict[str, Any]) -> None:
    output = fields(shown)["=customer_is_new"]
    assert (output["label"], output["optional"], output["binding"]["type"]) == ("Customer is new", True, "zeebe:output")
    assert fields(shown)["=attempt"]["description"].startswith("Its id.")


def test_a_task_as_the_template_makes_it_passes_the_gate(operations: Registry, shown: dict[str, Any]) -> None:
    filled = {"amount": "=total", "to": "open"}
    inputs = "".join(
        f'<zeebe:input source="{item.get("value", filled.get(name))}" target="{name}"/>'
        for name, item in fields(shown).items()
        if item["binding"]["type"] == "zeebe:input" and ("value" in item or name in filled)
    )
    made = f'<zeebe:taskDefinition type="{shown["id"]}" retries="3"/><zeebe:ioMapping>{inputs}</zeebe:ioMapping>'
    task = element("serviceTask", "a", extension=made).replace(
        'name="A"', 'name="A" zeebe:modelerTemplate="payment.try_it" zeebe:modelerTemplateIcon="data:,"'
    )
    drawn = bpmn(start(), task, end(), path("start", "a", "end"))
    assert [finding.code for finding in findings(drawn, Known(operations))] == ["error_not_caught"]


def test_files_are_written_once_and_told_when_stale(operations: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "element-templates"
    assert templates.stale(folder, operations) == ["payment.try_it.json"]
    assert templates.write(folder, operations) == ["payment.try_it.json"]
    assert templates.write(folder, operations) == []
    assert orjson.loads((folder / "payment.try_it.json").read_bytes())["id"] == "payment.try_it"
    (folder / "payment.try_it.json").write_text("{}")
    (folder / "gone.json").write_text("{}")
    assert templates.stale(folder, operations) == ["gone.json", "payment.try_it.json"]
    templates.write(folder, operations)
    assert templates.stale(folder, operations) == []
    assert not (folder / "gone.json").exists()
