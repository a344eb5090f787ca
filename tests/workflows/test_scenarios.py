"""The shipped flows against their own scenarios: each comes out as told, and together they take every sequence flow."""

from collections.abc import Callable

import pytest

import handlers
from app.engine import shipped
from app.engine.lint import Known, examine
from app.engine.scenarios import Coverage, Verdict, coverage
from app.errors import AppError
from app.operations import registry
from app.settings import ROOT

assert handlers
WORKFLOWS = ROOT / "workflows"


def played() -> Coverage | AppError:
    """Played once, when the tests are collected; what cannot be played fails a test and not the collection."""
    try:
        return coverage(WORKFLOWS, registry)
    except AppError as broken:
        return broken


SHIPPED = played()
VERDICTS = SHIPPED.verdicts if isinstance(SHIPPED, Coverage) else ()


@pytest.mark.parametrize("verdict", VERDICTS, ids=[f"{one.process}: {one.scenario}" for one in VERDICTS])
def test_the_flow_does_what_its_scenario_tells(verdict: Verdict) -> None:
    assert verdict.passed, str(verdict)


def test_every_sequence_flow_of_every_diagram_is_visited(record_property: Callable[[str, object], None]) -> None:
    assert isinstance(SHIPPED, Coverage), str(SHIPPED)
    record_property("summary", SHIPPED.table())
    assert {diagram.process: diagram.unvisited for diagram in SHIPPED.diagrams if diagram.unvisited} == {}
    told = {verdict.process for verdict in SHIPPED.verdicts}
    assert told == {diagram.process for diagram in SHIPPED.diagrams}, "every process has scenarios of its own"


def test_the_gate_has_nothing_to_say_about_any_shipped_file() -> None:
    examined = examine(shipped.uploads(WORKFLOWS), Known(registry))
    assert len(examined) >= 9
    findings = [f"{one.upload.name}: {finding}" for one in examined for finding in one.findings]
    assert findings == []
